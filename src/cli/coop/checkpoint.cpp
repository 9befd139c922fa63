// checkpoint, restore.
#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "cli/coop/supervise.h"
#include "criu/page_server.h"
#include "log/log.h"
#include "sys/cred.h"

namespace cooper::cli::coop {
namespace {

struct ModeWord {
  std::string_view word;
  criu::CgroupMode mode;
};
constexpr std::array kModes = std::to_array<ModeWord>({{"soft", criu::CgroupMode::kSoft},
                                                       {"full", criu::CgroupMode::kFull},
                                                       {"strict", criu::CgroupMode::kStrict},
                                                       {"ignore", criu::CgroupMode::kIgnore}});

Result<criu::CgroupMode> cgroup_mode(const std::string& word) {
  for (const ModeWord& entry : kModes) {
    if (entry.word == word) return entry.mode;
  }
  return Error(Errc::kInvalidArgument,
               "--manage-cgroups-mode " + quoted(word) + " must be soft, full, strict or ignore");
}

Status common_options(const Arguments& arguments, container::CriuOptions& out) {
  ASSIGN_OR_RETURN(out.image_path, absolute_path(arguments.value("image-path", "checkpoint")));
  ASSIGN_OR_RETURN(out.work_path, absolute_path(arguments.value("work-path")));
  out.tcp_established = arguments.flag("tcp-established");
  out.external_unix_sockets = arguments.flag("ext-unix-sk");
  out.shell_job = arguments.flag("shell-job");
  out.file_locks = arguments.flag("file-locks");
  out.lazy_pages = arguments.flag("lazy-pages");
  out.auto_dedup = arguments.flag("auto-dedup");
  for (const std::string& word : arguments.list("empty-ns")) {
    if (word != "network") return Error(Errc::kInvalidArgument, "--empty-ns " + quoted(word) + " must be network");
    out.empty_network = true;
  }
  ASSIGN_OR_RETURN(out.cgroup_mode, cgroup_mode(arguments.value("manage-cgroups-mode", "soft")));
  if (out.image_path.empty()) return Error(Errc::kInvalidArgument, "--image-path names no directory");
  return {};
}

Result<container::CheckpointOptions> checkpoint_options(const Arguments& arguments) {
  container::CheckpointOptions out;
  RETURN_IF_ERROR(common_options(arguments, out));
  out.parent_path = arguments.value("parent-path");
  out.leave_running = arguments.flag("leave-running");
  out.pre_dump = arguments.flag("pre-dump");
  out.tcp_skip_in_flight = arguments.flag("tcp-skip-in-flight");
  out.link_remap = arguments.flag("link-remap");
  if (arguments.has("page-server")) {
    ASSIGN_OR_RETURN(out.page_server, criu::parse_page_server(arguments.value("page-server")));
  }
  if (out.lazy_pages && !out.page_server)
    return Error(Errc::kInvalidArgument, "--lazy-pages needs --page-server ADDRESS:PORT, where the pages are served");
  ASSIGN_OR_RETURN(const auto status_fd, arguments.number<std::uint16_t>("status-fd"));
  if (!status_fd) return out;
  const int flags = ::fcntl(*status_fd, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || (flags & O_PATH) != 0)
    return Error(Errc::kInvalidArgument, "--status-fd " + std::to_string(*status_fd) +
                                             (flags < 0 ? " is not an open descriptor" : " cannot be written to"));
  if (out.lazy_pages) {
    out.status_fd = *status_fd;
  } else {
    log::warning("--status-fd: nothing is written there without --lazy-pages");
  }
  return out;
}

Result<int> restore_foreground(const Call& call, Bundle& bundle, container::RestoreOptions options) {
  if (!call.arguments.flag("no-subreaper")) RETURN_IF_ERROR(sys::set_child_subreaper(true));
  // Before the restore: no signal may be lost.
  ASSIGN_OR_RETURN(auto supervisor, Supervisor::create());
  options.keep_console = bundle.config.process->terminal;
  auto factory = call.factory();
  ASSIGN_OR_RETURN(auto created, factory.restore(bundle.config, options));
  if (options.keep_console) {
    if (Status taken = supervisor.take_terminal(); !taken.ok()) log::warning(taken.error().message());
  }
  auto status = supervisor.wait_for(std::move(created));
  delete_container(call, options.id);
  if (!status.ok()) return std::move(status).error();
  return status->shell_code();
}

}  // namespace

Result<int> run_checkpoint(const Call& call) {
  ASSIGN_OR_RETURN(const auto options, checkpoint_options(call.arguments));
  ASSIGN_OR_RETURN(auto container, call.load());
  RETURN_IF_ERROR(container.checkpoint(options));
  return 0;
}

Result<int> run_restore(const Call& call) {
  const Arguments& arguments = call.arguments;
  container::RestoreOptions options;
  RETURN_IF_ERROR(common_options(arguments, options));
  options.id = call.id();
  ASSIGN_OR_RETURN(options.bundle, absolute_path(arguments.value("bundle", ".")));
  ASSIGN_OR_RETURN(Bundle bundle, read_bundle(options.bundle));
  if (!bundle.config.process) return Error(Errc::kInvalidArgument, "config.json: /process: required member is missing");
  ASSIGN_OR_RETURN(options.console_socket, absolute_path(arguments.value("console-socket")));
  ASSIGN_OR_RETURN(options.pid_file, absolute_path(arguments.value("pid-file")));
  options.systemd_cgroup = call.globals.systemd_cgroup;
  if (call.globals.cgroups_disabled)
    return Error(Errc::kUnsupported, "--cgroup-manager disabled: a restored container needs control groups");
  options.no_pivot = arguments.flag("no-pivot");
  options.lsm_profile = arguments.value("lsm-profile");
  options.lsm_mount_context = arguments.value("lsm-mount-context");
  const bool detach = arguments.flag("detach");
  RETURN_IF_ERROR(check_console(bundle.config.process->terminal, detach, !options.console_socket.empty()));
  options.config_text = std::move(bundle.text);
  give_pipes_to(*bundle.config.process, bundle.config);
  if (!detach) return restore_foreground(call, bundle, std::move(options));
  auto factory = call.factory();
  ASSIGN_OR_RETURN(const auto created, factory.restore(bundle.config, options));
  return 0;
}

}  // namespace cooper::cli::coop
