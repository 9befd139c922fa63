// A network namespace that is made beside the first steps of a start.
//
// The kernel needs longer for a network namespace than for all others together (0.35 of 0.45 ms where this was
// measured), and nothing before the clone depends on it. A short-lived helper that shares memory and descriptors with
// the caller makes it on another processor while the caller prepares state and cgroups; the caller stays
// single-threaded. The kernel often begins the helper on the caller's processor, in front of it or behind, although
// another one is idle; so whoever of the two comes first sends it to the others (sched_setaffinity(2)). Only for
// namespaces that belong to the caller's own user namespace.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <array>
#include <cstddef>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::container {

// What the helper is given and leaves behind (zone X: it shares the caller's memory).
struct NetworkRequest {
  bool loopback = false;
  // Where the caller runs when it begins the helper, and the processors that are left without it, if there are any.
  unsigned processor = 0;
  cpu_set_t others = {};
  bool has_others = false;
  bool runs = false;  // set by the helper, at any time
  // Results, valid once the helper has ended.
  int fd = -1;  // the namespace, close-on-exec
  int errno_value = 0;
  const char* failed = nullptr;  // what failed; nullptr: nothing
};
// The helper's program; its exit status says nothing.
int make_network_namespace(void* request);

class NetworkAhead {
 public:
  NetworkAhead() = default;
  NetworkAhead(const NetworkAhead&) = delete;
  NetworkAhead& operator=(const NetworkAhead&) = delete;
  ~NetworkAhead();  // waits for the helper

  // Starts the helper. `loopback`: bring "lo" up.
  Status begin(bool loopback);
  bool begun() const { return pid_ > 0; }
  // Waits for the namespace.
  Result<UniqueFd> take();
  // For the end of the helper, whatever became of it.
  void wait();

 private:
  NetworkRequest request_;
  pid_t pid_ = 0;
  // A few calls deep, none of them with buffers.
  alignas(16) std::array<std::byte, 16384> stack_;
};

}  // namespace cooper::container
