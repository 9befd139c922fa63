// Zone S: what the cloned child does between clone and the last mile. It walks the child's steps of the plan, talks to
// the parent over the sync socket and never returns.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "cgroup/cgroup.h"
#include "container/container.h"
#include "container/plan.h"
#include "seccomp/seccomp.h"

namespace cooper::container {

// Everything the child needs; made by the parent before the clone.
struct ChildContext {
  const Plan* plan = nullptr;
  BorrowedFd sync{-1};            // the child's end
  BorrowedFd parent_sync{-1};     // the parent's end, closed by the child at once
  BorrowedFd start_listener{-1};  // create: listening start.sock
  BorrowedFd lock{-1};            // closed by the child at once
  int sealed_clone = -1;          // seal_exe.h; closed by the child at once
  Stdio stdio;
  int preserve_fds = 0;
  std::vector<int> extra_fds;      // of the caller; they follow the preserved ones
  std::vector<int> private_fds;    // of the caller, closed by the child at once
  bool report_namespaces = false;  // before it waits for the start
  int parent_death_signal = 0;
  bool block_signals = false;                 // leave them blocked, as they are since before the clone
  pid_t parent_pid = 0;                       // 0: the child is in another PID namespace and cannot see it
  const seccomp::Program* seccomp = nullptr;  // nullptr: none
  cgroup::Group* group = nullptr;             // to join; what that needs is open
  cgroup::Group::Born born = cgroup::Group::Born::kElsewhere;
  bool in_every_group = false;  // none is left out for want of rights
  const cgroup::Layout* cgroup_layout = nullptr;
  std::string cgroup_path;
  oci::State state;                    // for the child's hooks; the pid is filled in by the child
  bool user_namespace = false;         // new, joined, or the caller's
  bool user_namespace_joined = false;  // by the process that cloned this one
  bool in_new_time_namespace = false;  // from birth on
  // Bind sources opened by the parent, by index of the step (user namespaces).
  std::vector<std::pair<std::size_t, int>> mount_fds;
  // exec: the container's init, whose namespaces are joined; root of the container.
  int exec_pidfd = -1;
  int exec_root = -1;
  BorrowedFd network{-1};  // namespace to enter
  StartTiming* timing = nullptr;
};

[[noreturn]] void run_child(const ChildContext& context);

}  // namespace cooper::container
