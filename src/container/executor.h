// The parent's side of a start: walks the parent's steps of the plan, clones the child, and undoes everything when a
// step fails.
#pragma once

#include <sys/resource.h>

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "cgroup/cgroup.h"
#include "container/container.h"
#include "container/net_devices.h"
#include "container/network_ahead.h"
#include "container/plan.h"
#include "container/resctrl.h"
#include "container/setup_child.h"
#include "container/unit.h"
#include "dbus/systemd.h"
#include "seccomp/seccomp.h"
#include "sys/process.h"

namespace cooper::container {

class Executor {
 public:
  struct Inputs {
    const Plan* plan = nullptr;
    Stdio stdio;
    int preserve_fds = 0;
    std::vector<int> extra_fds;
    int parent_death_signal = 0;
    bool block_signals = false;
    std::string console_socket;  // empty: the master is kept in console()
    std::string start_socket;    // create: path of start.sock; empty: run
    BorrowedFd lock{-1};
    oci::State state;
    bool rootless = false;
    bool require_limits = false;  // of a group, also when rootless
    // Called while the child sets up, before the parent waits for it: what nobody needs before.
    std::function<Status(pid_t pid)> on_cloned;
    // Called once the child waits for the start: writes state and pid files.
    std::function<Status(pid_t pid, const std::string& cgroup_path)> on_prepared;
    bool report_namespaces = false;  // into namespaces(), before on_prepared
    std::vector<int> private_fds;    // closed by the child at once
    // exec: process whose namespaces are joined, its root, and the cgroup that is joined instead of created.
    int exec_pidfd = -1;
    int exec_root = -1;
    std::string join_cgroup;
    // exec: groups of the container, which its process joins.
    ResctrlGroups resctrl;
    std::map<std::string, std::string> sub_cgroups;
    pid_t join_cgroup_of = 0;         // the process whose group is joined where join_cgroup takes no processes (v2)
    NetworkAhead* network = nullptr;  // begun when the plan has the step
    StartTiming* timing = nullptr;
    // The unit that holds it, for a caller that may not move processes there: systemd does.
    std::string join_unit;
    dbus::Bus join_bus = dbus::Bus::kSystem;
  };
  explicit Executor(Inputs inputs) : in_(std::move(inputs)) {}

  // On failure the child is dead and reaped and the cgroup made here is gone.
  Status run();

  pid_t pid() const { return child_.pid; }
  BorrowedFd pidfd() const { return child_.pidfd; }
  const std::map<std::string, std::uint64_t>& namespaces() const { return namespaces_; }
  UniqueFd take_pidfd() { return std::move(child_.pidfd); }
  UniqueFd take_console() { return std::move(console_); }
  std::vector<UniqueFd> take_locks() { return std::move(locks_); }
  const std::vector<StateRecord::HostInterface>& interfaces() const { return interfaces_; }
  const std::string& cgroup_path() const { return cgroup_path_; }
  const ResctrlGroups& resctrl() const { return in_.resctrl; }

 private:
  Status walk();
  Status prepare();
  Status perform(const StartUnit& step);
  Status perform(const CgroupCreate& step);
  Status perform(const JoinPidNamespace& step);
  Status perform(const NewTimeNamespace& step);
  Status perform(const NewNetworkNamespace& step);
  Status perform(const Clone& step);
  Status perform(const WriteIdMaps& step);
  Status perform(const ResctrlCreate& step);
  Status perform(const ResctrlJoin& step);
  Status perform(const MoveNetDevices& step);
  Status perform(const CreateInterfaces& step);
  Status perform(const RunParentHooks& step);
  Status perform(const WaitForChild& step);
  template <typename T>
  Status perform(const T&) {
    return Error(Errc::kInternal, "a step of the child was given to the parent");
  }
  using CloneCall = Result<sys::Cloned> (*)(std::uint64_t flags, int into_cgroup_fd);
  Result<bool> choose_group_of_init(ChildContext& context);
  Result<sys::Cloned> clone_child(std::uint64_t flags, ChildContext& context, CloneCall call);
  Status open_mount_sources(bool user_namespace);
  Status raise_hard_limits();
  void restore_hard_limits();
  Status clone_init(const Clone& step, ChildContext& context);
  Status clone_here(const Clone& step, ChildContext& context);
  // Where a helper must be before it clones the child: a user namespace, a unit's group, or both.
  struct Place {
    std::string user_namespace;
    bool unit = false;
  };
  Status clone_from(const Place& place, const Clone& step, ChildContext& context);
  [[noreturn]] void help(const Place& place, BorrowedFd target, BorrowedFd socket, const Clone& step,
                         ChildContext& context);
  Status attach_to_unit(pid_t pid);
  Status restore_own_namespaces();
  bool starts_at_once() const;
  Status announce(std::string_view what);
  Status wait_reached(std::string_view what);
  Status take_over_console(UniqueFd master);
  Status take_over_listener(BorrowedFd listener);
  Status finish();
  Status still_there();
  void roll_back();
  // Turns "the child is gone" into the reason, when there is one.
  Error child_died();

  Inputs in_;
  std::optional<cgroup::Layout> layout_;
  std::optional<Unit> unit_;
  std::optional<cgroup::Group> group_;
  bool own_group_ = false;
  std::string cgroup_path_;
  std::optional<seccomp::Program> seccomp_;
  const oci::Seccomp* profile_ = nullptr;
  UniqueFd sync_;
  UniqueFd child_sync_;
  UniqueFd start_listener_;
  UniqueFd console_target_;
  UniqueFd console_;
  std::vector<UniqueFd> locks_;
  std::vector<std::pair<int, struct rlimit64>> raised_;  // our own limits, as they were
  UniqueFd own_pid_namespace_;
  UniqueFd helper_pid_namespace_;  // for the helper that clones to join, once it is in the user namespace
  UniqueFd own_time_namespace_;
  UniqueFd network_;
  MovedNetDevices net_devices_;
  std::vector<std::pair<std::size_t, UniqueFd>> mount_fds_;
  std::vector<StateRecord::HostInterface> interfaces_;
  std::map<std::string, std::uint64_t> namespaces_;
  sys::Cloned child_;
  bool new_pid_namespace_ = false;
};

}  // namespace cooper::container
