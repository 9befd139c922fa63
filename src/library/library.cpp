#include "library/library.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "base/ids.h"
#include "base/scope_exit.h"
#include "base/strings.h"
#include "container/hooks.h"
#include "container/restore_with_extras.h"
#include "dbus/systemd.h"
#include "image/store.h"
#include "io/file.h"
#include "netlink/netlink.h"
#include "spec/libcontainer/parse.h"
#include "spec/libcontainer/print.h"
#include "spec/libcontainer/validate.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace cooper::library {
namespace {

// Every directory on the way must be itself: what is checked now could be exchanged for a link's target later.
Status check_rootfs(const std::string& rootfs) {
  std::array<char, PATH_MAX> resolved{};
  if (::realpath(rootfs.c_str(), resolved.data()) == nullptr) {
    const int saved = errno;
    return Error::from_errno(saved, "container.json: /rootfs: " + quoted(rootfs)).with_code(Errc::kInvalidArgument);
  }
  std::string given = rootfs;
  while (given.size() > 1 && given.back() == '/') given.pop_back();
  if (given == resolved.data()) return {};
  return Error(Errc::kInvalidArgument, "container.json: /rootfs: " + quoted(rootfs) +
                                           " goes through a symbolic link, to " + quoted(resolved.data()));
}

std::string cgroup_parent() {
  return "/cooper-libcontainer";
}

Result<std::uint32_t> group_id(BorrowedFd rootfs, const std::string& name) {
  if (const auto number = parse_number<std::uint32_t>(name)) return *number;
  auto resolved = image::resolve_user(rootfs, "0:" + name);
  if (!resolved.ok()) return std::move(resolved).error().with("additional group " + quoted(name));
  return resolved->gid;
}

// The process as the configuration and the caller want it, names looked up below `rootfs`.
Result<convert::ProcessWishes> wishes_of(const libcontainer::Config& config, const Process& process,
                                         const std::string& rootfs) {
  if (process.args.empty()) return Error(Errc::kInvalidArgument, "no program is given");
  ASSIGN_OR_RETURN(const UniqueFd tree, sys::openat(sys::kCwd, rootfs, O_PATH | O_DIRECTORY));
  auto user = image::resolve_user(tree, process.user);
  if (!user.ok()) return std::move(user).error().with("user " + quoted(process.user));
  convert::ProcessWishes out;
  out.args = process.args;
  out.env = process.env;
  out.cwd = process.cwd.empty() ? "/" : process.cwd;
  out.terminal = process.terminal;
  out.uid = user->uid;
  out.gid = user->gid;
  out.groups = user->additional_gids;
  for (const std::string& name : config.additional_groups) {
    ASSIGN_OR_RETURN(const std::uint32_t gid, group_id(tree, name));
    if (std::ranges::find(out.groups, gid) == out.groups.end()) out.groups.push_back(gid);
  }
  out.own_capabilities = process.capabilities.has_value();
  if (process.capabilities) out.capabilities = *process.capabilities;
  return out;
}

// A process must be able to open its streams by name (/dev/stderr), and whoever is not the host's root, or is it
// without its capabilities, opens pipes of his own only: they are given to it, as they always were. Files and terminals
// keep their owner.
void give_pipes_to(const oci::Config& config, const container::Stdio& stdio) {
  const std::uint32_t uid = oci::host_uid(config, config.process->user.uid);
  const std::uint32_t gid = oci::host_gid(config, config.process->user.gid);
  const std::array<int, 3> given{stdio.in, stdio.out, stdio.err};
  for (int i = 0; i < 3; ++i) {
    const int fd = given.at(static_cast<std::size_t>(i)) < 0 ? i : given.at(static_cast<std::size_t>(i));
    struct stat info = {};
    if (::fstat(fd, &info) != 0 || !S_ISFIFO(info.st_mode) || info.st_uid == uid) continue;
    // Of another owner's pipe nothing is lost but the name.
    (void)!::fchown(fd, uid, gid);
  }
}

// A score of 0 is also what is meant where none is: it does not hinder a start by somebody whose own is higher and who
// may not lower it, which only the attempt tells. A process may take back what it has raised.
bool may_have_oom_score(std::int32_t wanted) {
  constexpr const char* kFile = "/proc/self/oom_score_adj";
  if (wanted != 0) return true;
  const auto own = io::read_file(kFile, 64);
  const auto score = own.ok() ? parse_number<std::int32_t>(trim(*own)) : std::nullopt;
  if (!score || *score <= 0) return true;
  if (!io::write_existing(sys::kCwd, kFile, "0").ok()) return false;
  (void)!io::write_existing(sys::kCwd, kFile, std::to_string(*score)).ok();
  return true;
}

// `systemd_cgroups`: the group is a scope, and has a name in any case.
Result<convert::OciResult> convert_config(libcontainer::Config config, const std::string& id,
                                          const convert::ProcessWishes& wishes, bool systemd_cgroups) {
  if (systemd_cgroups && config.cgroups && config.cgroups->name.empty()) config.cgroups->name = id;
  ASSIGN_OR_RETURN(auto out, convert::to_oci(config, wishes, systemd_cgroups));
  out.config.annotations[container::kHookStateVersion] = config.version;
  out.config.annotations[container::kHookStateRoot] = config.rootfs;
  // These are this room's to run: whoever destroys the container is told of their failures.
  out.config.hooks.poststart.clear();
  out.config.hooks.poststop.clear();
  return out;
}

// For criu: what the container is, without the process, which it knows.
convert::ProcessWishes no_process() {
  convert::ProcessWishes nothing;
  nothing.args = {"restored"};
  return nothing;
}

std::vector<oci::Hook> programs(const std::vector<libcontainer::CommandHook>& hooks) {
  std::vector<oci::Hook> out;
  for (const auto& hook : hooks) out.push_back({hook.path, hook.args, hook.env, {}});
  return out;
}

// A mount point is left as it is.
Status mount_tmpfs(const std::string& root) {
  RETURN_IF_ERROR(io::make_directories(root, 0711));
  const std::string above = root + "/..";
  struct stat own = {}, parent = {};
  if (::stat(root.c_str(), &own) != 0 || ::stat(above.c_str(), &parent) != 0)
    return Error::from_errno(errno, "state root " + quoted(root));
  if (own.st_dev != parent.st_dev) return {};
  Status mounted = sys::mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711");
  if (!mounted.ok()) return std::move(mounted).error().with("tmpfs on state root " + quoted(root));
  return mounted;
}

void take(const CriuOptions& from, container::CriuOptions& to) {
  to.image_path = from.image_path;
  to.work_path = from.work_path;
  to.tcp_established = from.tcp_established;
  to.external_unix_sockets = from.external_unix_sockets;
  to.shell_job = from.shell_job;
  to.file_locks = from.file_locks;
}

ContainerStatus status_of(container::RunStatus status) {
  switch (status) {
    case container::RunStatus::kPaused:
      return ContainerStatus::kPaused;
    case container::RunStatus::kStopped:
      return ContainerStatus::kDestroyed;
    default:
      return ContainerStatus::kRunning;
  }
}

}  // namespace

std::string_view to_string(Code code) {
  constexpr std::array<std::string_view, 11> kWords{"ok",
                                                    "id in use",
                                                    "invalid id format",
                                                    "container does not exist",
                                                    "container paused",
                                                    "container not stopped",
                                                    "container not running",
                                                    "configuration invalid",
                                                    "process not executed",
                                                    "system error",
                                                    "unsupported"};
  return kWords.at(static_cast<std::size_t>(code));
}

std::string_view to_string(ContainerStatus status) {
  constexpr std::array<std::string_view, 5> kWords{"running", "pausing", "paused", "checkpointed", "destroyed"};
  return kWords.at(static_cast<std::size_t>(status) - 1);
}

Code Factory::code_of(const Error& error) {
  switch (error.code()) {
    case Errc::kAlreadyExists:
      return Code::kIdInUse;
    case Errc::kNotFound:
      return Code::kContainerNotExists;
    case Errc::kInvalidArgument:
      return Code::kConfigInvalid;
    case Errc::kUnsupported:
      return Code::kUnsupported;
    default:
      return Code::kSystemError;
  }
}

Code Factory::code_of(const Error& error, std::string_view id) {
  const bool wrong_id = error.code() == Errc::kInvalidArgument && !ContainerId::parse(id).ok();
  return wrong_id ? Code::kInvalidIdFormat : code_of(error);
}

Result<Factory> Factory::open(std::string root, FactoryOptions options) {
  if (options.systemd_cgroups) {
    if (Status there = dbus::Systemd::available(); !there.ok())
      return std::move(there).error().with_hint("without systemd, groups are made through cgroupfs");
  }
  if (options.tmpfs_root) RETURN_IF_ERROR(mount_tmpfs(root));
  return Factory(std::move(root), options);
}

Result<Container> Factory::create(std::string_view id, libcontainer::Config config) {
  ASSIGN_OR_RETURN(const ContainerId valid, ContainerId::parse(id));
  Container out(root_, valid.str(), std::move(config), options_.systemd_cgroups);
  RETURN_IF_ERROR(out.check());
  RETURN_IF_ERROR(io::make_directories(root_, 0711));
  Status made = sys::mkdirat(sys::kCwd, out.directory(), 0700);
  if (!made.ok() && made.error().errno_value() == EEXIST)
    return Error(Errc::kAlreadyExists, "container " + quoted(valid.str()) + " exists already", EEXIST);
  RETURN_IF_ERROR(std::move(made));
  ScopeExit remove([&] { (void)!io::remove_tree(sys::kCwd, out.directory()).ok(); });
  RETURN_IF_ERROR(out.write_config());
  remove.dismiss();
  return out;
}

Result<Container> Factory::load(std::string_view id) const {
  ASSIGN_OR_RETURN(const ContainerId valid, ContainerId::parse(id));
  const std::string path = root_ + "/" + valid.str() + "/config.json";
  auto text = io::read_regular_file(path, libcontainer::kMaxConfigBytes);
  if (!text.ok()) {
    if (text.error().errno_value() != ENOENT) return std::move(text).error();
    return Error(Errc::kNotFound, "container " + quoted(valid.str()) + " does not exist", ENOENT);
  }
  ASSIGN_OR_RETURN(auto config, libcontainer::parse_config(std::move(text).value(), path));
  return Container(root_, valid.str(), std::move(config), options_.systemd_cgroups);
}

Result<std::vector<std::string>> Factory::list() const {
  return container::Factory({root_}).list();
}

Result<convert::OciResult> Container::oci_of(const Process& process, const std::string& rootfs) const {
  libcontainer::Config config = config_;
  if (process.rlimits) config.rlimits = *process.rlimits;
  ASSIGN_OR_RETURN(const auto wishes, wishes_of(config, process, rootfs));
  ASSIGN_OR_RETURN(auto out, convert_config(std::move(config), id_, wishes, systemd_cgroups_));
  out.config.process->console_size = process.console_size;
  if (!may_have_oom_score(out.config.process->oom_score_adj.value_or(0))) out.config.process->oom_score_adj.reset();
  return out;
}

container::CreateOptions Container::create_options(const convert::OciResult& oci) const {
  container::CreateOptions out;
  out.id = id_;
  out.bundle = directory();
  out.systemd_cgroup = systemd_cgroups_;
  out.no_pivot = oci.no_pivot;
  out.no_new_keyring = true;  // as it was
  out.detach_start = false;
  out.parent_death_signal = oci.parent_death_signal;
  out.extras = oci.extras;
  out.cgroup_default_parent = cgroup_parent();
  return out;
}

Result<std::vector<std::string>> Container::ineffective() const {
  ASSIGN_OR_RETURN(const auto oci, convert_config(config_, id_, no_process(), systemd_cgroups_));
  std::vector<std::string> out;
  for (const convert::Lost& entry : oci.lost) {
    // Members that are unknown are for whoever reads the file.
    if (!entry.in_extras && !config_.unknown.contains(entry.pointer))
      out.push_back(entry.pointer + " is ignored: " + entry.reason);
  }
  return out;
}

Status Container::exists() const {
  const auto file = sys::fstatat(sys::kCwd, config_path());
  if (file.ok()) return {};
  if (file.error().errno_value() != ENOENT) return Error::from_errno(file.error().errno_value(), quoted(config_path()));
  return Error(Errc::kNotFound, "container " + quoted(id_) + " does not exist", ENOENT);
}

Status Container::check() const {
  RETURN_IF_ERROR(libcontainer::validate(config_));
  RETURN_IF_ERROR(check_rootfs(config_.rootfs));
  // A container that is started from the file must be the one that was asked for.
  if (const auto lost = libcontainer::unprintable(config_, config_.generation); !lost.empty()) {
    return Error(Errc::kInvalidArgument,
                 "container.json: " + lost.front().pointer + ": cannot be stored: " + lost.front().reason);
  }
  // What the plan refuses, it refuses now, and not when the first process is started.
  Process nothing;
  nothing.args = {"true"};
  Container nameless = *this;
  std::erase_if(nameless.config_.additional_groups,
                [](const std::string& name) { return !parse_number<std::uint32_t>(name).has_value(); });
  ASSIGN_OR_RETURN(const auto oci, nameless.oci_of(nothing, config_.rootfs));
  ASSIGN_OR_RETURN([[maybe_unused]] const auto plan, factory().plan(oci.config, create_options(oci)));
  return {};
}

container::Factory Container::factory() const {
  return container::Factory({directory() + "/run", false});
}

Status Container::write_config() const {
  return io::write_file_atomic(config_path(), libcontainer::print_config(config_), 0600);
}

Status Container::write_state() const {
  ASSIGN_OR_RETURN(const std::string text, state_json());
  return io::write_file_atomic(directory() + "/state.json", text, 0600);
}

Result<container::Container> Container::running() const {
  auto loaded = factory().load(id_);
  if (!loaded.ok()) {
    if (loaded.error().code() != Errc::kNotFound) return loaded;
    return Error(Errc::kWrongState, "container " + quoted(id_) + " is not running");
  }
  ASSIGN_OR_RETURN(const auto status, loaded->status());
  if (status == container::RunStatus::kStopped)
    return Error(Errc::kWrongState, "container " + quoted(id_) + " is not running");
  return loaded;
}

Result<ContainerStatus> Container::status() const {
  const auto loaded = factory().load(id_);
  ContainerStatus out = ContainerStatus::kDestroyed;
  if (loaded.ok()) {
    ASSIGN_OR_RETURN(const auto status, loaded->status());
    out = status_of(status);
  } else if (loaded.error().code() != Errc::kNotFound) {
    return Error(loaded.error().code(), loaded.error().message(), loaded.error().errno_value());
  }
  const bool saved = out == ContainerStatus::kDestroyed && sys::fstatat(sys::kCwd, checkpoint_mark()).ok();
  return saved ? ContainerStatus::kCheckpointed : out;
}

pid_t Container::init_pid() const {
  const auto init = running();
  return init.ok() ? init->record().pid : 0;
}

bool Container::has_own_pid_namespace() const {
  const auto* space = config_.namespaces.find("NEWPID");
  return space != nullptr && space->path.empty();
}

Result<std::vector<pid_t>> Container::processes() const {
  const auto init = factory().load(id_);
  if (!init.ok()) return std::vector<pid_t>();
  return init->processes();
}

Result<Stats> Container::stats() const {
  ASSIGN_OR_RETURN(const auto init, running());
  Stats out;
  ASSIGN_OR_RETURN(const auto group, init.group());
  ASSIGN_OR_RETURN(out.cgroup, cgroup::read_usage(group));
  ASSIGN_OR_RETURN(const auto counters, cgroup::read_stats(group));
  out.oom_kills = counters.oom_kills;
  for (const auto& entry : init.record().interfaces) {
    ASSIGN_OR_RETURN(const auto link, netlink::find_link(netlink::kNoSocket, entry.name));
    if (!link) continue;
    const netlink::LinkStats& host = link->stats;
    out.interfaces.push_back({entry.name, host.tx_bytes, host.tx_packets, host.tx_errors, host.tx_dropped,
                              host.rx_bytes, host.rx_packets, host.rx_errors, host.rx_dropped});
  }
  return out;
}

Status Container::set(libcontainer::Config config) {
  RETURN_IF_ERROR(exists());
  const Container changed(root_, id_, std::move(config), systemd_cgroups_);
  RETURN_IF_ERROR(changed.check());
  auto init = running();
  if (!init.ok() && init.error().code() != Errc::kWrongState) return std::move(init).error();
  if (init.ok() && changed.config_.cgroups)
    RETURN_IF_ERROR(init->update(convert::resources_of(*changed.config_.cgroups)));
  config_ = changed.config_;
  RETURN_IF_ERROR(write_config());
  if (!init.ok()) return {};
  RETURN_IF_ERROR(freeze_as_configured(*init));
  return write_state();
}

// One that says neither is left as it is.
Status Container::freeze_as_configured(container::Container& init) const {
  const auto wanted = config_.cgroups ? config_.cgroups->freezer : libcontainer::FreezerState::kUndefined;
  ASSIGN_OR_RETURN(const auto now, init.status());
  if (wanted == libcontainer::FreezerState::kFrozen && now == container::RunStatus::kRunning) return init.pause();
  if (wanted == libcontainer::FreezerState::kThawed && now == container::RunStatus::kPaused) return init.resume();
  return {};
}

Result<Started> Container::start(const Process& process) {
  RETURN_IF_ERROR(exists());
  auto init = running();
  if (init.ok()) return join(*init, process);
  if (init.error().code() != Errc::kWrongState) return std::move(init).error();
  ASSIGN_OR_RETURN(const ContainerStatus now, status());
  if (now != ContainerStatus::kCheckpointed) return start_init(process);
  return Error(Errc::kWrongState, "container " + quoted(id_) + " is checkpointed: it cannot be started anew")
      .with_hint("restore it, or delete it");
}

Result<Started> Container::start_init(const Process& process) {
  ASSIGN_OR_RETURN(const auto oci, oci_of(process, config_.rootfs));
  give_pipes_to(oci.config, process.stdio);
  container::Factory factory = this->factory();
  RETURN_IF_ERROR(end_life_before(factory));
  container::CreateOptions options = create_options(oci);
  options.stdio = process.stdio;
  options.extra_fds = process.extra_fds;
  options.keep_console = process.terminal;
  // With functions to call before it, the program waits until they have been called.
  options.detach_start = hooks_.prestart != nullptr || hooks_.poststart != nullptr;
  ASSIGN_OR_RETURN(Started started, factory.create(oci.config, options));
  Status after = options.detach_start ? run_to_program(factory, started) : Status();
  if (after.ok()) after = run_poststart(started.pid);
  if (after.ok()) after = write_state();
  if (after.ok() && config_.cgroups && config_.cgroups->freezer == libcontainer::FreezerState::kFrozen) after = pause();
  if (after.ok()) return started;
  undo_start(factory, started);
  return std::move(after).error();
}

std::string Container::hook_state(pid_t pid) const {
  return libcontainer::print_hook_state({config_.version, id_, pid, config_.rootfs});
}

Status Container::call(const Hook& hook, pid_t pid) const {
  return hook ? hook(hook_state(pid)) : Status();
}

Status Container::run_to_program(container::Factory& factory, const Started& started) {
  RETURN_IF_ERROR(call(hooks_.prestart, started.pid));
  ASSIGN_OR_RETURN(auto init, factory.load(id_));
  return init.start();
}

Status Container::run_poststart(pid_t pid) const {
  if (config_.hooks)
    RETURN_IF_ERROR(container::run_hooks("poststart", programs(config_.hooks->poststart), hook_state(pid)));
  return call(hooks_.poststart, pid);
}

// Each of them, whatever became of those before it: they take down what others have set up.
Status Container::run_poststop() const {
  Status first;
  const std::vector<oci::Hook> hooks = config_.hooks ? programs(config_.hooks->poststop) : std::vector<oci::Hook>();
  for (const oci::Hook& hook : hooks) {
    Status done = container::run_hooks("poststop", {hook}, hook_state(0));
    if (first.ok()) first = std::move(done);
  }
  Status called = call(hooks_.poststop, 0);
  return first.ok() ? std::move(called) : std::move(first);
}

Result<Started> Container::join(container::Container& init, const Process& process) {
  // The container's own view of its files: mounts may hide the users of the root file system.
  const std::string root = "/proc/" + std::to_string(init.record().pid) + "/root";
  ASSIGN_OR_RETURN(auto oci, oci_of(process, root));
  give_pipes_to(oci.config, process.stdio);
  container::ExecOptions options;
  options.process = std::move(*oci.config.process);
  options.stdio = process.stdio;
  options.extra_fds = process.extra_fds;
  options.keep_console = process.terminal;
  return init.exec(options);
}

Status Container::pause() {
  ASSIGN_OR_RETURN(auto init, running());
  RETURN_IF_ERROR(init.pause());
  return write_state();
}

Status Container::resume() {
  ASSIGN_OR_RETURN(auto init, running());
  RETURN_IF_ERROR(init.resume());
  return write_state();
}

Status Container::signal(int signal) {
  ASSIGN_OR_RETURN(const auto init, running());
  ASSIGN_OR_RETURN(const UniqueFd pidfd, init.init_pidfd());
  return sys::pidfd_send_signal(pidfd, signal);
}

Status Container::signal_all(int signal) {
  ASSIGN_OR_RETURN(auto init, factory().load(id_));
  return init.kill(signal, true);
}

Result<cgroup::MemoryEvents> Container::notify_oom() const {
  ASSIGN_OR_RETURN(const auto init, running());
  ASSIGN_OR_RETURN(const auto layout, cgroup::probe_layout());
  ASSIGN_OR_RETURN(const auto group, cgroup::Group::open(layout, init.record().cgroup_path));
  return cgroup::MemoryEvents::oom(group);
}

Result<cgroup::MemoryEvents> Container::notify_memory_pressure(cgroup::PressureLevel level) const {
  ASSIGN_OR_RETURN(const auto init, running());
  ASSIGN_OR_RETURN(const auto layout, cgroup::probe_layout());
  ASSIGN_OR_RETURN(const auto group, cgroup::Group::open(layout, init.record().cgroup_path));
  return cgroup::MemoryEvents::pressure(group, level);
}

Status Container::checkpoint(const CriuOptions& options) {
  ASSIGN_OR_RETURN(auto init, running());
  if (!init.record().interfaces.empty())
    return Error(Errc::kUnsupported,
                 "container " + quoted(id_) + " has network interfaces, which CRIU does not restore");
  container::CheckpointOptions wanted;
  take(options, wanted);
  wanted.leave_running = options.leave_running;
  wanted.page_server = options.page_server;
  if (options.leave_running) return init.checkpoint(wanted);
  // Before its end, which its parent may see first.
  RETURN_IF_ERROR(io::write_file_atomic(checkpoint_mark(), "", 0600));
  Status done = init.checkpoint(wanted);
  if (done.ok()) return write_state();
  (void)!sys::unlinkat(sys::kCwd, checkpoint_mark()).ok();
  return done;
}

Result<Started> Container::restore(const CriuOptions& options) {
  RETURN_IF_ERROR(exists());
  if (auto init = running(); init.ok() || init.error().code() != Errc::kWrongState) {
    if (!init.ok()) return std::move(init).error();
    return Error(Errc::kWrongState, "container " + quoted(id_) + " is running: it cannot be restored");
  }
  ASSIGN_OR_RETURN(const auto oci, convert_config(config_, id_, no_process(), systemd_cgroups_));
  const container::CreateOptions create = create_options(oci);
  container::RestoreOptions wanted;
  take(options, wanted);
  wanted.id = id_;
  wanted.bundle = create.bundle;
  wanted.cgroup_default_parent = create.cgroup_default_parent;
  wanted.systemd_cgroup = create.systemd_cgroup;
  wanted.no_pivot = create.no_pivot;
  wanted.keep_console = true;
  container::Factory factory = this->factory();
  RETURN_IF_ERROR(end_life_before(factory));
  ASSIGN_OR_RETURN(Started started, container::restore_with_extras(factory, oci.config, wanted, oci.extras));
  if (Status written = write_state(); !written.ok()) {
    undo_start(factory, started);
    return std::move(written).error();
  }
  (void)!sys::unlinkat(sys::kCwd, checkpoint_mark()).ok();
  return started;
}

// The record of an init that has ended.
Result<bool> Container::remove_ended(container::Factory& factory) const {
  auto old = factory.load_for_removal(id_);
  if (!old.ok()) return false;
  RETURN_IF_ERROR(old->destroy(false));
  return true;
}

// What an exec that was killed has left ends before a new life begins.
Status Container::end_life_before(container::Factory& factory) const {
  ASSIGN_OR_RETURN(const bool was, remove_ended(factory));
  return was ? run_poststop() : Status();
}

void Container::undo_start(container::Factory& factory, const Started& started) const {
  (void)!sys::pidfd_send_signal(started.pidfd, SIGKILL).ok();
  (void)!sys::waitpid(started.pid).ok();
  if (auto left = factory.load_for_removal(id_); left.ok()) (void)!left->destroy(true).ok();
}

Status Container::destroy() {
  // What an earlier one could not remove may be without its file.
  if (!sys::fstatat(sys::kCwd, directory()).ok()) RETURN_IF_ERROR(exists());
  ASSIGN_OR_RETURN(const ContainerStatus now, status());
  if (now != ContainerStatus::kDestroyed && now != ContainerStatus::kCheckpointed) {
    return Error(Errc::kWrongState, "container " + quoted(id_) + " is " + std::string(to_string(now)) +
                                        ": it cannot be removed before its first process has ended");
  }
  container::Factory factory = this->factory();
  ASSIGN_OR_RETURN([[maybe_unused]] const bool was, remove_ended(factory));
  RETURN_IF_ERROR(io::remove_tree(sys::kCwd, directory()));
  return run_poststop();
}

Code Container::code_of(const Error& error) const {
  if (error.code() == Errc::kNotFound && exists().ok()) return Code::kProcessNotExecuted;
  if (error.code() != Errc::kWrongState) return Factory::code_of(error);
  const auto now = status();
  if (!now.ok() || *now == ContainerStatus::kDestroyed || *now == ContainerStatus::kCheckpointed)
    return Code::kContainerNotRunning;
  return *now == ContainerStatus::kPaused ? Code::kContainerPaused : Code::kContainerNotStopped;
}

}  // namespace cooper::library
