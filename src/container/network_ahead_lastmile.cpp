// Zone X: shares memory with its parent, which runs on meanwhile.
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "container/network_ahead.h"

namespace cooper::container {
namespace {

void fail(NetworkRequest& request, const char* what) {
  request.errno_value = errno;
  request.failed = what;
}

bool loopback_up() {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  struct ifreq request = {};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP;
  const int done = ::ioctl(fd, SIOCSIFFLAGS, &request);
  const int saved = errno;
  (void)::close(fd);
  errno = saved;
  return done == 0;
}

}  // namespace

// errno is the parent's as well; it is written on failure only, and then the start has failed.
int make_network_namespace(void* request) {
  auto& out = *static_cast<NetworkRequest*>(request);
  if (::unshare(CLONE_NEWNET) != 0) {
    fail(out, "make a network namespace");
    return 1;
  }
  if (out.loopback && !loopback_up()) {
    fail(out, "bring up the loopback interface");
    return 1;
  }
  out.fd = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (out.fd < 0) fail(out, "open the new network namespace");
  return 0;
}

}  // namespace cooper::container
