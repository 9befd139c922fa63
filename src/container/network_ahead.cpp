#include "container/network_ahead.h"

#include "sys/process.h"

namespace cooper::container {

NetworkAhead::~NetworkAhead() {
  wait();
  if (request_.fd >= 0) (void)UniqueFd(request_.fd);
}

Status NetworkAhead::begin(bool loopback) {
  request_ = NetworkRequest{};
  request_.loopback = loopback;
  ASSIGN_OR_RETURN(pid_, sys::clone_sharing(make_network_namespace, &request_, stack_));
  return {};
}

void NetworkAhead::wait() {
  if (pid_ <= 0) return;
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
