// The one clone, and the detours to the place where it may happen.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "base/strings.h"
#include "container/executor.h"
#include "container/find_step.h"
#include "container/internal.h"
#include "container/open_namespace.h"
#include "container/sync.h"
#include "container/time_namespace.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace cooper::container {
namespace {

// Signals stay blocked from before the clone until the child has reset its handlers, so that no handler of ours runs in
// it.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    (void)::sigfillset(&all);
    (void)::sigprocmask(SIG_SETMASK, &all, &saved_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { (void)::sigprocmask(SIG_SETMASK, &saved_, nullptr); }

 private:
  sigset_t saved_ = {};
};

// EPERM: namespaces other than a user's need rights over the user namespace. ENOSPC of a clone is a limit on namespaces
// (namespaces(7)); the kernel does not say of which kind.
Error clone_error(Error error, std::uint64_t flags) {
  const int e = error.errno_value();
  if (e == EPERM && (flags & CLONE_NEWUSER) == 0 && ::geteuid() != 0) {
    return std::move(error)
        .with("make namespaces")
        .with_hint(
            "who is not root needs a new user namespace for it: add {\"type\": \"user\"} to the namespaces, as "
            "'coop spec --rootless' does");
  }
  if (e != ENOSPC) return error;
  if ((flags & CLONE_NEWUSER) == 0)
    return std::move(error).with("make namespaces").with_hint("a limit user.max_*_namespaces of sysctl is reached");
  return std::move(error)
      .with("make a user namespace and those in it")
      .with_hint("a limit of sysctl is reached: 'user.max_user_namespaces', or that of another kind");
}

}  // namespace

std::string joined_user_namespace(const Plan& plan) {
  for (const Step& step : plan.steps) {
    const auto* join = std::get_if<JoinNamespace>(&step.body);
    if (join != nullptr && join->type == "user") return join->path;
  }
  return {};
}

// The init has handed controllers to groups below the container's and moved there itself, or somebody has moved it and
// removed its group: who joins it goes where it is.
Result<bool> Executor::choose_group_of_init(ChildContext& context) {
  auto paths = cgroup::paths_of(in_.join_cgroup_of);
  if (!paths.ok()) return false;
  const std::string path = (*paths)[""];
  if (!path.starts_with(cgroup_path_ + "/") && context.group->exists()) return false;
  auto group = cgroup::Group::open(*layout_, path);
  // The root of the tree, or outside of what this process sees, is no place for a container.
  if (!group.ok() || group->v2_fd() < 0) return false;
  group_ = std::move(*group);
  context.group = &*group_;
  context.cgroup_path = path;
  return true;
}

Result<sys::Cloned> Executor::clone_child(std::uint64_t flags, ChildContext& context, CloneCall call) {
  const bool joins = context.group != nullptr && in_.join_cgroup_of > 0;
  if (joins && context.group->tree() == cgroup::Tree::kV2 && context.group->v2_fd() < 0) {
    ASSIGN_OR_RETURN(const bool found, choose_group_of_init(context));
    if (found) context.born = cgroup::Group::Born::kInV2;
  }
  if (context.group == nullptr || context.born != cgroup::Group::Born::kInV2) return call(flags, -1);
  auto cloned = call(flags, context.group->v2_fd());
  // ENODEV: removed since it was opened.
  if (!cloned.ok() && joins && (cloned.error().errno_value() == EBUSY || cloned.error().errno_value() == ENODEV)) {
    ASSIGN_OR_RETURN(const bool found, choose_group_of_init(context));
    if (found) cloned = call(flags, context.group->v2_fd());
  }
  const int e = cloned.ok() ? 0 : cloned.error().errno_value();
  // EAGAIN: the limit of processes leaves no room beside the one that holds the unit.
  const bool crowded = e == EAGAIN && context.group->has_holder();
  if (e != EBUSY && e != EOPNOTSUPP && !crowded) return cloned;
  // The v2 group takes no births. The attempt to join it says why, if that fails as well.
  context.born = cgroup::Group::Born::kElsewhere;
  RETURN_IF_ERROR(context.group->prepare_attach_self(context.born));
  return call(flags, -1);
}

Status Executor::clone_here(const Clone& step, ChildContext& context) {
  const BlockedSignals blocked;
  auto cloned = clone_child(step.flags, context, sys::clone3);
  if (!cloned.ok()) return clone_error(std::move(cloned).error(), step.flags);
  child_ = std::move(cloned).value();
  if (child_.pid == 0) run_child(context);
  return {};
}

Status Executor::clone_init(const Clone& step, ChildContext& context) {
  const std::string user = joined_user_namespace(*in_.plan);
  const bool in_unit = context.born == cgroup::Group::Born::kInV2 && (unit_ || !in_.join_unit.empty());
  // A PID namespace can be made by who is in the one above it, which only a child of this process can be.
  const auto* pid = find_step<JoinPidNamespace>(*in_.plan);
  const bool from_helper = !user.empty() || helper_pid_namespace_ || (pid != nullptr && pid->parent);
  Status done =
      from_helper ? clone_from({.user_namespace = user, .unit = false}, step, context) : clone_here(step, context);
  if (done.ok() || !in_unit) return done;
  if (const int e = done.error().errno_value(); e != EACCES && e != EPERM) return done;
  // We are in a part of the tree we may not leave by ourselves (a login session); the user's manager can do it.
  return clone_from({.user_namespace = user, .unit = true}, step, context);
}

Status Executor::attach_to_unit(pid_t pid) {
  if (unit_) return unit_->attach(pid);
  ASSIGN_OR_RETURN(auto systemd, dbus::Systemd::connect(in_.join_bus));
  return systemd.attach(in_.join_unit, "", {pid});
}

// In the helper.
void Executor::help(const Place& place, BorrowedFd target, BorrowedFd socket, const Clone& step,
                    ChildContext& context) {
  const auto go = [&]() -> Result<sys::Cloned> {
    if (place.unit) {
      ASSIGN_OR_RETURN(const SyncMessage message, receive_message(socket));
      if (message.eof) ::_exit(1);
      // Born where its parent is.
      context.born = cgroup::Group::Born::kInV2;
    }
    if (target.valid()) {
      Status joined = sys::setns(target, CLONE_NEWUSER);
      // exec: born in the container's PID namespace too.
      if (joined.ok() && in_.exec_pidfd >= 0) joined = sys::setns(BorrowedFd(in_.exec_pidfd), CLONE_NEWPID);
      if (!joined.ok())
        return Error(Errc::kPermission, joined.error().message(), joined.error().errno_value())
            .with("user namespace " + quoted(place.user_namespace));
    }
    // The child makes its own in a user namespace of its own. In one that is joined it has neighbours, who could trace
    // it meanwhile, and reach the host's files through it; those who share its PID namespace only do not see this
    // process.
    const auto* time = find_step<NewTimeNamespace>(*in_.plan);
    if (time != nullptr && target.valid() && in_.rootless) {
      RETURN_IF_ERROR(make_time_namespace_inside(*time));
      context.in_new_time_namespace = true;
    }
    if (helper_pid_namespace_) {
      Status joined = sys::setns(helper_pid_namespace_, CLONE_NEWPID);
      if (!joined.ok()) return std::move(joined).error().with("pid namespace");
    }
    auto made = place.unit ? sys::clone3_sibling(step.flags) : clone_child(step.flags, context, sys::clone3_sibling);
    if (made.ok() || !target.valid()) return made;
    return clone_error(std::move(made).error(), step.flags).with("user namespace " + quoted(place.user_namespace));
  };
  auto cloned = go();
  if (cloned.ok() && cloned->pid == 0) run_child(context);
  if (cloned.ok()) (void)!send_message(socket, MessageType::kReached, "cloned", cloned->pidfd.get()).ok();
  if (!cloned.ok()) (void)!send_failure(socket, cloned.error()).ok();
  ::_exit(0);
}

// The new namespaces must belong to the user namespace that is joined, so somebody has to enter it first and clone
// there, as into a PID namespace from which there is no way back; a group that we may not move processes into takes
// those whose parent is inside. That somebody is a short-lived child; CLONE_PARENT makes the container's init our own
// child all the same.
Status Executor::clone_from(const Place& place, const Clone& step, ChildContext& context) {
  UniqueFd target;
  if (!place.user_namespace.empty()) {
    ASSIGN_OR_RETURN(target, open_namespace("user", place.user_namespace));
    context.user_namespace_joined = true;
  }
  ASSIGN_OR_RETURN(auto pair, sys::socketpair(SOCK_SEQPACKET));
  context.parent_pid = 0;
  const BlockedSignals blocked;
  ASSIGN_OR_RETURN(const sys::Cloned helper, sys::clone3(0));
  if (helper.pid == 0) {
    pair.first.reset();
    help(place, target, pair.second, step, context);
  }
  pair.second.reset();
  Status moved;
  if (place.unit) {
    moved = attach_to_unit(helper.pid);
    if (moved.ok()) moved = send_message(pair.first, MessageType::kContinue, "clone");
    if (!moved.ok()) pair.first.reset();
  }
  auto message = moved.ok() ? receive_message(pair.first) : Result<SyncMessage>(std::move(moved).error());
  RETURN_IF_ERROR(sys::waitpid(helper.pid).ok() ? Status()
                                                : Status(Error(Errc::kInternal, "lost the helper that clones")));
  if (!message.ok()) return std::move(message).error();
  if (message->eof || !message->fd)
    return Error(Errc::kSystem, "the helper that clones the container's init ended without an answer");
  child_.pidfd = std::move(message->fd);
  // The helper may have been born into the PID namespace that is joined, where the number is another one.
  ASSIGN_OR_RETURN(child_.pid, pid_in_proc(child_.pidfd));
  return {};
}

}  // namespace cooper::container
