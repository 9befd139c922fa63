#include "netlink/loopback_lastmile.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace cooper::netlink {

const char* raise_loopback() {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return "open socket";
  struct ifreq request = {};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP;
  const int done = ::ioctl(fd, SIOCSIFFLAGS, &request);
  const int saved = errno;
  (void)::close(fd);
  errno = saved;
  return done == 0 ? nullptr : "set network interface 'lo' up";
}

}  // namespace cooper::netlink
