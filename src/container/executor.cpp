#include "container/executor.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "container/child_identity.h"
#include "container/child_mounts.h"
#include "container/find_step.h"
#include "container/hooks.h"
#include "container/interfaces.h"
#include "container/internal.h"
#include "container/open_namespace.h"
#include "container/out_of_memory.h"
#include "container/parent_root.h"
#include "container/seal_exe.h"
#include "container/seccomp_agent.h"
#include "container/sync.h"
#include "container/time_namespace.h"
#include "container/timing.h"
#include "io/file.h"
#include "log/log.h"
#include "log/steps.h"
#include "spec/oci_runtime/print.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/socket.h"
#include "sys/tables.h"
#include "userns/maps.h"

namespace cooper::container {
namespace {

bool child_waits_for_hooks(const Plan& plan) {
  for (const Step& step : plan.steps) {
    const auto* wait = std::get_if<WaitForParent>(&step.body);
    if (wait != nullptr && wait->what == "create-runtime-hooks") return true;
  }
  return false;
}

Error rlimit_refused(Error error, int resource, std::uint64_t hard, std::uint64_t now) {
  if (error.errno_value() != EPERM) return error;
  const std::string wish = "set " + std::string(sys::rlimit_name(resource)) + " to " + std::to_string(hard);
  if (resource == RLIMIT_NOFILE) {
    const auto most = io::read_file("/proc/sys/fs/nr_open", 64);
    const auto number = most.ok() ? parse_number<std::uint64_t>(trim(*most)) : std::nullopt;
    if (number && hard > *number)
      return Error(Errc::kPermission,
                   wish + ": the hard limit here is " + std::to_string(now) + ", and the most of any process " +
                       std::to_string(*number),
                   EPERM)
          .with_hint("lower the limit in the configuration, or raise fs.nr_open by sysctl");
  }
  return Error(Errc::kPermission,
               wish + ": the hard limit here is " + std::to_string(now) + " and raising it needs CAP_SYS_RESOURCE",
               EPERM)
      .with_hint("lower the limit in the configuration");
}

bool mounts_cgroups(const Plan& plan) {
  return std::any_of(plan.steps.begin(), plan.steps.end(), [](const Step& step) {
    const auto* mount = std::get_if<Mount>(&step.body);
    return mount != nullptr && mount->kind == MountKind::kCgroup;
  });
}

// What becomes of a clone of the host's mounts: the same as of the mounts that the child finds, for it is a peer of the
// host's and no change of "/" in the child's namespace reaches it. The kernel makes those of a namespace that belongs
// to another user namespace slaves, whatever else is wanted.
std::vector<std::uint64_t> propagation_of_clones(const Plan& plan, bool user_namespace) {
  constexpr std::uint64_t kSlave = MS_SLAVE | MS_REC;
  const auto* root = find_step<RootPropagation>(plan);
  const std::uint64_t wanted = root != nullptr ? root->flags : kSlave;
  if ((wanted & MS_PRIVATE) != 0) return {MS_PRIVATE | MS_REC};
  if (user_namespace || (wanted & MS_SLAVE) != 0) return {kSlave};
  if ((wanted & MS_SHARED) != 0) return {};
  // The mount namespace is not the container's own. The caller's shows its mounts outside, as the plan warns; one that
  // is joined is not to change the caller's.
  const bool joined = std::ranges::any_of(plan.steps, [](const Step& step) {
    const auto* join = std::get_if<JoinNamespace>(&step.body);
    return join != nullptr && join->type == "mount";
  });
  return joined ? std::vector<std::uint64_t>{kSlave} : std::vector<std::uint64_t>{};
}

}  // namespace

Status Executor::run() {
  Status done = walk();
  if (!done.ok()) roll_back();
  return done;
}

Status Executor::walk() {
  RETURN_IF_ERROR(prepare());
  for (std::size_t i = 0; i < in_.plan->steps.size(); ++i) {
    const Step& step = in_.plan->steps[i];
    if (step.actor != Actor::kParent) continue;
    if (std::holds_alternative<WaitForChild>(step.body) && in_.on_cloned)
      RETURN_IF_ERROR(std::exchange(in_.on_cloned, nullptr)(child_.pid));
    const StepTimer timer(in_.timing, i);
    Status done = std::visit([this](const auto& body) { return perform(body); }, step.body);
    if (!done.ok()) return std::move(done).error().with_step(step_name(step.body));
  }
  return finish();
}

Status Executor::prepare() {
  for (const std::string& warning : in_.plan->warnings) log::warning(warning);
  for (const std::string& note : in_.plan->notes) log::info(note);
  if (log::enabled(log::Level::kDebug)) {
    const std::string text = print_text(*in_.plan);
    for (const std::string_view line : split(text, '\n')) {
      if (line.empty() || line.starts_with("warning: ") || line.starts_with("note: ")) continue;
      log::write_step("planned", {{"step", std::string(line)}});
    }
  }
  for (const Step& step : in_.plan->steps) {
    const auto* load = std::get_if<LoadSeccomp>(&step.body);
    if (load != nullptr && !load->filter.empty()) {
      ASSIGN_OR_RETURN(seccomp_, seccomp::from_instructions(load->filter));
      continue;
    }
    if (load == nullptr || !load->profile) continue;
    ASSIGN_OR_RETURN(seccomp_, seccomp::compile(*load->profile));
    profile_ = &*load->profile;
    if (seccomp_->needs_listener && profile_->listener_path.empty()) {
      return Error(
          Errc::kInvalidArgument,
          "config.json: /linux/seccomp/listenerPath: seccomp listenerPath is not set, but SCMP_ACT_NOTIFY is used",
          EINVAL);
    }
  }
  if (!in_.console_socket.empty()) {
    ASSIGN_OR_RETURN(console_target_, connect_console(in_.console_socket));
  }
  if (!in_.start_socket.empty()) {
    ASSIGN_OR_RETURN(start_listener_, sys::unix_listen(in_.start_socket, SOCK_SEQPACKET, 0600));
  }
  ASSIGN_OR_RETURN(auto pair, sys::socketpair(SOCK_SEQPACKET));
  sync_ = std::move(pair.first);
  child_sync_ = std::move(pair.second);
  if (find_step<CgroupCreate>(*in_.plan) != nullptr || !in_.join_cgroup.empty() || mounts_cgroups(*in_.plan)) {
    ASSIGN_OR_RETURN(layout_, cgroup::probe_layout());
  }
  if (!in_.join_cgroup.empty()) {
    ASSIGN_OR_RETURN(group_, cgroup::Group::open(*layout_, in_.join_cgroup));
    cgroup_path_ = in_.join_cgroup;
    // A user without privileges may have got no group, in any hierarchy.
    if (in_.rootless && !group_->exists()) group_.reset();
    for (const auto& [controller, relative] : in_.sub_cgroups) {
      if (!group_)
        return Error(Errc::kNotFound, "the container has no cgroup in which " + quoted(relative) + " could be");
      RETURN_IF_ERROR(group_->enter_subgroup(controller, relative));
    }
  }
  return {};
}

Status Executor::perform(const StartUnit& step) {
  ASSIGN_OR_RETURN(Unit unit, Unit::start(step));
  unit_.emplace(std::move(unit));
  return {};
}

Status Executor::perform(const CgroupCreate& step) {
  const auto policy = in_.rootless && !in_.require_limits ? cgroup::Policy::kBestEffort : cgroup::Policy::kRequired;
  cgroup_path_ = unit_ ? unit_->cgroup_path() : step.path;
  own_group_ = true;
  return make_group(step, *layout_, policy, unit_ ? &*unit_ : nullptr, group_);
}

Status Executor::perform(const JoinPidNamespace& step) {
  ASSIGN_OR_RETURN(UniqueFd target, open_namespace("pid", step.path));
  if (in_.rootless) {
    // Coming back takes privileges over the namespace of here, so that somebody else goes.
    helper_pid_namespace_ = std::move(target);
    new_pid_namespace_ = true;
    return {};
  }
  ASSIGN_OR_RETURN(own_pid_namespace_, sys::openat(sys::kCwd, "/proc/self/ns/pid", O_RDONLY));
  Status joined = sys::setns(target, CLONE_NEWPID);
  new_pid_namespace_ = true;
  if (joined.ok()) return {};
  // The right to it may come with the user namespace that is joined.
  if (joined.error().errno_value() != EPERM || step.parent || joined_user_namespace(*in_.plan).empty())
    return std::move(joined).error().with("pid namespace " + quoted(step.path));
  helper_pid_namespace_ = std::move(target);
  own_pid_namespace_.reset();  // never left
  return {};
}

Status Executor::perform(const NewTimeNamespace& step) {
  ASSIGN_OR_RETURN(own_time_namespace_, sys::openat(sys::kCwd, "/proc/self/ns/time", O_RDONLY));
  return make_time_namespace(step);
}

Status Executor::perform(const NewNetworkNamespace& step) {
  if (in_.network == nullptr) return Error(Errc::kInternal, "nobody makes the network namespace");
  if (!in_.network->begun()) RETURN_IF_ERROR(in_.network->begin(step.loopback));
  ASSIGN_OR_RETURN(network_, in_.network->take());
  return {};
}

Status Executor::restore_own_namespaces() {
  if (own_pid_namespace_) RETURN_IF_ERROR(sys::setns(own_pid_namespace_, CLONE_NEWPID));
  if (own_time_namespace_) {
    // The kernel changes it for nobody who shares memory (EUSERS), as the helper of a start that failed early still
    // does.
    if (in_.network != nullptr) in_.network->wait();
    RETURN_IF_ERROR(sys::setns(own_time_namespace_, CLONE_NEWTIME));
  }
  own_pid_namespace_.reset();
  own_time_namespace_.reset();
  return {};
}

// The child may not be able to reach them once it is somebody else, nor to map their owners: they are opened while we
// can.
Status Executor::open_mount_sources(bool user_namespace) {
  const std::vector<std::uint64_t> propagation = propagation_of_clones(*in_.plan, user_namespace);
  for (std::size_t i = 0; i < in_.plan->steps.size(); ++i) {
    const auto* root = std::get_if<MountRoot>(&in_.plan->steps[i].body);
    if (root != nullptr && root->by_parent) {
      auto made = make_parent_root(*root);
      if (!made.ok()) return std::move(made).error().with("root file system " + quoted(root->path));
      mount_fds_.emplace_back(i, std::move(made).value());
    } else if (root != nullptr && root->image) {
      ASSIGN_OR_RETURN(UniqueFd image, io::mount_detached(root->image->image));
      mount_fds_.emplace_back(i, std::move(image));
    }
    const auto* mount = std::get_if<Mount>(&in_.plan->steps[i].body);
    if (mount == nullptr || mount->kind != MountKind::kBind || mount->remount) continue;
    if (!user_namespace && !mount->idmap) continue;
    auto tree = sys::open_tree(sys::kCwd, mount->source, OPEN_TREE_CLONE | (mount->recursive ? AT_RECURSIVE : 0U));
    // Who has no privileges outside has them inside, and there all that they may reach themselves.
    if (!tree.ok() && user_namespace && tree.error().errno_value() == EPERM && ::geteuid() != 0) continue;
    if (!tree.ok()) return std::move(tree).error().with("bind source " + quoted(mount->source));
    RETURN_IF_ERROR(apply_propagation(*tree, propagation));
    if (mount->idmap) {
      Status mapped = idmap_mount(*tree, mount->uid_mappings, mount->gid_mappings, mount->idmap_recursive);
      if (!mapped.ok()) return std::move(mapped).error().with("bind source " + quoted(mount->source));
    }
    mount_fds_.emplace_back(i, std::move(tree).value());
  }
  return {};
}

// Who may not raise a limit is told before anything starts; and the child inherits what it may not do itself in a user
// namespace. It sets the limits late, because a small one must not hit its set-up.
Status Executor::raise_hard_limits() {
  const auto* step = find_step<SetRlimits>(*in_.plan);
  if (step == nullptr) return {};
  for (const auto& [resource, values] : step->limits) {
    const std::uint64_t hard = values.second;
    ASSIGN_OR_RETURN(const struct rlimit64 now, sys::get_rlimit(resource));
    if (hard <= now.rlim_max) continue;
    Status raised = sys::prlimit(0, resource, {now.rlim_cur, hard});
    if (!raised.ok()) return rlimit_refused(std::move(raised).error(), resource, hard, now.rlim_max);
    raised_.emplace_back(resource, now);
  }
  return {};
}

void Executor::restore_hard_limits() {
  for (const auto& [resource, limit] : raised_) (void)!sys::prlimit(0, resource, limit).ok();
  raised_.clear();
}

Status Executor::perform(const Clone& step) {
  RETURN_IF_ERROR(raise_hard_limits());
  const ScopeExit restore([&] { restore_hard_limits(); });
  ASSIGN_OR_RETURN(const int threads, sys::thread_count());
  if (threads != 1)
    return Error(Errc::kInternal, "the process that starts a container has " + std::to_string(threads) + " threads");
  const bool user_namespace = (step.flags & CLONE_NEWUSER) != 0;
  new_pid_namespace_ = new_pid_namespace_ || (step.flags & CLONE_NEWPID) != 0;
  const bool new_or_joined = user_namespace || !joined_user_namespace(*in_.plan).empty();
  RETURN_IF_ERROR(open_mount_sources(new_or_joined));
  if (!user_namespace) {
    // Nobody who shares the container's PID namespace may trace the child or open its descriptors (CVE-2016-9962). The
    // child inherits it; with a new user namespace it is set after the id maps, because it would hide /proc/PID/uid_map
    // from an unprivileged parent.
    RETURN_IF_ERROR(sys::set_dumpable(false));
  }
  ChildContext context;
  context.plan = in_.plan;
  context.sync = child_sync_;
  context.parent_sync = sync_;
  context.start_listener = start_listener_;
  context.lock = in_.lock;
  context.sealed_clone = sealed_clone();
  context.stdio = in_.stdio;
  context.preserve_fds = in_.preserve_fds;
  context.extra_fds = in_.extra_fds;
  context.private_fds = in_.private_fds;
  context.report_namespaces = in_.report_namespaces;
  context.parent_death_signal = in_.parent_death_signal;
  context.block_signals = in_.block_signals;
  context.parent_pid = new_pid_namespace_ ? 0 : ::getpid();
  context.seccomp = seccomp_ ? &*seccomp_ : nullptr;
  if (group_) {
    context.group = &*group_;
    context.born =
        step.into_cgroup && group_->v2_fd() >= 0 ? cgroup::Group::Born::kInV2 : cgroup::Group::Born::kElsewhere;
    // The child joins when it may have lost the way to the files (new root), or the right to open them (new user).
    RETURN_IF_ERROR(group_->prepare_attach_self(context.born));
    context.in_every_group = own_group_ && (!in_.rootless || in_.require_limits);
  }
  context.cgroup_layout = layout_ ? &*layout_ : nullptr;
  context.cgroup_path = cgroup_path_;
  context.state = in_.state;
  // Who has no privileges may be in a user namespace already, and the container with them.
  context.user_namespace = new_or_joined || in_.rootless;
  for (const auto& [index, fd] : mount_fds_) context.mount_fds.emplace_back(index, fd.get());
  context.exec_pidfd = in_.exec_pidfd;
  context.exec_root = in_.exec_root;
  context.network = network_;
  context.timing = in_.timing;
  Status cloned = clone_init(step, context);
  if (!cloned.ok()) {
    (void)!restore_own_namespaces().ok();
    return cloned;
  }
  child_sync_.reset();
  network_.reset();
  start_listener_.reset();
  mount_fds_.clear();
  return restore_own_namespaces();
}

// Nothing is left to do here, and nothing can go wrong here, before the program starts.
bool Executor::starts_at_once() const {
  return in_.exec_pidfd >= 0 && in_.start_socket.empty() && !in_.on_prepared && !unit_ &&
         find_step<SetupConsole>(*in_.plan) == nullptr;
}

Status Executor::perform(const WriteIdMaps& step) {
  RETURN_IF_ERROR(userns::write_id_maps(child_.pid, step.uid, step.gid));
  return announce("id-maps");
}

Status Executor::perform(const ResctrlCreate& step) {
  ASSIGN_OR_RETURN(in_.resctrl, make_resctrl(step));
  return {};
}

Status Executor::perform(const ResctrlJoin&) {
  return join_resctrl(in_.resctrl, child_.pid);
}

Status Executor::perform(const MoveNetDevices& step) {
  RETURN_IF_ERROR(net_devices_.move(step, child_.pid));
  return announce("net-devices");
}

Status Executor::perform(const CreateInterfaces& step) {
  const std::string path =
      step.namespace_path.empty() ? "/proc/" + std::to_string(child_.pid) + "/ns/net" : step.namespace_path;
  ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(sys::kCwd, path, O_RDONLY));
  Status made = make_interfaces(step.interfaces, target, child_.pid, interfaces_);
  if (!made.ok()) return made;
  return announce("network");
}

Status Executor::perform(const RunParentHooks& step) {
  // poststart hooks belong to the start: after `create` they are run by Container::start().
  if (step.kind == "poststart") return {};
  oci::State state = in_.state;
  state.pid = child_.pid;
  state.status = "creating";
  return run_hooks(step.kind, step.hooks, hook_input(state));
}

Status Executor::perform(const WaitForChild& step) {
  if (step.what == "prepared") {
    // createRuntime hooks are done once the parent gets here: let the child go on to createContainer.
    if (child_waits_for_hooks(*in_.plan)) RETURN_IF_ERROR(announce("create-runtime-hooks"));
    // The answer to a question that is still to come: the child does not wait for this process to wake up.
    if (starts_at_once()) RETURN_IF_ERROR(announce("start"));
    let_go_of_executable();
    return wait_reached("start");
  }
  return wait_reached("create-runtime-hooks");
}

Status Executor::announce(std::string_view what) {
  Status sent = send_message(sync_, MessageType::kContinue, what);
  if (sent.ok() || (sent.error().errno_value() != EPIPE && sent.error().errno_value() != ECONNRESET)) return sent;
  // The child has ended; its own words are waiting in the socket.
  while (true) {
    auto message = receive_message(sync_);
    if (!message.ok()) return std::move(message).error();
    if (message->eof) return child_died();
  }
}

Error Executor::child_died() {
  // It closed its end of the socket, so it is ending; never wait without a limit all the same.
  if (auto ended = sys::pidfd_wait(child_.pidfd, 2000); !ended.ok() || !*ended)
    (void)!sys::pidfd_send_signal(child_.pidfd, SIGKILL).ok();
  auto status = sys::waitpid(child_.pid);
  std::string how = "ended without saying why";
  if (status.ok()) {
    child_.pid = 0;
    if (status->signal != 0) how = "was killed by " + sys::signal_name(status->signal);
  }
  if (in_.exec_pidfd >= 0) return Error(Errc::kSystem, "the process to be executed " + how);
  if (status.ok() && status->signal == SIGKILL && group_) {
    if (auto error = out_of_memory(*group_)) return *std::move(error);
  }
  Error error(Errc::kSystem, "the container's init " + how);
  if (status.ok() && status->signal == SIGKILL)
    return std::move(error).with_hint(seccomp_
                                          ? "the memory limit may be too low to start, or the seccomp profile refuses "
                                            "calls that every start needs, such as execve and exit_group"
                                          : "the memory limit may be too low to start");
  return error;
}

Status Executor::wait_reached(std::string_view what) {
  while (true) {
    ASSIGN_OR_RETURN(SyncMessage message, receive_message(sync_));
    if (message.eof) return child_died();
    if (message.type == MessageType::kConsole) {
      RETURN_IF_ERROR(take_over_console(std::move(message.fd)));
      continue;
    }
    if (message.type == MessageType::kLock) {
      locks_.push_back(std::move(message.fd));
      continue;
    }
    if (message.type == MessageType::kNamespaces) {
      namespaces_ = parse_namespaces(message.text);
      continue;
    }
    if (message.type == MessageType::kReached && message.text == what) return {};
    return Error(Errc::kInternal, "unexpected message from the container's init while waiting for " + quoted(what));
  }
}

Status Executor::take_over_console(UniqueFd master) {
  if (console_target_) return send_console(console_target_, master);
  console_ = std::move(master);
  return {};
}

// What the agent is told is what the start is: the container exists and its program has not begun.
Status Executor::take_over_listener(BorrowedFd listener) {
  oci::State state = in_.state;
  if (in_.exec_pidfd < 0) {
    state.pid = child_.pid;
    state.status = to_string(RunStatus::kCreated);
  }
  RETURN_IF_ERROR(send_listener(*profile_, state, child_.pid, listener));
  return send_message(sync_, MessageType::kContinue, "listener");
}

Status Executor::finish() {
  // The init is in its group.
  if (unit_) unit_->release_holder();
  if (in_.on_prepared) RETURN_IF_ERROR(in_.on_prepared(child_.pid, cgroup_path_));
  if (!in_.start_socket.empty()) return still_there();
  if (!starts_at_once()) RETURN_IF_ERROR(announce("start"));
  // End of file: the exec happened. Anything else is the child's failure.
  while (true) {
    ASSIGN_OR_RETURN(const SyncMessage message, receive_message(sync_));
    if (message.eof) return still_there();
    if (message.type != MessageType::kListener || !message.fd || profile_ == nullptr)
      return Error(Errc::kInternal, "unexpected message from the container's init after its start");
    RETURN_IF_ERROR(take_over_listener(message.fd));
  }
}

// The end of the connection is an exec, or the end of a process that had no memory for one.
Status Executor::still_there() {
  const auto* step = find_step<CgroupCreate>(*in_.plan);
  if (step == nullptr || !group_ || !limits_memory(step->resources)) return {};
  auto error = out_of_memory_at_start(*group_, child_.pid, child_.pidfd);
  return error ? Status(*std::move(error)) : Status();
}

void Executor::roll_back() {
  // Whatever this process starts from here on - poststop hooks, a pod's next app - is born where it is itself.
  (void)!restore_own_namespaces().ok();
  // Before the namespace that they are in ends.
  net_devices_.give_back();
  if (child_.pid > 0) {
    (void)!sys::pidfd_send_signal(child_.pidfd, SIGKILL).ok();
    (void)!sys::waitpid(child_.pid).ok();
    child_.pid = 0;
  }
  if (!in_.start_socket.empty()) (void)::unlink(in_.start_socket.c_str());
  discard_group(unit_ ? &*unit_ : nullptr, group_ && own_group_ ? &*group_ : nullptr);
  if (in_.exec_pidfd < 0) {
    if (Status removed = remove_resctrl(in_.resctrl); !removed.ok()) log::warning(removed.error().message());
  }
  remove_interfaces(interfaces_);
}

}  // namespace cooper::container
