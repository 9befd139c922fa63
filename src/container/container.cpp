#include "container/container.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/strings.h"
#include "container/hooks.h"
#include "container/interfaces.h"
#include "container/internal.h"
#include "container/out_of_memory.h"
#include "container/seccomp_agent.h"
#include "container/state.h"
#include "container/sync.h"
#include "container/unit.h"
#include "io/file.h"
#include "log/log.h"
#include "spec/oci_runtime/parse.h"
#include "spec/oci_runtime/print.h"
#include "spec/oci_runtime/versions.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace cooper::container {
namespace {

constexpr int kKillWaitMs = 10000;

// Tells a waiting init to go on. The connection says what becomes of it.
Result<UniqueFd> say_start(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd socket, sys::unix_connect(path, SOCK_SEQPACKET));
  RETURN_IF_ERROR(send_message(socket, MessageType::kContinue, "start"));
  return socket;
}

bool is_missing(const Error& error) {
  return error.errno_value() == ENOENT || error.errno_value() == ESRCH;
}

// The file may be all right: what fails is this attempt to read it.
bool may_work_later(const Error& error) {
  constexpr std::array kPassing{ENOMEM, EMFILE, ENFILE, EINTR, EPERM, EACCES};
  return std::ranges::find(kPassing, error.errno_value()) != kPassing.end();
}

// The init is ours and alive: same boot, same start time, not a zombie. What cannot be found out is no answer: a
// container that is taken for dead would be deleted under its processes.
Result<bool> init_alive(const StateRecord& record) {
  if (record.pid <= 0) return false;
  auto stat = sys::process_stat(record.pid);
  if (!stat.ok() && !is_missing(stat.error()))
    return std::move(stat).error().with("look for the init of container " + quoted(record.id));
  if (!stat.ok() || stat->start_time != record.start_time || stat->state == 'Z' || stat->state == 'X') return false;
  ASSIGN_OR_RETURN(const std::string boot, boot_id());
  return boot == record.boot_id;
}

// Between the exec and the removal of its socket the socket is still there: a process that runs something else than the
// runtime's executable has started.
Result<bool> init_waits(const StateRecord& record, const StatePaths& paths) {
  auto socket = sys::fstatat(sys::kCwd, paths.start_socket());
  if (!socket.ok() && !is_missing(socket.error())) return std::move(socket).error();
  if (!socket.ok()) return false;
  const std::string link = "/proc/" + std::to_string(record.pid) + "/exe";
  auto exe = sys::fstatat(sys::kCwd, link, 0);
  // EACCES: an init that waits may not be looked at by a user without privileges.
  if (!exe.ok() && !is_missing(exe.error()) && exe.error().errno_value() != EACCES) return std::move(exe).error();
  if (!exe.ok()) return true;
  return record.exe_ino == 0 || (exe->st_ino == record.exe_ino && exe->st_dev == record.exe_dev);
}

Result<cgroup::Group> open_group(const StateRecord& record) {
  ASSIGN_OR_RETURN(const cgroup::Layout layout, cgroup::probe_layout());
  if (record.cgroup_path.empty()) return Error(Errc::kUnsupported, "container " + quoted(record.id) + " has no cgroup");
  return cgroup::Group::open(layout, record.cgroup_path);
}

// nullopt: it has none, or its record is damaged and names no possible group; nothing can be held against the rest
// then.
Result<std::optional<cgroup::Group>> recorded_group(const StateRecord& record) {
  if (record.cgroup_path.empty()) return std::optional<cgroup::Group>();
  auto group = open_group(record);
  if (group.ok()) return std::optional(std::move(group).value());
  if (group.error().code() != Errc::kInvalidArgument) return std::move(group).error();
  log::warning("container " + record.id + ": " + group.error().message());
  return std::optional<cgroup::Group>();
}

Status thaw_if_frozen(const StateRecord& record) {
  ASSIGN_OR_RETURN(auto group, recorded_group(record));
  if (!group) return {};
  ASSIGN_OR_RETURN(const bool frozen, group->frozen());
  return frozen ? group->thaw() : Status();
}

// SIGKILL is on its way to it (proc_pid_status(5)).
bool is_being_killed(pid_t pid) {
  const auto text = io::read_file("/proc/" + std::to_string(pid) + "/status", 65536);
  if (!text.ok()) return false;
  return std::ranges::any_of(split(*text, '\n'), [](std::string_view line) {
    if (!line.starts_with("SigPnd:\t") && !line.starts_with("ShdPnd:\t")) return false;
    line.remove_prefix(sizeof "SigPnd:\t" - 1);
    std::uint64_t pending = 0;
    (void)std::from_chars(line.data(), line.data() + line.size(), pending, 16);
    return (pending >> (SIGKILL - 1) & 1) != 0;
  });
}

Status empty_and_remove(const StateRecord& record, cgroup::Group& group) {
  // Nothing is in it, as a rule: the kernel says so when it is removed. A unit of systemd is stopped first.
  if (record.systemd_unit.empty() && group.remove(0).ok()) return {};
  // Whatever is left: a shared PID namespace, or processes that joined by exec.
  ASSIGN_OR_RETURN(const auto left, group.processes());
  if (!left.empty()) RETURN_IF_ERROR(group.kill_all(SIGKILL));
  return remove_group(record, group);
}

Error does_not_exist(const std::string& id) {
  return {Errc::kNotFound, "container does not exist: " + quoted(id), ENOENT};
}

}  // namespace

Error stopped_meanwhile(const StateRecord& record) {
  return Error(Errc::kWrongState, "container not running: " + quoted(record.id) + " has stopped meanwhile");
}

Error not_running(const StateRecord& record, RunStatus status) {
  return Error(Errc::kWrongState,
               "container not running: " + quoted(record.id) + " is " + std::string(to_string(status)));
}

Result<RunStatus> Container::status() const {
  const StatePaths paths = state_paths(options_.root, record_.id);
  if (record_.created.empty()) {
    // Not all of the state yet: the creator holds the lock, or it was killed, or it has come to the end meanwhile.
    const auto locked = RecordFile::is_locked(paths.record());
    if (!locked.ok() && !is_missing(locked.error()))
      return Error(locked.error().code(), locked.error().message(), locked.error().errno_value());
    if (locked.ok() && *locked) return RunStatus::kCreating;
    const auto again = Factory(options_).load(record_.id);
    return again.ok() && !again->record_.created.empty() ? RunStatus::kCreating : RunStatus::kStopped;
  }
  ASSIGN_OR_RETURN(const bool alive, init_alive(record_));
  if (!alive) return RunStatus::kStopped;
  // Before anything else: who asks a frozen init to start, or waits for its end, waits for ever.
  ASSIGN_OR_RETURN(const auto group, recorded_group(record_));
  if (group) {
    ASSIGN_OR_RETURN(const bool frozen, group->frozen());
    if (frozen) return RunStatus::kPaused;
  }
  ASSIGN_OR_RETURN(const bool waits, init_waits(record_, paths));
  return waits ? RunStatus::kCreated : RunStatus::kRunning;
}

// Who holds the lock asks: nobody is creating the container any more.
Result<RunStatus> Container::status_under_lock() {
  // It may have been deleted and made anew since it was read. Damaged is how it may stay; load() has said so already.
  if (auto again = Factory(options_).load(record_.id); again.ok()) *this = std::move(*again);
  if (record_.created.empty()) return RunStatus::kStopped;
  return status();
}

Result<oci::Config> Container::config() const {
  if (config_) return *config_;
  if (config_text_.empty())
    return Error(Errc::kWrongState, "the configuration of container " + quoted(record_.id) +
                                        " is not known: its creation was interrupted");
  ASSIGN_OR_RETURN(config_, oci::parse_config(config_text_, "config.json"));
  return *config_;
}

oci::State Container::oci_state(RunStatus status) const {
  oci::State out;
  out.oci_version = record_.oci_version;
  out.id = record_.id;
  out.status = std::string(to_string(status));
  out.pid = status == RunStatus::kStopped ? 0 : record_.pid;
  out.bundle = record_.bundle;
  out.annotations = record_.annotations;
  return out;
}

Result<UniqueFd> Container::init_pidfd() const {
  if (record_.pid <= 0) return Error(Errc::kNotFound, "container " + quoted(record_.id) + " has no process");
  auto pidfd = sys::pidfd_open(record_.pid);
  if (!pidfd.ok() && pidfd.error().errno_value() != ESRCH)
    return std::move(pidfd).error().with("hold the init of container " + quoted(record_.id));
  // The check after the open closes the race with a reused pid.
  ASSIGN_OR_RETURN(const bool alive, init_alive(record_));
  if (!pidfd.ok() || !alive) {
    return Error(Errc::kNotFound, "the init of container " + quoted(record_.id) + " has ended", ESRCH);
  }
  return pidfd;
}

Error Container::cannot_start_stopped() const {
  const std::string what = "cannot start a container that has stopped: " + quoted(record_.id);
  const auto group = open_group(record_);
  if (auto error = group.ok() ? out_of_memory(*group) : std::nullopt) return (*std::move(error)).with(what);
  return Error(Errc::kWrongState, what);
}

Status Container::start() {
  const StatePaths paths = state_paths(options_.root, record_.id);
  auto lock = RecordFile::lock(paths.record());
  if (!lock.ok() && lock.error().errno_value() == ENOENT) return does_not_exist(record_.id);
  if (!lock.ok()) return std::move(lock).error();
  ASSIGN_OR_RETURN(const RunStatus now, status_under_lock());
  if (record_.created.empty()) {
    return Error(Errc::kWrongState, "cannot start container " + quoted(record_.id) + ": its creation was interrupted")
        .with_hint("delete it");
  }
  if (now == RunStatus::kPaused)
    return Error(Errc::kWrongState, "cannot start a container in the paused state: " + quoted(record_.id))
        .with_hint("resume it first");
  if (now == RunStatus::kRunning) {
    return Error(Errc::kWrongState, "cannot start an already running container: " + quoted(record_.id));
  }
  if (now == RunStatus::kStopped) return cannot_start_stopped();
  if (now != RunStatus::kCreated)
    return Error(Errc::kWrongState, "cannot start container " + quoted(record_.id) + " while it is being created");
  // It may end at any moment, by its limit of memory for one.
  auto held = init_pidfd();
  if (!held.ok() && held.error().errno_value() == ESRCH) return cannot_start_stopped();
  ASSIGN_OR_RETURN(const UniqueFd pidfd, std::move(held));
  auto socket = say_start(paths.start_socket());
  if (!socket.ok()) {
    const auto ended = sys::pidfd_wait(pidfd, 0);
    return ended.ok() && *ended ? cannot_start_stopped() : std::move(socket).error();
  }
  const auto spec = config();
  Status started = follow_start(*socket, pidfd, spec);
  (void)::unlink(paths.start_socket().c_str());
  const bool hook_failed = !started.ok() && is_hook_failure(started.error(), "startContainer");
  if (!started.ok() && !hook_failed) return started;
  if (started.ok()) {
    if (!spec.ok()) return Error(spec.error().code(), spec.error().message());
    if (!spec->hooks.poststart.empty()) started = run_poststart(*spec, record_);
    if (started.ok()) return {};
  }
  (void)!sys::pidfd_send_signal(pidfd, SIGKILL).ok();
  (void)!sys::pidfd_wait(pidfd, kKillWaitMs).ok();
  if (Status removed = remove_under_lock(spec.ok() ? &*spec : nullptr, *lock); !removed.ok())
    log::warning("delete container " + quoted(record_.id) + ": " + removed.error().message());
  return started;
}

// Until the connection ends: the exec happened, or the init died without a word.
Status Container::follow_start(BorrowedFd socket, BorrowedFd pidfd, const Result<oci::Config>& spec) const {
  while (true) {
    ASSIGN_OR_RETURN(const SyncMessage answer, receive_message(socket));
    if (answer.eof) return still_there(pidfd, spec);
    Status handed = Error(Errc::kInternal, "unexpected message from the container's init at its start");
    if (answer.type == MessageType::kListener && answer.fd && spec.ok())
      handed = take_over_listener(*spec, socket, answer.fd);
    if (!handed.ok()) {
      (void)!sys::pidfd_send_signal(pidfd, SIGKILL).ok();  // it waits for an answer that will not come
      return handed;
    }
  }
}

// The end of the connection is an exec, or the end of a process that had no memory for one.
Status Container::still_there(BorrowedFd pidfd, const Result<oci::Config>& spec) const {
  if (!spec.ok() || !spec->linux || !spec->linux->resources || !limits_memory(*spec->linux->resources)) return {};
  const auto group = open_group(record_);
  auto error = group.ok() ? out_of_memory_at_start(*group, record_.pid, pidfd) : std::nullopt;
  return error ? Status(*std::move(error)) : Status();
}

Status Container::take_over_listener(const oci::Config& spec, BorrowedFd socket, BorrowedFd listener) const {
  if (!spec.linux || !spec.linux->seccomp) return Error(Errc::kInternal, "a seccomp listener without a profile");
  RETURN_IF_ERROR(send_listener(*spec.linux->seccomp, oci_state(RunStatus::kCreated), record_.pid, listener));
  return send_message(socket, MessageType::kContinue, "listener");
}

Status Container::kill(int signal, bool all) {
  ASSIGN_OR_RETURN(const RunStatus now, status());
  const bool whole_group = all || (signal == SIGKILL && record_.shared_pid_namespace);
  if (now == RunStatus::kStopped) {
    // With a shared PID namespace other processes may outlive the init.
    if (whole_group && !record_.cgroup_path.empty()) {
      if (auto group = open_group(record_); group.ok()) {
        auto left = group->processes();
        if (left.ok() && !left->empty()) return group->kill_all(signal);
      }
      if (all) return {};
    }
    return not_running(record_, now);
  }
  if (now == RunStatus::kCreating) return not_running(record_, now);
  ASSIGN_OR_RETURN(const UniqueFd pidfd, init_pidfd());
  if (whole_group && !record_.cgroup_path.empty()) {
    ASSIGN_OR_RETURN(auto group, open_group(record_));
    return group.kill_all(signal);
  }
  RETURN_IF_ERROR(sys::pidfd_send_signal(pidfd, signal));
  // A frozen process cannot die: a paused container that is killed must be thawed (runc does the same). Whoever pauses
  // it at this moment looks for the signal after that (pause()).
  return signal == SIGKILL ? thaw_if_frozen(record_) : Status();
}

Status Container::unless_stopped(Status done) const {
  if (done.ok()) return done;
  const auto alive = init_alive(record_);
  if (!alive.ok() || *alive) return done;
  return stopped_meanwhile(record_);
}

Status Container::freeze() const {
  ASSIGN_OR_RETURN(auto group, open_group(record_));
  RETURN_IF_ERROR(group.freeze());
  ASSIGN_OR_RETURN(const bool alive, init_alive(record_));
  if (alive && !is_being_killed(record_.pid)) return {};
  // Frozen it would never end.
  RETURN_IF_ERROR(group.thaw());
  return stopped_meanwhile(record_);
}

Status Container::pause() {
  ASSIGN_OR_RETURN(const RunStatus now, status());
  if (now != RunStatus::kRunning && now != RunStatus::kCreated) return not_running(record_, now);
  if (record_.cgroup_path.empty())
    return Error(Errc::kUnsupported, "cannot pause container " + quoted(record_.id) + ": it has no cgroup");
  return unless_stopped(freeze());
}

Status Container::resume() {
  ASSIGN_OR_RETURN(const RunStatus now, status());
  if (now != RunStatus::kPaused)
    return Error(Errc::kWrongState,
                 "container not paused: " + quoted(record_.id) + " is " + std::string(to_string(now)));
  ASSIGN_OR_RETURN(auto group, open_group(record_));
  return group.thaw();
}

Result<std::vector<pid_t>> Container::processes() const {
  if (!record_.cgroup_path.empty()) {
    auto group = open_group(record_);
    if (group.ok()) {
      auto found = group->processes();
      // None: a user without privileges may have got no group.
      if (!found.ok() || !found->empty()) return found;
    }
  }
  std::vector<pid_t> out;
  ASSIGN_OR_RETURN(const bool alive, init_alive(record_));
  if (alive) out.push_back(record_.pid);
  return out;
}

Result<cgroup::Stats> Container::stats() const {
  ASSIGN_OR_RETURN(const RunStatus now, status());
  if (now == RunStatus::kStopped) return not_running(record_, now);
  ASSIGN_OR_RETURN(const auto group, open_group(record_));
  return cgroup::read_stats(group);
}

Result<cgroup::Group> Container::group() const {
  return open_group(record_);
}

Status Container::update(const oci::Resources& resources, const std::vector<std::string>& schemata) {
  ASSIGN_OR_RETURN(const RunStatus now, status());
  if (now == RunStatus::kStopped) return not_running(record_, now);
  if (resources.pids_limit != 0 || oci::holds(oci::Rule::kPidsLimitZeroIsALimit, record_.oci_version))
    return unless_stopped(change_limits(resources, schemata));
  oci::Resources unlimited = resources;
  unlimited.pids_limit = -1;
  return unless_stopped(change_limits(unlimited, schemata));
}

Status Container::change_limits(const oci::Resources& resources, const std::vector<std::string>& schemata) const {
  ASSIGN_OR_RETURN(auto group, open_group(record_));
  if (!group.exists()) {
    return Error(Errc::kUnsupported, "container " + quoted(record_.id) + " has no cgroup that could be updated")
        .with_hint("it was started without the right to make one, or the group was removed by somebody else");
  }
  if (schemata.empty()) return update_group(record_, group, resources);
  ASSIGN_OR_RETURN(const Resctrl resctrl, Resctrl::open());
  ASSIGN_OR_RETURN(const auto former, resctrl.set_schemata(record_.resctrl, schemata));
  Status done = update_group(record_, group, resources);
  if (!done.ok()) (void)!resctrl.set_schemata(record_.resctrl, former).ok();
  return done;
}

// Kills the init, thaws it if it is paused, and waits for its end.
Status Container::end_init() {
  auto pidfd = init_pidfd();
  if (!pidfd.ok()) return pidfd.error().code() == Errc::kNotFound ? Status() : Status(std::move(pidfd).error());
  Status sent = sys::pidfd_send_signal(*pidfd, SIGKILL);
  if (!sent.ok() && sent.error().errno_value() != ESRCH)
    return std::move(sent).error().with("kill the init of container " + quoted(record_.id));
  RETURN_IF_ERROR(thaw_if_frozen(record_));
  ASSIGN_OR_RETURN(const bool ended, sys::pidfd_wait(*pidfd, kKillWaitMs));
  if (!ended) return Error(Errc::kTimeout, "container " + quoted(record_.id) + " did not end after SIGKILL");
  return {};
}

Status Container::destroy(bool force) {
  const StatePaths paths = state_paths(options_.root, record_.id);
  const auto locked = RecordFile::lock(paths.record());
  if (!locked.ok()) {
    if (locked.error().errno_value() == ENOENT) return does_not_exist(record_.id);
    return Error(locked.error().code(), locked.error().message(), locked.error().errno_value());
  }
  ASSIGN_OR_RETURN(const RunStatus now, status_under_lock());
  const bool alive = now != RunStatus::kStopped;
  if (alive && !force && now != RunStatus::kCreated) {
    return Error(Errc::kWrongState, "cannot delete container " + quoted(record_.id) +
                                        " that is not stopped: " + std::string(to_string(now)))
        .with_hint("kill it first, or use --force");
  }
  // It is needed at the end only, for the poststop hooks. A damaged one keeps nobody from deleting.
  std::optional<oci::Config> spec;
  if (record_.poststop_hooks) {
    auto read = config();
    if (!read.ok() && may_work_later(read.error())) return std::move(read).error();
    if (read.ok()) spec = std::move(read).value();
  }
  if (alive) RETURN_IF_ERROR(end_init());
  return remove_under_lock(spec ? &*spec : nullptr, *locked);
}

Status Removal::remove(const oci::Config& config) && {
  ASSIGN_OR_RETURN(const RecordFile::Since since, file_.lock_again());
  if (since == RecordFile::Since::kRemoved) return {};
  if (since == RecordFile::Since::kUnchanged)
    return Container(options_, record_, {}).remove_under_lock(record_.poststop_hooks ? &config : nullptr, file_);
  { const RecordFile given_back = std::move(file_); }  // the lock
  ASSIGN_OR_RETURN(Container container, Factory(options_).load(record_.id));
  return container.destroy(true);
}

// The init has ended. `spec` is for its poststop hooks; nullptr: it has none, or cannot be read.
Status Container::remove_under_lock(const oci::Config* spec, const RecordFile& file) {
  ASSIGN_OR_RETURN(auto group, recorded_group(record_));
  if (group) RETURN_IF_ERROR(empty_and_remove(record_, *group));
  RETURN_IF_ERROR(undo_shared_mounts(record_.mounts));
  Status removed = record_.created.empty() ? remove_unused_resctrl(record_.resctrl) : remove_resctrl(record_.resctrl);
  if (!removed.ok()) log::warning(removed.error().message());
  // The kernel removes them with the namespace, later; whoever asks now shall find them gone.
  remove_interfaces(record_.interfaces);
  RETURN_IF_ERROR(remove_state(state_paths(options_.root, record_.id), file));
  if (spec != nullptr) run_poststop(*spec, oci_state(RunStatus::kStopped));
  return {};
}

void run_poststop(const oci::Config& spec, const oci::State& state) {
  run_each_hook("poststop", spec.hooks.poststop, hook_input(state));
}

}  // namespace cooper::container
