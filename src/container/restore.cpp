#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <array>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "container/checkpoint.h"
#include "container/container.h"
#include "container/criu_parts.h"
#include "container/hooks.h"
#include "container/internal.h"
#include "container/restore_with_extras.h"
#include "container/state.h"
#include "container/unit.h"
#include "container/validate_rules.h"
#include "io/file.h"
#include "io/root_dir.h"
#include "log/log.h"
#include "spec/oci_runtime/print.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace cooper::container {
namespace {

constexpr std::size_t kMaxImageNotes = std::size_t{1} << 20;

CreateOptions create_options(const RestoreOptions& options, const std::optional<Extras>& extras) {
  CreateOptions out;
  out.id = options.id;
  out.bundle = options.bundle;
  out.console_socket = options.console_socket;
  out.systemd_cgroup = options.systemd_cgroup;
  out.no_pivot = options.no_pivot;
  out.cgroup_default_parent = options.cgroup_default_parent;
  out.detach_start = false;
  out.extras = extras;
  return out;
}

// A file of the images that may be missing, as in those of another runtime.
Result<std::optional<std::string>> read_beside(const CriuDirectories& directories, std::string_view name) {
  auto text = io::read_regular_file(directories.images_path + "/" + std::string(name), kMaxImageNotes);
  if (text.ok()) return std::optional(std::move(*text));
  if (text.error().errno_value() == ENOENT) return std::optional<std::string>();
  return std::move(text).error();
}

// What CRIU mounts on must be there: in a root file system made anew it may not. Below another mount it is none of the
// root's.
Status make_mount_points(const Plan& plan, const std::string& rootfs) {
  ASSIGN_OR_RETURN(const auto root, io::RootDir::open(rootfs));
  std::vector<std::string> covered;
  for (const Step& step : plan.steps) {
    const auto* mount = std::get_if<Mount>(&step.body);
    if (mount == nullptr || mount->remount) continue;
    const std::string destination = rules::clean_path(mount->destination);
    bool below = destination == "/";
    for (const std::string& other : covered) below = below || destination.starts_with(other + "/");
    covered.push_back(destination);
    if (below) continue;
    bool directory = true;
    if (mount->kind == MountKind::kBind) {
      const auto source = sys::fstatat(sys::kCwd, mount->source, 0);
      if (!source.ok())
        return Error(source.error().code(), source.error().message(), source.error().errno_value()).with("bind source");
      directory = S_ISDIR(source->st_mode);
    }
    auto made = directory ? root.make_directories(destination) : root.make_file(destination);
    // A read-only root file system has what it had.
    if (!made.ok() && made.error().errno_value() != EROFS)
      return std::move(made).error().with("mount point " + quoted(destination));
  }
  return {};
}

constexpr std::uint64_t kProtecting = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

struct Protection {
  std::string path;
  std::uint64_t attributes = 0;
  unsigned flags = 0;
  bool required = false;  // others may have been unmounted by the container
};

// CRIU binds what comes from the host anew, and forgets attributes of the root and of all but the first mount of a
// source.
std::vector<Protection> protections(const Plan& plan) {
  std::vector<Protection> out;
  for (const Step& step : plan.steps) {
    if (std::holds_alternative<ReadonlyRoot>(step.body)) out.push_back({"/", MOUNT_ATTR_RDONLY, 0, true});
    if (const auto* mask = std::get_if<MaskPath>(&step.body))
      out.push_back({mask->path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0, false});
    const auto* mount = std::get_if<Mount>(&step.body);
    if (mount == nullptr || mount->kind != MountKind::kBind) continue;
    if ((mount->attr_set & kProtecting) != 0)
      out.push_back({mount->destination, mount->attr_set & kProtecting, 0, false});
    if ((mount->rec_attr_set & kProtecting) != 0)
      out.push_back({mount->destination, mount->rec_attr_set & kProtecting, AT_RECURSIVE, false});
  }
  return out;
}

// In the mount namespace of the process. 0, or an errno.
int protect_here(BorrowedFd target, const std::vector<Protection>& all) {
  if (const Status entered = sys::setns(target, CLONE_NEWNS); !entered.ok()) return entered.error().errno_value();
  for (const Protection& one : all) {
    const Status done = sys::mount_setattr(sys::kCwd, one.path, one.flags, one.attributes, 0);
    if (done.ok()) continue;
    const int error = done.error().errno_value();
    const bool gone = error == ENOENT || error == ENOTDIR || error == EINVAL;
    if (one.required || !gone) return error;
  }
  return 0;
}

// By a child, because only who is in a mount namespace may change its mounts.
Status protect_mounts(pid_t pid, const Plan& plan) {
  const auto all = protections(plan);
  if (all.empty()) return {};
  ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(sys::kCwd, "/proc/" + std::to_string(pid) + "/ns/mnt", O_RDONLY));
  ASSIGN_OR_RETURN(const sys::Cloned helper, sys::clone3(0));
  if (helper.pid == 0) ::_exit(protect_here(target, all) & 0xff);
  ASSIGN_OR_RETURN(const sys::ExitStatus status, sys::waitpid(helper.pid));
  if (status.signal == 0 && status.code == 0) return {};
  return Error::from_errno(status.signal != 0 ? EIO : status.code, "make restored mounts as read-only as they were");
}

// The host's group of the container's root; nullopt without mappings.
std::optional<gid_t> root_group(const oci::Config& config) {
  if (!config.linux) return std::nullopt;
  for (const oci::IdMapping& mapping : config.linux->gid_mappings) {
    if (mapping.container_id == 0 && mapping.size > 0) return mapping.host_id;
  }
  return std::nullopt;
}

class Restorer {
 public:
  Restorer(const FactoryOptions& factory, const oci::Config& config, const RestoreOptions& options, const Plan& plan)
      : config_(config), options_(options), plan_(plan), paths_(state_paths(factory.root, options.id)) {}

  Result<Created> run() {
    Status done = walk();
    if (done.ok()) return std::move(created_);
    roll_back();
    return std::move(done).error();
  }

 private:
  Status walk();
  Status make_state();
  Status make_cgroup();
  Status start_session();
  Result<criu::Request> request();
  Status pass_namespaces(criu::Options& out);
  Status notified(const criu::Notification& what, UniqueFd fd);
  Status namespaces_ready(pid_t pid);
  Status take_console(UniqueFd master);
  Status restored(pid_t pid);
  void roll_back();

  const oci::Config& config_;
  const RestoreOptions& options_;
  const Plan& plan_;
  const StatePaths paths_;
  std::optional<RecordFile> file_;
  StateRecord record_;
  CriuDirectories directories_;
  UniqueFd console_target_;
  std::optional<cgroup::Layout> layout_;
  std::optional<Unit> unit_;
  std::optional<cgroup::Group> group_;
  std::vector<UniqueFd> passed_;
  std::optional<criu::Session> session_;
  Created created_;
  bool hooks_begun_ = false;
};

Status Restorer::make_state() {
  ASSIGN_OR_RETURN(RecordFile made, make_record(paths_));
  file_.emplace(std::move(made));
  note_what_will_be_made(plan_, record_);
  record_.id = options_.id;
  record_.bundle = options_.bundle;
  record_.rootfs = absolute_rootfs(config_, options_.bundle);
  record_.cgroup_path = planned_cgroup(plan_);
  record_.annotations = config_.annotations;
  record_.oci_version = config_.oci_version;
  RETURN_IF_ERROR(file_->append(RecordPart::kState, print_state_record(record_)));
  record_.resctrl = {};  // nothing is made yet
  RETURN_IF_ERROR(file_->append(RecordPart::kConfig, options_.config_text.empty()
                                                         ? oci::print_config(config_, oci::Style::kCompact)
                                                         : options_.config_text));
  return sys::mkdirat(sys::kCwd, paths_.restored_root(), 0700);
}

Status Restorer::make_cgroup() {
  ASSIGN_OR_RETURN(layout_, cgroup::probe_layout());
  for (const Step& step : plan_.steps) {
    if (const auto* unit = std::get_if<StartUnit>(&step.body)) {
      ASSIGN_OR_RETURN(Unit started, Unit::start(*unit));
      unit_.emplace(std::move(started));
      record_.cgroup_path = unit_->cgroup_path();
    }
    if (const auto* group = std::get_if<CgroupCreate>(&step.body))
      RETURN_IF_ERROR(make_group(*group, *layout_, cgroup::Policy::kRequired, unit_ ? &*unit_ : nullptr, group_));
    if (const auto* groups = std::get_if<ResctrlCreate>(&step.body)) {
      ASSIGN_OR_RETURN(record_.resctrl, make_resctrl(*groups));
    }
  }
  return {};
}

Status Restorer::start_session() {
  criu::SessionOptions with;
  with.mount_from = record_.rootfs;
  with.mount_at = paths_.restored_root();
  for (const UniqueFd& fd : passed_) with.passed.push_back(fd.get());
  ASSIGN_OR_RETURN(auto session, start_criu(std::move(with), directories_,
                                            {.memory_tracking = false, .lazy_pages = options_.lazy_pages}));
  session_.emplace(std::move(session));
  // What it restores is born in its group, and what it reads for that is the container's memory.
  if (group_) RETURN_IF_ERROR(group_->attach(session_->pid()));
  if (unit_) unit_->release_holder();
  return {};
}

// Joined network and process namespaces are descriptors of criu, in the place of what the images name.
Status Restorer::pass_namespaces(criu::Options& out) {
  if (!config_.linux) return {};
  for (const oci::Namespace& ns : config_.linux->namespaces) {
    if (ns.path.empty()) continue;
    if (ns.type != "network" && ns.type != "pid") {
      out.joined.push_back({ns.type == "mount" ? "mnt" : ns.type, ns.path});
      continue;
    }
    auto fd = sys::openat(sys::kCwd, ns.path, O_RDONLY);
    if (!fd.ok()) return std::move(fd).error().with(ns.type + " namespace");
    out.inherited.push_back({ns.type == "network" ? "extRootNetNS" : "extRootPidNS",
                             kFirstPassedToCriu + static_cast<int>(passed_.size())});
    passed_.push_back(std::move(*fd));
  }
  return {};
}

Result<criu::Request> Restorer::request() {
  criu::Request request;
  request.type = criu::RequestType::kRestore;
  criu::Options& wanted = request.options.emplace(common_options(options_));
  wanted.images_dir_fd = kImagesOfCriu;
  wanted.work_dir_fd = kWorkOfCriu;
  wanted.log_file = "restore.log";
  wanted.root = paths_.restored_root();
  wanted.evasive_devices = true;
  wanted.restore_sibling = true;
  wanted.config_file = criu_config_file(config_);
  wanted.lsm_profile = options_.lsm_profile;
  wanted.lsm_mount_context = options_.lsm_mount_context;
  RETURN_IF_ERROR(pass_namespaces(wanted));
  std::vector<std::string> links;
  CheckpointNotes notes;
  ASSIGN_OR_RETURN(const auto descriptors, read_beside(directories_, kDescriptorsFile));
  if (descriptors) {
    ASSIGN_OR_RETURN(links, parse_descriptors(*descriptors, kDescriptorsFile));
  }
  ASSIGN_OR_RETURN(const auto noted, read_beside(directories_, kNotesFile));
  if (noted) {
    ASSIGN_OR_RETURN(notes, parse_notes(*noted, kNotesFile));
  }
  for (criu::InheritedFd& stream : inherited_streams(links, notes)) {
    // criu takes inherited descriptors away, and needs its own standard input as the terminal of a job of the shell.
    if (options_.shell_job) {
      ASSIGN_OR_RETURN(auto copy, sys::dup_cloexec(BorrowedFd(stream.fd)));
      stream.fd = kFirstPassedToCriu + static_cast<int>(passed_.size());
      passed_.push_back(std::move(copy));
    }
    wanted.inherited.push_back(std::move(stream));
  }
  std::vector<HostMount> mounts = host_mounts(plan_);
  for (HostMount& bind : cgroup_binds(config_, plan_, *layout_, record_.cgroup_path)) mounts.push_back(std::move(bind));
  wanted.external_mounts = restored_mounts(mounts, notes, config_.linux && !config_.linux->masked_paths.empty());
  if (group_) {
    for (const auto& [controller, directory] : group_->directories())
      wanted.cgroup_roots.push_back({controller, record_.cgroup_path});
  }
  return request;
}

Status Restorer::namespaces_ready(pid_t pid) {
  hooks_begun_ = true;
  const oci::State state{config_.oci_version, options_.id, "creating", pid, options_.bundle, config_.annotations};
  RETURN_IF_ERROR(run_hooks("prestart", config_.hooks.prestart, hook_input(state)));
  return run_hooks("createRuntime", config_.hooks.create_runtime, hook_input(state));
}

Status Restorer::take_console(UniqueFd master) {
  if (!master.valid()) return Error(Errc::kInternal, "criu sent no terminal");
  if (options_.keep_console) {
    created_.console = std::move(master);
    return {};
  }
  if (console_target_) return send_console(console_target_, master);
  return Error(Errc::kInvalidArgument, "the images have a terminal, and the configuration has none")
      .with_hint("set process.terminal in config.json");
}

// Everything is there and stands still: from here on it is found by its id.
Status Restorer::restored(pid_t pid) {
  created_.pid = pid;
  ASSIGN_OR_RETURN(created_.pidfd, sys::pidfd_open(pid));
  RETURN_IF_ERROR(protect_mounts(pid, plan_));
  RETURN_IF_ERROR(complete_record(config_, pid, record_));
  if (!record_.resctrl.class_path.empty()) {
    ASSIGN_OR_RETURN(const auto processes, group_ ? group_->processes() : Result<std::vector<pid_t>>({pid}));
    for (const pid_t process : processes) {
      if (process != session_->pid()) RETURN_IF_ERROR(join_resctrl(record_.resctrl, process));
    }
  }
  RETURN_IF_ERROR(file_->append(RecordPart::kState, print_state_record(record_)));
  return options_.pid_file.empty() ? Status() : write_pid_file(options_.pid_file, pid);
}

Status Restorer::notified(const criu::Notification& what, UniqueFd fd) {
  if (what.script == "setup-namespaces") return namespaces_ready(what.pid);
  if (what.script == "orphan-pts-master") return take_console(std::move(fd));
  if (what.script == "post-restore") return restored(what.pid);
  return {};
}

Status Restorer::walk() {
  RETURN_IF_ERROR(make_state());
  ASSIGN_OR_RETURN(directories_, open_criu_directories(options_, "restore.log", ImagesDirectory::kMustExist));
  if (!sys::fstatat(directories_.images, "inventory.img").ok()) {
    return Error(Errc::kNotFound, "there is no checkpoint in " + quoted(options_.image_path), ENOENT)
        .with_hint("name the directory of the images with --image-path");
  }
  if (const auto group = root_group(config_)) RETURN_IF_ERROR(show_images_to(directories_, *group));
  if (!options_.console_socket.empty()) {
    ASSIGN_OR_RETURN(console_target_, connect_console(options_.console_socket));
  }
  RETURN_IF_ERROR(make_cgroup());
  ASSIGN_OR_RETURN(const criu::Request wanted, request());
  RETURN_IF_ERROR(make_mount_points(plan_, record_.rootfs));
  RETURN_IF_ERROR(start_session());
  auto done = session_->run(
      wanted, [this](const criu::Notification& what, UniqueFd fd) { return notified(what, std::move(fd)); });
  if (!done.ok()) return explain_criu_failure(std::move(done).error(), directories_);
  session_.reset();
  (void)::rmdir(paths_.restored_root().c_str());
  if (created_.pid == 0) return Error(Errc::kInternal, "criu restored processes and did not say which");
  return {};
}

void Restorer::roll_back() {
  if (!file_) return;  // the id is somebody else's
  session_.reset();
  if (created_.pidfd.valid()) {
    (void)!sys::pidfd_send_signal(created_.pidfd, SIGKILL).ok();
    (void)!sys::waitpid(created_.pid).ok();
  }
  if (!options_.pid_file.empty()) (void)::unlink(options_.pid_file.c_str());
  discard_group(unit_ ? &*unit_ : nullptr, group_ ? &*group_ : nullptr);
  if (Status removed = remove_resctrl(record_.resctrl); !removed.ok()) log::warning(removed.error().message());
  discard_criu_directories(directories_);
  (void)!remove_state(paths_).ok();
  // Whatever hooks had set up is theirs to take down.
  if (hooks_begun_)
    run_poststop(config_, {config_.oci_version, options_.id, "stopped", 0, options_.bundle, config_.annotations});
}

}  // namespace

Result<Created> Factory::restore(const oci::Config& config, const RestoreOptions& options) {
  return restore_with_extras(*this, config, options, std::nullopt);
}

Result<Created> restore_with_extras(Factory& factory, const oci::Config& config, const RestoreOptions& options,
                                    const std::optional<Extras>& extras) {
  const std::string what = "restore container " + quoted(options.id);
  const auto id = ContainerId::parse(options.id);
  if (!id.ok()) return Error(id.error().code(), id.error().message());
  if (factory.options().rootless)
    return Error(Errc::kUnsupported, "CRIU needs root, and containers of users without privileges cannot be restored",
                 EPERM)
        .with(what);
  if (options.systemd_cgroup) RETURN_IF_ERROR(dbus::Systemd::available());
  ASSIGN_OR_RETURN(const Plan plan, factory.plan(config, create_options(options, extras)));
  if (Status possible = check_restorable(config, plan); !possible.ok()) return std::move(possible).error().with(what);
  RETURN_IF_ERROR(check_rootfs(absolute_rootfs(config, options.bundle)));
  auto created = Restorer(factory.options(), config, options, plan).run();
  if (!created.ok()) return std::move(created).error().with(what);
  return created;
}

}  // namespace cooper::container
