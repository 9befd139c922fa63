// Zone X: shares memory with its parent, which runs on meanwhile.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

#include "container/network_ahead.h"
#include "netlink/loopback_lastmile.h"

namespace cooper::container {
namespace {

void fail(NetworkRequest& request, const char* what) {
  request.errno_value = errno;
  request.failed = what;
}

}  // namespace

// errno is the parent's as well; it is written on failure only, and then the start has failed.
int make_network_namespace(void* request) {
  auto& out = *static_cast<NetworkRequest*>(request);
  if (::unshare(CLONE_NEWNET) != 0) {
    fail(out, "make a network namespace");
    return 1;
  }
  if (out.loopback && netlink::raise_loopback() != nullptr) {
    fail(out, "bring up the loopback interface");
    return 1;
  }
  out.fd = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (out.fd < 0) fail(out, "open the new network namespace");
  return 0;
}

}  // namespace cooper::container
