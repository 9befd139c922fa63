#include "container/network_ahead.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "sys/process.h"

namespace cooper::container {
namespace {

// A machine with more processors than a cpu_set_t holds (1,024) does without.
void find_other_processors(NetworkRequest& out) {
  if (::sched_getaffinity(0, sizeof out.others, &out.others) != 0) return;
  if (::syscall(SYS_getcpu, &out.processor, nullptr) != 0 || out.processor >= CPU_SETSIZE) return;
  CPU_CLR(out.processor, &out.others);
  out.has_others = CPU_COUNT(&out.others) > 0;
}

}  // namespace

NetworkAhead::~NetworkAhead() {
  wait();
  if (request_.fd >= 0) (void)UniqueFd(request_.fd);
}

Status NetworkAhead::begin(bool loopback) {
  request_ = NetworkRequest{};
  request_.loopback = loopback;
  find_other_processors(request_);
  ASSIGN_OR_RETURN(pid_, sys::clone_sharing(make_network_namespace, &request_, stack_));
  if (request_.has_others && !__atomic_load_n(&request_.runs, __ATOMIC_RELAXED))
    (void)::sched_setaffinity(pid_, sizeof request_.others, &request_.others);
  return {};
}

void NetworkAhead::wait() {
  if (pid_ <= 0) return;
  // Where it was sent somebody else may be at work; and who waits here leaves a processor free.
  if (request_.has_others) {
    cpu_set_t all = request_.others;
    CPU_SET(request_.processor, &all);
    (void)::sched_setaffinity(pid_, sizeof all, &all);
  }
  (void)!sys::wait_clone(pid_).ok();
  pid_ = 0;
}

Result<UniqueFd> NetworkAhead::take() {
  wait();
  if (request_.failed != nullptr) return Error::from_errno(request_.errno_value, request_.failed);
  if (request_.fd < 0) return Error(Errc::kSystem, "the helper that makes the network namespace was killed");
  UniqueFd out(request_.fd);
  request_.fd = -1;
  return out;
}

}  // namespace cooper::container
