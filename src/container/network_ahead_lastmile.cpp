// Zone X: shares memory with its parent, which runs on meanwhile.
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>

#include <cerrno>

#include "container/network_ahead.h"
#include "netlink/loopback_lastmile.h"
#include "sys/system_call.h"

namespace cooper::container {
namespace {

void fail(NetworkRequest& request, int error, const char* what) {
  request.errno_value = error;
  request.failed = what;
}

void leave_processor_of_caller(const NetworkRequest& request) {
  unsigned mine = 0;
  if (call(SYS_getcpu, reinterpret_cast<long>(&mine), 0, 0, 0) == 0 && mine == request.processor)
    (void)call(SYS_sched_setaffinity, 0, sizeof request.others, reinterpret_cast<long>(&request.others), 0);
}

}  // namespace

// errno is the parent's as well, which may write to it and read it at any moment: what is likely to fail here leaves it
// alone.
int make_network_namespace(void* request) {
  auto& out = *static_cast<NetworkRequest*>(request);
  __atomic_store_n(&out.runs, true, __ATOMIC_RELAXED);
  if (out.has_others) leave_processor_of_caller(out);
  if (const long made = call(SYS_unshare, CLONE_NEWNET, 0, 0, 0); made != 0) {
    fail(out, static_cast<int>(-made), "make a network namespace");
    return 1;
  }
  if (out.loopback && netlink::raise_loopback() != nullptr) {
    fail(out, errno, "bring up the loopback interface");
    return 1;
  }
  const long opened =
      call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/thread-self/ns/net"), O_RDONLY | O_CLOEXEC, 0);
  if (opened < 0) {
    fail(out, static_cast<int>(-opened), "open the new network namespace");
    return 1;
  }
  out.fd = static_cast<int>(opened);
  return 0;
}

}  // namespace cooper::container
