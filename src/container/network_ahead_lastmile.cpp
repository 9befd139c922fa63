// Zone X: shares memory with its parent, which runs on meanwhile.
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "container/network_ahead.h"
#include "netlink/loopback_lastmile.h"
#include "sys/system_call.h"

namespace cooper::container {
namespace {

void fail(NetworkRequest& request, const char* what) {
  request.errno_value = errno;
  request.failed = what;
}

void leave_processor_of_caller(const NetworkRequest& request) {
  unsigned mine = 0;
  if (call(SYS_getcpu, reinterpret_cast<long>(&mine), 0, 0, 0) == 0 && mine == request.processor)
    (void)call(SYS_sched_setaffinity, 0, sizeof request.others, reinterpret_cast<long>(&request.others), 0);
}

}  // namespace

// errno is the parent's as well; it is written on failure only, and then the start has failed.
int make_network_namespace(void* request) {
  auto& out = *static_cast<NetworkRequest*>(request);
  __atomic_store_n(&out.runs, true, __ATOMIC_RELAXED);
  if (out.has_others) leave_processor_of_caller(out);
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
