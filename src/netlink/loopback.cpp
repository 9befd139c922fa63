#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "base/fd.h"
#include "netlink/netlink.h"

namespace cooper::netlink {

Status loopback_up() {
  // Two calls instead of the three of rtnetlink (socket, send, receive): "lo" needs no flag but IFF_UP.
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "create socket");
  struct ifreq request = {};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
  if (::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return Error::from_errno(errno, "bring the loopback device up");
  return {};
}

}  // namespace cooper::netlink
