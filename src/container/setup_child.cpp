#include "container/setup_child.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <set>

#include "base/strings.h"
#include "container/child_entries.h"
#include "container/child_exec.h"
#include "container/child_identity.h"
#include "container/child_mounts.h"
#include "container/core_scheduling.h"
#include "container/find_step.h"
#include "container/hooks.h"
#include "container/interfaces.h"
#include "container/landlock.h"
#include "container/memory_policy.h"
#include "container/mount_commands.h"
#include "container/namespace_root.h"
#include "container/open_namespace.h"
#include "container/sync.h"
#include "container/time_namespace.h"
#include "container/timing.h"
#include "io/file.h"
#include "io/root_dir.h"
#include "netlink/netlink.h"
#include "spec/oci_runtime/print.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/missing.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/socket.h"
#include "sys/tables.h"

namespace cooper::container {
namespace {

Status errno_status(std::string_view what) {
  const int saved = errno;
  return Error::from_errno(saved, what);
}

// Walks the child's steps. One method a step; the order is the plan's.
class Child {
 public:
  explicit Child(const ChildContext& context) : c_(context) {}

  Status run() {
    RETURN_IF_ERROR(begin());
    for (index_ = 0; index_ < c_.plan->steps.size(); ++index_) {
      const Step& step = c_.plan->steps[index_];
      if (step.actor != Actor::kChild) continue;
      const StepTimer timer(c_.timing, index_);
      const bool makes_node =
          std::holds_alternative<CreateDevice>(step.body) || std::holds_alternative<CreateSymlink>(step.body);
      if (!makes_node) places_.forget();
      Status done = std::visit([this](const auto& body) { return perform(body); }, step.body);
      if (!done.ok()) return std::move(done).error().with_step(step_name(step.body));
    }
    return Error(Errc::kInternal, "the plan ends without an exec step");
  }
  // Where a failure is reported: the caller of `start` once it has connected, the creator before.
  BorrowedFd failure_fd() const { return starter_ ? starter_.borrow() : c_.sync; }

 private:
  Status begin() {
    (void)::close(c_.parent_sync.get());
    if (c_.lock.valid()) (void)::close(c_.lock.get());
    // The parent lets go of it last, and waits.
    if (c_.sealed_clone >= 0) (void)::close(c_.sealed_clone);
    for (const int fd : c_.private_fds) (void)::close(fd);
    if (c_.report_namespaces || find_step<EnterInnerUserNamespace>(*c_.plan) != nullptr)
      RETURN_IF_ERROR(identity_.open());
    for (int signal = 1; signal <= SIGRTMAX; ++signal)
      (void)::signal(signal, SIG_DFL);  // NOLINT(bugprone-signal-handler): resets only
    if (!c_.block_signals) {
      sigset_t none;
      (void)::sigemptyset(&none);
      (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
    }
    if (c_.parent_death_signal != 0) {
      RETURN_IF_ERROR(sys::set_parent_death_signal(c_.parent_death_signal));
      if (c_.parent_pid != 0 && ::getppid() != c_.parent_pid)
        return Error(Errc::kCancelled, "the creating process has died");
    }
    (void)::umask(0);  // nodes and directories get the mode of the plan exactly
    RETURN_IF_ERROR(attach_stdio());
    return exec_.open_labels(*c_.plan);
  }

  Status attach_stdio() {
    const std::array<int, 3> wanted{c_.stdio.in, c_.stdio.out, c_.stdio.err};
    std::array<UniqueFd, 3> safe;
    for (std::size_t i = 0; i < 3; ++i) {
      if (wanted[i] < 0) continue;
      ASSIGN_OR_RETURN(safe[i], sys::dup_cloexec(BorrowedFd(wanted[i]), 3));
    }
    for (int i = 0; i < 3; ++i) {
      const auto& fd = safe[static_cast<std::size_t>(i)];
      if (fd && ::dup2(fd.get(), i) < 0) return errno_status("attach standard streams");
    }
    return {};
  }

  // What the parent mounted for this step.
  BorrowedFd inherited_mount() const {
    for (const auto& [index, fd] : c_.mount_fds) {
      if (index == index_) return BorrowedFd(fd);
    }
    return BorrowedFd(-1);
  }

  Status open_root() {
    ASSIGN_OR_RETURN(io::RootDir opened, io::RootDir::open("/"));
    root_.emplace(std::move(opened));
    return {};
  }

  // ---- conversation ----
  Status perform(const WaitForParent& wait) {
    if (wait.what == "start") return wait_for_start();
    if (wait.what == "create-runtime-hooks") RETURN_IF_ERROR(send_message(c_.sync, MessageType::kReached, wait.what));
    return wait_continue(wait.what);
  }

  Status wait_continue(const std::string& what) {
    while (!announced_.contains(what)) {
      ASSIGN_OR_RETURN(const SyncMessage message, receive_message(c_.sync));
      if (message.eof) return Error(Errc::kCancelled, "the creating process has died");
      if (message.type != MessageType::kContinue)
        return Error(Errc::kInternal, "unexpected message while waiting for " + quoted(what));
      announced_.insert(message.text);
    }
    return {};
  }

  Status wait_for_start() {
    if (c_.report_namespaces) {
      ASSIGN_OR_RETURN(const std::string namespaces, identity_.namespaces());
      RETURN_IF_ERROR(send_message(c_.sync, MessageType::kNamespaces, namespaces));
    }
    RETURN_IF_ERROR(send_message(c_.sync, MessageType::kReached, "start"));
    if (!c_.start_listener.valid()) return wait_continue("start");
    (void)::close(c_.sync.get());  // end of file tells the creator that nothing more will come
    while (true) {
      ASSIGN_OR_RETURN(UniqueFd peer, accept_starter());
      auto message = receive_message(peer);
      if (message.ok() && message->eof) continue;
      if (message.ok() && message->type == MessageType::kContinue && message->text == "start") {
        starter_ = std::move(peer);
        return {};
      }
      // Not without a word: the end of the connection would mean that the program runs.
      const Error error = message.ok() ? Error(Errc::kInvalidArgument, "unexpected message instead of the start")
                                       : std::move(message).error();
      (void)!send_failure(peer, error).ok();
    }
  }

  // A created container does not die of a shortage while it waits; a lasting one ends the wait, and the caller's with
  // it.
  Result<UniqueFd> accept_starter() const {
    constexpr int kAttempts = 100;
    constexpr struct timespec kPause = {0, 10'000'000};
    for (int attempt = 1;; ++attempt) {
      auto peer = sys::accept(c_.start_listener);
      if (peer.ok()) return peer;
      const int error = peer.error().errno_value();
      const bool passing = error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOBUFS;
      if (!passing || attempt == kAttempts) return peer;
      (void)::nanosleep(&kPause, nullptr);
    }
  }

  // ---- namespaces and identity ----
  Status perform(const CgroupJoin&) { return c_.group == nullptr ? Status() : c_.group->attach_self(c_.born); }
  Status perform(const EnterContainer& step) {
    if (step.namespaces != 0 && ::setns(c_.exec_pidfd, step.namespaces) != 0)
      return errno_status("join the container's namespaces");
    if (::fchdir(c_.exec_root) != 0) return errno_status("enter the container's root");
    if (::chroot(".") != 0) return errno_status("change to the container's root");
    // /proc is the container's: where no user 0 is mapped nothing is asked of it, and the program becomes its user from
    // here.
    if ((step.namespaces & CLONE_NEWUSER) != 0) RETURN_IF_ERROR(drop_outer_identity(become_zero()));
    return open_root();
  }
  Status perform(const BecomeRoot&) { return drop_outer_identity(become_namespace_root()); }
  Status drop_outer_identity(Status become) {
    RETURN_IF_ERROR(std::move(become));
    // EPERM: setgroups is denied in this namespace, then there is nothing to drop.
    if (Status groups = sys::setgroups({}); !groups.ok() && groups.error().errno_value() != EPERM) return groups;
    return sys::set_dumpable(false);
  }
  Status perform(const JoinNamespace& join) {
    if (join.type == "user" && c_.user_namespace_joined) {
      RETURN_IF_ERROR(check_ids_are_mapped());
      return perform(BecomeRoot{});
    }
    const sys::NamespaceInfo* info = sys::namespace_by_oci_name(join.type);
    if (info == nullptr) return Error(Errc::kInternal, "unknown namespace " + quoted(join.type));
    ASSIGN_OR_RETURN(const UniqueFd target, open_namespace(join.type, join.path));
    Status joined = sys::setns(target, info->clone_flag);
    if (joined.ok()) return joined;
    return std::move(joined).error().with(join.type + " namespace " + quoted(join.path));
  }
  // Now, and not at the start, which may be much later.
  Status check_ids_are_mapped() const {
    const auto* wanted = find_step<SetCredentials>(*c_.plan);
    const auto* inner = find_step<EnterInnerUserNamespace>(*c_.plan);
    return wanted == nullptr || inner != nullptr ? Status() : OwnIdentity::check_mapped(*wanted);
  }
  Status perform(const EnterNetworkNamespace&) {
    RETURN_IF_ERROR(sys::setns(c_.network, CLONE_NEWNET));
    (void)::close(c_.network.get());
    return {};
  }
  Status perform(const NewTimeNamespace& step) {
    return c_.in_new_time_namespace ? Status() : enter_new_time_namespace(step);
  }
  Status perform(const NewIpcNamespace&) { return sys::unshare(CLONE_NEWIPC); }
  Status perform(const NewCgroupNamespace&) {
    private_cgroup_namespace_ = true;
    return sys::unshare(CLONE_NEWCGROUP);
  }
  Status perform(const NewSession&) {
    if (::setsid() < 0) return errno_status("start a session");
    return {};
  }
  Status perform(const NewKeyring& keyring) {
    if (keyring.label.empty()) return join_keyring(keyring);
    Status labelled = sys::write_all(exec_.key_label_fd(), keyring.label);
    if (!labelled.ok())
      return Error::from_errno(labelled.error().errno_value(), "label the session keyring " + quoted(keyring.label));
    RETURN_IF_ERROR(join_keyring(keyring));
    // Keys that the program makes are labelled by the policy again.
    Status reset = sys::write_all(exec_.key_label_fd(), "\n");
    if (reset.ok()) return reset;
    return Error::from_errno(reset.error().errno_value(), "reset the label of new keys");
  }
  static Status join_keyring(const NewKeyring& keyring) {
    if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, keyring.name.c_str()) >= 0) return {};
    // Keys are a scarce quota and optional in kernels: a container without its own keyring is still a container (runc's
    // rule).
    if (errno == ENOSYS || errno == EDQUOT || errno == EPERM || errno == EACCES) return {};
    return errno_status("join session keyring " + quoted(keyring.name));
  }
  Status perform(const SetOomScoreAdj& step) {
    Status written = io::write_existing(sys::kCwd, "/proc/self/oom_score_adj", std::to_string(step.value));
    if (written.ok()) return written;
    return std::move(written).error().with("oomScoreAdj").with_hint("lowering the score needs CAP_SYS_RESOURCE");
  }
  Status perform(const LoopbackUp&) { return netlink::set_loopback_up(); }
  Status perform(const ConfigureInterface& step) { return configure_interface(step); }
  Status perform(const AddRoute& step) { return add_route(step.route); }
  Status perform(const SetSysctl& step) {
    Status written = io::write_existing(sys::kCwd, "/proc/sys/" + step.key, step.value);
    if (written.ok()) return written;
    return std::move(written).error().with("sysctl " + quoted(step.key));
  }
  Status perform(const SetHostname& step) { return sys::sethostname(step.name); }
  Status perform(const SetDomainname& step) { return sys::setdomainname(step.name); }

  // ---- root file system ----
  Status perform(const RootPropagation& step) {
    RETURN_IF_ERROR(masker_.prepare());
    if (step.flags == 0) {
      shared_mounts_ = true;
      return {};
    }
    return sys::mount("", "/", "", static_cast<unsigned long>(step.flags), "");
  }
  Status perform(const MountRoot& step) {
    bool shared = false;
    for (const Step& other : c_.plan->steps) {
      const auto* last = std::get_if<FinalRootPropagation>(&other.body);
      shared = shared || (last != nullptr && (last->flags & MS_SHARED) != 0 && !shared_mounts_);
    }
    auto mounted = step.by_parent ? attach_root(inherited_mount()) : mount_root(step, shared, inherited_mount());
    if (!mounted.ok()) return std::move(mounted).error().with("root file system " + quoted(step.path));
    root_.emplace(std::move(mounted->root));
    shared_peer_ = std::move(mounted->shared_peer);
    return {};
  }
  Status perform(const Mount& step) {
    MountEnvironment environment;
    environment.root = &*root_;
    environment.kernel_mounts = &kernel_mounts_;
    environment.cgroup_layout = c_.cgroup_layout;
    environment.cgroup_path = c_.cgroup_path;
    environment.private_cgroup_namespace = private_cgroup_namespace_;
    // Where a joined mount namespace shows them, or whether it does, is not known.
    environment.in_every_group = c_.in_every_group && !shared_mounts_;
    environment.user_namespace = c_.user_namespace;
    environment.source_fd = inherited_mount().get();
    return perform_mount(step, environment);
  }
  Status perform(const MakeEntry& step) { return make_entry(step.entry, *root_); }
  Status perform(const RunMountCommands& step) {
    return run_mount_commands(step.when + " the mount on " + quoted(step.destination), step.commands);
  }
  Status perform(const Relabel& step) { return relabel_tree(step.path, step.label); }
  Status perform(const CreateDevice& step) { return create_device(step, *root_, places_); }
  Status perform(const CreateSymlink& step) { return create_symlink(step, *root_, places_); }
  Status perform(const SetupConsole& step) {
    ASSIGN_OR_RETURN(const UniqueFd master, setup_console(step, *root_, c_.exec_pidfd < 0));
    return send_message(c_.sync, MessageType::kConsole, "console", master.get());
  }
  Status perform(const RunChildHooks& step) {
    oci::State state = c_.state;
    state.pid = ::getpid();  // as the container sees it, in whose namespaces these hooks run
    state.status = step.kind == "startContainer" ? "created" : "creating";
    // Programs of the container have what its process has, and nothing of the host's.
    const Exec* process = step.kind == "startContainer" ? find_step<Exec>(*c_.plan) : nullptr;
    return run_hooks(step.kind, step.hooks, oci::print_state(state), process != nullptr ? &process->env : nullptr);
  }
  Status perform(const PivotRoot& step) {
    ASSIGN_OR_RETURN(const bool copies, pivot_root(step, *root_, shared_peer_));
    RETURN_IF_ERROR(open_root());
    return copies ? kernel_mounts_.find_copies(*root_) : Status();
  }
  Status perform(const FinalRootPropagation& step) {
    return sys::mount("", "/", "", static_cast<unsigned long>(step.flags), "");
  }
  Status perform(const ReadonlyPath& step) {
    const auto place = kernel_mounts_.find(step.path, *root_);
    return make_readonly(place.path, *place.root);
  }
  Status perform(const MaskPath& step) {
    const auto place = kernel_mounts_.find(step.path, *root_);
    return masker_.mask(place.path, *place.root);
  }
  Status perform(const ReadonlyRoot&) { return set_mount_attributes(root_->fd(), MOUNT_ATTR_RDONLY, 0, false); }

  // ---- process attributes ----
  Status perform(const SetScheduler& step) { return apply_scheduler(step); }
  Status perform(const SetIoPriority& step) {
    const int value = (step.io_class << IOPRIO_CLASS_SHIFT) | step.priority;
    if (::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) != 0) {
      return errno_status("set the I/O priority");
    }
    return {};
  }
  Status perform(const SetPersonality& step) {
    if (::personality(static_cast<unsigned long>(step.persona)) < 0) return errno_status("set the personality");
    return {};
  }
  Status perform(const SetMemoryPolicy& step) { return apply_memory_policy(step); }
  Status perform(const SetCoreScheduling& step) { return apply_core_scheduling(step); }
  Status perform(const SetLandlock& step) {
    ASSIGN_OR_RETURN(UniqueFd ruleset, make_landlock_ruleset(step, *root_));
    exec_.set_landlock(std::move(ruleset));
    return {};
  }
  Status perform(const SetAffinity& step) { return apply_affinity(step); }
  Status perform(const FindExecutable&) { return exec_.find_executable(*c_.plan, *root_); }
  Status perform(const PrepareCwd&) { return exec_.prepare_cwd(*c_.plan, *root_); }
  Status perform(const LockFile& step) {
    ASSIGN_OR_RETURN(const BorrowedFd file, exec_.lock_file(step.path, *root_));
    return send_message(c_.sync, MessageType::kLock, step.path, file.get());
  }
  Status perform(const EnterInnerUserNamespace& step) {
    return step.fd < 0 ? identity_.enter_inner(step.uid, step.gid) : OwnIdentity::go_to_inner(BorrowedFd(step.fd));
  }
  Status perform(const SetRlimits& step) { return exec_.set_rlimits(step); }
  Status perform(const LoadSeccomp&) {
    exec_.set_seccomp(c_.seccomp);
    return {};
  }
  Status perform(const SetLabels&) { return {}; }  // opened in begin(), written in the last mile
  Status perform(const SetCredentials& step) { return exec_.set_credentials(step); }
  Status perform(const Exec& step) {
    ASSIGN_OR_RETURN(ExecPlan plan, exec_.finish(step, *root_));
    const int kept = c_.preserve_fds + static_cast<int>(c_.extra_fds.size());
    plan.first_cloexec_fd = static_cast<unsigned>(3 + kept);
    const std::vector<int> held = step.init ? exec_.held(step.held) : std::vector<int>();
    plan.held_count = static_cast<unsigned>(held.size());
    plan.parent_death_signal = c_.parent_death_signal;
    plan.expected_parent = c_.parent_pid;
    plan.status_fd = failure_fd().get();
    if (!c_.extra_fds.empty() || !held.empty()) RETURN_IF_ERROR(place_fds(plan, held));
    run_lastmile(plan);
  }

  // The caller's descriptors get the numbers after the preserved ones, and those that process 1 holds the next.
  // Whatever of ours has such a number is no longer needed, but for those that the last mile uses.
  Status place_fds(ExecPlan& plan, const std::vector<int>& held) {
    const int first = 3 + c_.preserve_fds;
    const int above = static_cast<int>(plan.first_cloexec_fd + plan.held_count);
    for (int* own : {&plan.status_fd, &plan.label_fd, &plan.landlock_fd}) {
      if (*own < 0 || *own >= above) continue;
      ASSIGN_OR_RETURN(UniqueFd moved, sys::dup_cloexec(BorrowedFd(*own), above));
      *own = moved.get();
      moved_.push_back(std::move(moved));
    }
    std::vector<UniqueFd> safe;
    for (const std::vector<int>* fds : {&c_.extra_fds, &held}) {
      for (const int fd : *fds) {
        ASSIGN_OR_RETURN(UniqueFd copy, sys::dup_cloexec(BorrowedFd(fd), above));
        safe.push_back(std::move(copy));
      }
    }
    for (std::size_t i = 0; i < safe.size(); ++i) {
      const int wanted = first + static_cast<int>(i);
      const int flags = i < c_.extra_fds.size() ? 0 : O_CLOEXEC;
      if (::dup3(safe[i].get(), wanted, flags) < 0) return errno_status("pass descriptor " + std::to_string(wanted));
    }
    return {};
  }

  // ---- steps that belong to the parent ----
  template <typename T>
  Status perform(const T&) {
    return Error(Errc::kInternal, "a step of the parent was given to the child");
  }

  const ChildContext& c_;
  std::size_t index_ = 0;
  std::set<std::string> announced_;
  std::optional<io::RootDir> root_;
  Masker masker_;
  KernelMounts kernel_mounts_;
  NodePlaces places_;
  UniqueFd shared_peer_;
  ExecPreparation exec_;
  OwnIdentity identity_;
  UniqueFd starter_;
  std::vector<UniqueFd> moved_;
  bool private_cgroup_namespace_ = false;
  bool shared_mounts_ = false;
};

}  // namespace

void run_child(const ChildContext& context) {
  Child child(context);
  const Status status = child.run();
  if (!status.ok()) (void)!send_failure(child.failure_fd(), status.error()).ok();
  ::_exit(1);
}

}  // namespace cooper::container
