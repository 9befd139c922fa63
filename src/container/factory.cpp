#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "container/container.h"
#include "container/executor.h"
#include "container/exit_mount.h"
#include "container/hooks.h"
#include "container/interfaces.h"
#include "container/internal.h"
#include "container/lsm.h"
#include "container/plan_parts.h"
#include "container/state.h"
#include "container/timing.h"
#include "container/unit.h"
#include "container/validate_rules.h"
#include "io/file.h"
#include "log/log.h"
#include "spec/oci_runtime/defaults.h"
#include "spec/oci_runtime/parse.h"
#include "spec/oci_runtime/print.h"
#include "spec/oci_runtime/versions.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace cooper::container {
namespace {

PlanOptions plan_options(const CreateOptions& options, const FactoryOptions& factory, const cgroup::Layout& layout) {
  PlanOptions out;
  out.id = options.id;
  out.bundle = options.bundle;
  out.cgroup_default_parent = options.cgroup_default_parent;
  out.systemd_cgroup = options.systemd_cgroup;
  out.cgroups_mounted = layout.mode != cgroup::Mode::kNone;
  out.ignore_limits = options.cgroups_disabled || factory.rootless;
  if (options.cgroups_disabled) {
    out.no_cgroup = "control groups are disabled";
  } else if (!factory.rootless || !out.cgroups_mounted) {
    out.no_cgroup = layout.why_none();
  }
  out.no_pivot = options.no_pivot;
  out.no_new_keyring = options.no_new_keyring;
  out.cgroup_v2_only = layout.mode == cgroup::Mode::kV2;
  out.hybrid_or_v1 = !out.cgroup_v2_only;
  out.rootless = factory.rootless;
  out.sets_groups = factory.rootless && may_set_groups();
  out.detach_start = options.detach_start;
  out.kernel_last_cap = sys::last_cap();
  out.own_capabilities = sys::permitted_caps().value_or(out.own_capabilities);
  out.root_override = options.root_override;
  out.extra_mounts = options.extra_mounts;
  out.extra_env = options.extra_env;
  out.extras = options.extras;
  out.notes = options.notes;
  return out;
}

bool shares_pid_namespace(const oci::Config& config) {
  if (!config.linux) return true;
  return std::ranges::none_of(config.linux->namespaces,
                              [](const oci::Namespace& ns) { return ns.type == "pid" && ns.path.empty(); });
}

StateRecord nothing_known(const std::string& id) {
  StateRecord record;
  record.id = id;
  record.oci_version = oci::kSpecVersion;
  return record;
}

Error damaged(const std::string& id, Error error) {
  if (!error.hint().empty()) return std::move(error).with("container " + quoted(id));
  return std::move(error).with("container " + quoted(id)).with_hint("coop delete --force removes it all the same");
}

}  // namespace

std::string absolute_rootfs(const oci::Config& config, const std::string& bundle) {
  const std::string path = config.root ? config.root->path : "";
  return path.starts_with('/') ? path : bundle + "/" + path;
}

std::string planned_cgroup(const Plan& plan) {
  for (const Step& step : plan.steps) {
    if (const auto* group = std::get_if<CgroupCreate>(&step.body)) return group->path;
  }
  return {};
}

Status complete_record(const oci::Config& config, pid_t pid, StateRecord& record) {
  record.pid = pid;
  ASSIGN_OR_RETURN(record.start_time, sys::process_start_time(pid));
  ASSIGN_OR_RETURN(record.boot_id, boot_id());
  record.created = timestamp_now();
  record.owner_uid = ::geteuid();
  record.shared_pid_namespace = shares_pid_namespace(config);
  record.has_terminal = config.process && config.process->terminal;
  record.poststop_hooks = !config.hooks.poststop.empty();
  if (struct stat exe = {}; ::stat("/proc/self/exe", &exe) == 0) {
    record.exe_dev = exe.st_dev;
    record.exe_ino = exe.st_ino;
  }
  return {};
}

void note_what_will_be_made(const Plan& plan, StateRecord& record) {
  for (const Step& step : plan.steps) {
    if (const auto* unit = std::get_if<StartUnit>(&step.body)) {
      record.systemd_cgroup = true;
      record.systemd_unit = unit->name.unit;
      record.systemd_user = unit->user_manager;
    } else if (const auto* groups = std::get_if<ResctrlCreate>(&step.body)) {
      // Where there is none, the step says so.
      if (const auto resctrl = Resctrl::open(); resctrl.ok()) record.resctrl = resctrl->wanted(*groups);
    }
  }
}

Result<RecordFile> make_record(const StatePaths& paths) {
  auto made = RecordFile::create(paths.root, paths.record());
  if (!made.ok() && made.error().code() == Errc::kAlreadyExists)
    return Error(Errc::kAlreadyExists, "container with given ID already exists: " + quoted(paths.id));
  return made;
}

namespace {

// ENAMETOOLONG: the longest ids leave no room for the names of companions, so that there never was one.
bool is_not_there(int error) {
  return error == ENOENT || error == ENAMETOOLONG;
}

// What may stand beside the record, which goes last.
Status remove_companions(const StatePaths& paths) {
  if (::unlink(paths.start_socket().c_str()) != 0 && !is_not_there(errno))
    return Error::from_errno(errno, "remove " + quoted(paths.start_socket()));
  if (::rmdir(paths.restored_root().c_str()) != 0 && !is_not_there(errno))
    return Error::from_errno(errno, "remove " + quoted(paths.restored_root()));
  return remove_kept_exit_status(paths);
}

}  // namespace

Status remove_state(const StatePaths& paths) {
  RETURN_IF_ERROR(remove_companions(paths));
  return remove_record(paths.record());
}

Status remove_state(const StatePaths& paths, const RecordFile& file) {
  RETURN_IF_ERROR(remove_companions(paths));
  return file.remove();
}

Status send_pidfd(const std::string& socket_path, pid_t pid) {
  ASSIGN_OR_RETURN(const UniqueFd socket, sys::unix_connect(socket_path, SOCK_STREAM));
  ASSIGN_OR_RETURN(const UniqueFd pidfd, sys::pidfd_open(pid));
  const int fd = pidfd.get();
  return sys::send_message(socket, "pidfd", std::span(&fd, 1));
}

Result<UniqueFd> connect_console(const std::string& socket_path) {
  auto socket = sys::unix_connect(socket_path, SOCK_STREAM);
  if (!socket.ok()) return std::move(socket).error().with("console socket");
  return socket;
}

Status send_console(BorrowedFd socket, BorrowedFd master) {
  const int fd = master.get();
  Status sent = sys::send_message(socket, "/dev/ptmx", std::span(&fd, 1));
  if (!sent.ok()) return std::move(sent).error().with("send the terminal to the console socket");
  return {};
}

Status write_pid_file(const std::string& path, pid_t pid) {
  Status written = io::write_file_atomic(path, std::to_string(pid), 0644);
  if (!written.ok()) return std::move(written).error().with("pid file");
  return {};
}

Status check_preserved_fds(int count) {
  for (int fd = 3; fd < 3 + count; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) {
      return Error(Errc::kInvalidArgument, "file descriptor " + std::to_string(fd) + " is not open, but " +
                                               std::to_string(count) +
                                               " descriptors after standard error are to be passed");
    }
  }
  return {};
}

namespace {

// What is wrong with the caller and the host for this container, before anything is done.
Status check_host(const oci::Config& config, const CreateOptions& options) {
  RETURN_IF_ERROR(check_preserved_fds(options.preserve_fds));
  RETURN_IF_ERROR(rules::check_sysctl_places(config));
  // Before anything that only systemd would mind, such as the form of cgroupsPath.
  return options.systemd_cgroup ? dbus::Systemd::available() : Status();
}

// What the caller's options say, and nothing of the container.
Executor::Inputs inputs_of(const CreateOptions& options) {
  Executor::Inputs out;
  out.stdio = options.stdio;
  out.preserve_fds = options.preserve_fds;
  out.extra_fds = options.extra_fds;
  out.parent_death_signal = options.parent_death_signal;
  out.block_signals = options.block_signals;
  out.console_socket = options.console_socket;
  out.require_limits = options.require_limits;
  out.report_namespaces = static_cast<bool>(options.before_start);
  out.private_fds = options.private_fds;
  out.timing = options.timing;
  return out;
}

}  // namespace

Result<Plan> Factory::plan(const oci::Config& config, const CreateOptions& options) {
  ASSIGN_OR_RETURN(const cgroup::Layout layout, cgroup::probe_layout());
  PlanOptions plan = plan_options(options, options_, layout);
  probe_modules(config, plan);
  return make_plan(config, plan);
}

Result<Created> Factory::create(const oci::Config& config, const CreateOptions& options) {
  ASSIGN_OR_RETURN(const ContainerId id, ContainerId::parse(options.id));
  RETURN_IF_ERROR(check_host(config, options));
  // Before the plan: nothing takes longer, and it is made on another processor.
  NetworkAhead network;
  if (const auto wanted = plan_network_ahead(config, options.extras, options_.rootless))
    RETURN_IF_ERROR(network.begin(wanted->loopback));
  ASSIGN_OR_RETURN(const Plan plan, this->plan(config, options));
  const std::string rootfs =
      options.root_override ? options.root_override->path : absolute_rootfs(config, options.bundle);
  RETURN_IF_ERROR(check_rootfs(rootfs));

  if (options.timing != nullptr) {
    options.timing->mark("plan the start");
    RETURN_IF_ERROR(options.timing->open(plan));
  }

  const StatePaths paths = state_paths(options_.root, id.str());
  ASSIGN_OR_RETURN(RecordFile file, make_record(paths));
  ScopeExit forget([&] { (void)!remove_state(paths).ok(); });
  StateRecord record;
  note_what_will_be_made(plan, record);
  record.id = id.str();
  record.bundle = options.bundle;
  record.rootfs = rootfs;
  record.cgroup_path = planned_cgroup(plan);
  record.no_new_keyring = options.no_new_keyring;
  record.sandbox = options.sandbox;
  ASSIGN_OR_RETURN(record.mounts, look_at_shared_mounts(config, rootfs));
  record.annotations = config.annotations;
  record.oci_version = config.oci_version;
  RETURN_IF_ERROR(file.append(RecordPart::kState, print_state_record(record)));

  Executor::Inputs inputs = inputs_of(options);
  inputs.plan = &plan;
  if (options.detach_start) inputs.start_socket = paths.start_socket();
  inputs.lock = file.fd();
  inputs.rootless = options_.rootless;
  inputs.network = &network;
  inputs.state = {config.oci_version, id.str(), "creating", 0, options.bundle, config.annotations};
  const Executor* self = nullptr;
  inputs.on_cloned = [&](pid_t pid) -> Status {
    RETURN_IF_ERROR(file.append(RecordPart::kConfig, options.config_text.empty()
                                                         ? oci::print_config(config, oci::Style::kCompact)
                                                         : options.config_text));
    RETURN_IF_ERROR(complete_record(config, pid, record));
    if (options.created_unix_ms != 0) record.created = timestamp_of(options.created_unix_ms);
    return {};
  };
  inputs.on_prepared = [&](pid_t pid, const std::string& group) -> Status {
    record.cgroup_path = group;
    record.resctrl = self->resctrl();
    record.interfaces = self->interfaces();
    note_shared_mount(record.mounts);
    RETURN_IF_ERROR(file.append(RecordPart::kState, print_state_record(record)));
    if (options.keep_exit_status) RETURN_IF_ERROR(keep_exit_status(paths, self->pidfd()));
    if (!options.pidfd_socket.empty()) RETURN_IF_ERROR(send_pidfd(options.pidfd_socket, pid));
    if (!options.pid_file.empty()) RETURN_IF_ERROR(write_pid_file(options.pid_file, pid));
    return options.before_start ? options.before_start({pid, self->pidfd(), &self->namespaces()}) : Status();
  };
  if (options.timing != nullptr) options.timing->mark("write the record");
  Executor executor(std::move(inputs));
  self = &executor;
  if (Status done = executor.run(); !done.ok()) {
    if (!options.pid_file.empty()) (void)::unlink(options.pid_file.c_str());
    if (Status undone = undo_shared_mounts(record.mounts); !undone.ok()) log::warning(undone.error().message());
    // Whatever hooks had set up is theirs to take down (runtime specification, lifecycle).
    if (!config.hooks.poststop.empty()) {
      // While the hooks run somebody else may make the id anew.
      forget.dismiss();
      (void)!remove_state(paths).ok();
      run_poststop(config, Container(options_, record, {}).oci_state(RunStatus::kStopped));
    }
    return std::move(done).error();
  }
  if (options.timing != nullptr) options.timing->mark("walk the plan until the program is executed");
  Created created;
  created.pid = executor.pid();
  created.pidfd = executor.take_pidfd();
  created.console = executor.take_console();
  created.locks = executor.take_locks();
  if (!options.detach_start && !config.hooks.poststart.empty()) {
    if (Status hooks = run_poststart(config, record); !hooks.ok()) {
      (void)!sys::pidfd_send_signal(created.pidfd, SIGKILL).ok();
      (void)!sys::waitpid(created.pid).ok();
      if (Status removed = Container(options_, record, {}).remove_under_lock(&config, file); !removed.ok())
        log::warning(removed.error().message());
      else
        forget.dismiss();
      return std::move(hooks).error();
    }
  }
  forget.dismiss();
  if (options.keep_removal && file.unlock().ok())
    created.removal = Removal(options_, std::move(record), std::move(file));
  return created;
}

Status run_poststart(const oci::Config& config, const StateRecord& record) {
  const oci::State state{record.oci_version, record.id, "running", record.pid, record.bundle, record.annotations};
  const std::string input = hook_input(state);
  if (oci::holds(oci::Rule::kPoststartMustSucceed, config.oci_version))
    return run_hooks("poststart", config.hooks.poststart, input);
  run_each_hook("poststart", config.hooks.poststart, input);
  return {};
}

Status check_rootfs(const std::string& rootfs) {
  auto info = sys::fstatat(sys::kCwd, rootfs, AT_SYMLINK_NOFOLLOW);
  if (!info.ok())
    return std::move(info).error().with("root file system").with_hint("check root.path in the configuration");
  if (S_ISLNK(info->st_mode)) {
    return Error(Errc::kInvalidArgument, "root file system " + quoted(rootfs) + " is a symbolic link")
        .with_hint("name the directory itself in root.path");
  }
  if (!S_ISDIR(info->st_mode))
    return Error(Errc::kInvalidArgument, "root file system " + quoted(rootfs) + " is not a directory", ENOTDIR);
  return {};
}

Result<Container> Factory::load(std::string_view id) const {
  ASSIGN_OR_RETURN(const ContainerId valid, ContainerId::parse(id));
  return load_as_far(valid, nullptr);
}

Result<Container> Factory::load_for_removal(std::string_view id) const {
  ASSIGN_OR_RETURN(const ContainerId valid, ContainerId::parse(id));
  StateRecord known = nothing_known(valid.str());
  auto loaded = load_as_far(valid, &known);
  if (loaded.ok() || loaded.error().code() == Errc::kNotFound) return loaded;
  return Container(options_, std::move(known), {});
}

// `known`: what can be said of one that is damaged.
Result<Container> Factory::load_as_far(const ContainerId& id, StateRecord* known) const {
  const std::string path = state_paths(options_.root, id.str()).record();
  RecordParts parts;
  Status read = read_record(path, parts);
  if (!read.ok() && read.error().errno_value() == ENOENT)
    return Error(Errc::kNotFound, "container does not exist: " + quoted(id.str()), ENOENT);
  // Without one it is being created by somebody right now, or left by a creator that was killed.
  auto record =
      parts.state.empty() ? Result<StateRecord>(nothing_known(id.str())) : parse_state_record(parts.state, path);
  if (known != nullptr) {
    auto first = record.ok() ? Result<StateRecord>(*record) : parse_state_record(parts.first_state, path);
    if (first.ok()) *known = std::move(*first);
  }
  if (!read.ok()) return damaged(id.str(), std::move(read).error());
  if (!record.ok()) return damaged(id.str(), std::move(record).error());
  return Container(options_, std::move(record).value(), std::move(parts.config));
}

Result<std::vector<std::string>> Factory::list() const {
  auto dir = sys::openat(sys::kCwd, options_.root, O_RDONLY | O_DIRECTORY);
  if (!dir.ok()) {
    if (dir.error().errno_value() == ENOENT) return std::vector<std::string>();
    return std::move(dir).error();
  }
  ASSIGN_OR_RETURN(auto names, sys::list_directory(*dir));
  std::erase_if(names, [](const std::string& name) { return !ContainerId::parse(name).ok(); });
  std::ranges::sort(names);
  return names;
}

}  // namespace cooper::container
