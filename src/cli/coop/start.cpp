// create, run, start.
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "cli/coop/commands.h"
#include "cli/coop/notify.h"
#include "cli/coop/supervise.h"
#include "cli/coop/waterfall.h"
#include "container/default_id_maps.h"
#include "container/out_of_memory.h"
#include "container/seal_exe.h"
#include "container/timing.h"
#include "io/file.h"
#include "log/log.h"
#include "spec/oci_runtime/parse.h"
#include "spec/oci_runtime/versions.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::cli::coop {
namespace {

// Socket activation (sd_listen_fds(3)): descriptors 3... are for us, to be handed on, when LISTEN_PID names us.
int listen_fds() {
  const char* pid = ::secure_getenv("LISTEN_PID");
  const char* count = ::secure_getenv("LISTEN_FDS");
  if (pid == nullptr || count == nullptr) return 0;
  if (parse_number<pid_t>(pid).value_or(0) != ::getpid()) return 0;
  return static_cast<int>(std::min(parse_number<unsigned>(count).value_or(0), 1024U));
}

}  // namespace

Result<container::CreateOptions> create_options(const Call& call, const std::string& id, const std::string& bundle) {
  const Arguments& arguments = call.arguments;
  container::CreateOptions out;
  out.id = id;
  out.bundle = bundle;
  ASSIGN_OR_RETURN(out.console_socket, absolute_path(arguments.value("console-socket")));
  ASSIGN_OR_RETURN(out.pidfd_socket, absolute_path(arguments.value("pidfd-socket")));
  ASSIGN_OR_RETURN(out.pid_file, absolute_path(arguments.value("pid-file")));
  ASSIGN_OR_RETURN(out.preserve_fds, preserved_fds(arguments));
  out.systemd_cgroup = call.globals.systemd_cgroup;
  out.cgroups_disabled = call.globals.cgroups_disabled;
  out.no_pivot = arguments.flag("no-pivot");
  out.no_new_keyring = arguments.flag("no-new-keyring");
  out.keep_exit_status = arguments.flag("keep-exit-status");
  if (const int passed = listen_fds(); passed > 0) {
    out.preserve_fds += passed;
    out.extra_env.push_back("LISTEN_FDS=" + std::to_string(passed));
    out.extra_env.emplace_back("LISTEN_PID=1");
    if (const char* names = ::secure_getenv("LISTEN_FDNAMES"); names != nullptr)
      out.extra_env.push_back(std::string("LISTEN_FDNAMES=") + names);
  }
  return out;
}

namespace {

Result<std::optional<NotifyProxy>> add_notify(const Call& call, container::CreateOptions& options) {
  // The directory of a container that exists is its own; the create that follows reports the id.
  if (!NotifyProxy::wanted() || call.factory().load(options.id).ok()) return std::optional<NotifyProxy>();
  ASSIGN_OR_RETURN(auto notify, NotifyProxy::prepare(call.globals.root, options.id));
  if (notify) {
    options.extra_mounts.push_back(notify->mount());
    options.extra_env.push_back(notify->environment());
  }
  return notify;
}

}  // namespace

Result<int> print_plan(const Call& call, const oci::Config& config, const container::CreateOptions& options,
                       const std::string& format) {
  if (!format.empty() && format != "text" && format != "json") {
    return Error(Errc::kInvalidArgument, "--dry-run prints text or json, not " + quoted(format));
  }
  ASSIGN_OR_RETURN(const container::Plan plan, call.factory().plan(config, options));
  RETURN_IF_ERROR(print(format == "json" ? container::print_json(plan) : container::print_text(plan)));
  return 0;
}

namespace {

// Where --trace-timing draws; "" is standard error. What cannot be drawn is a warning: the container has run.
void draw(const container::StartTiming& timing, const std::string& file) {
  if (file.empty()) {
    (void)!sys::write_all(BorrowedFd(STDERR_FILENO), waterfall_text(timing)).ok();
    return;
  }
  const std::string text = file.ends_with(".svg")    ? waterfall_svg(timing)
                           : file.ends_with(".json") ? waterfall_json(timing)
                                                     : waterfall_text(timing);
  if (Status written = io::write_file_atomic(file, text, 0644); !written.ok())
    log::warning(std::move(written).error().with("--trace-timing").message());
}

// The record of a container that outlives its process (--keep).
void keep_exit_status(const Call& call, const std::string& id, const Result<sys::ExitStatus>& status) {
  NotifyProxy::remove(call.globals.root, id);
  const auto container = call.factory().load(id);
  if (!container.ok() || !status.ok()) return;  // deleted by somebody else meanwhile
  if (Status kept = container->record_exit(*status); !kept.ok())
    log::error(std::move(kept).error().with("keep the exit status of container " + quoted(id)));
}

// 137 alone does not tell a limit from a kill.
void tell_out_of_memory(const Call& call, const std::string& id) {
  const auto container = call.factory().load(id);
  if (!container.ok()) return;
  const auto group = container->group();
  if (!group.ok()) return;
  if (const auto error = container::out_of_memory(*group)) log::warning(log::sentence(*error));
}

// Of a container whose init this process has collected.
void remove_container(const std::string& id, const oci::Config& config, container::Removal removal) {
  Status done = std::move(removal).remove(config);
  if (!done.ok() && done.error().code() != Errc::kNotFound)
    log::error(std::move(done).error().with("delete container " + quoted(id)));
}

// A start that nobody waits for afterwards: with descriptors to tell and to wait for, signals end the wait alone.
Result<container::Created> create_for_others(const Call& call, const Bundle& bundle, container::CreateOptions options,
                                             ControlFds& control) {
  std::optional<Supervisor> supervisor;
  if (control.any()) {
    ASSIGN_OR_RETURN(auto made, Supervisor::create());
    supervisor.emplace(std::move(made));
    options.private_fds = control.numbers();
    options.before_start = [&](const container::BeforeStart& container) {
      return control.before_start(container, *supervisor);
    };
  }
  return call.factory().create(bundle.config, options);
}

// What the program ends with when a start came to nothing.
Result<int> failed(Error error, const ControlFds& control) {
  if (control.cancelled_by() == 0) return error;
  log::error(error);
  return 128 + control.cancelled_by();
}

Result<int> run_detached(const Call& call, const Bundle& bundle, container::CreateOptions options, ControlFds control) {
  ASSIGN_OR_RETURN(auto notify, add_notify(call, options));
  ScopeExit undo([&] {
    if (notify) NotifyProxy::remove(call.globals.root, options.id);
  });
  if (notify) RETURN_IF_ERROR(notify->listen());
  auto created = create_for_others(call, bundle, options, control);
  if (!created.ok()) return failed(std::move(created).error(), control);
  undo.dismiss();
  if (notify) RETURN_IF_ERROR(notify->wait_ready(created->pid, created->pidfd));
  return 0;
}

}  // namespace

Result<int> run_in_foreground(const Call& call, oci::Config& config, container::CreateOptions options,
                              Foreground foreground) {
  ControlFds& control = foreground.control;
  // Before the start: its end is seen however early it comes.
  UniqueFd parent;
  if (foreground.die_with_parent) {
    ASSIGN_OR_RETURN(parent, sys::pidfd_open(::getppid()));
    options.parent_death_signal = SIGKILL;
  }
  if (foreground.subreaper) RETURN_IF_ERROR(sys::set_child_subreaper(true));
  // Before the start: no signal may be lost, and none may end us while a container is half made.
  ASSIGN_OR_RETURN(auto supervisor, Supervisor::create());
  const bool terminal = config.process->terminal;
  // What people look at is the caller's, whatever the configuration says, from the first instruction on.
  if (const auto size = terminal ? caller_terminal_size() : std::nullopt) config.process->console_size = size;
  options.keep_console = terminal;
  options.keep_removal = !foreground.keep;
  if (control.any()) {
    for (const int fd : control.numbers()) options.private_fds.push_back(fd);
    options.before_start = [&](const container::BeforeStart& container) {
      return control.before_start(container, supervisor);
    };
  }
  ASSIGN_OR_RETURN(auto notify, add_notify(call, options));
  ScopeExit remove_notify([&] {
    if (notify) NotifyProxy::remove(call.globals.root, options.id);
  });
  if (notify) RETURN_IF_ERROR(notify->listen());
  auto started = call.factory().create(config, options);
  if (!started.ok()) return failed(std::move(started).error(), control);
  container::Created created = std::move(started).value();
  const std::vector<UniqueFd> locks = std::move(created.locks);
  remove_notify.dismiss();
  if (terminal) {
    if (Status taken = supervisor.take_terminal(); !taken.ok()) log::warning(taken.error().message());
  }
  if (notify) {
    supervisor.watch(notify->socket(), [&notify, pid = created.pid] {
      if (const auto ready = notify->forward(pid); !ready.ok()) log::warning(ready.error().message());
      return true;
    });
  }
  if (foreground.limit) supervisor.limit_time(*foreground.limit);
  if (parent) {
    supervisor.watch(parent, [pidfd = created.pidfd.get()] {
      (void)!sys::pidfd_send_signal(BorrowedFd(pidfd), SIGKILL).ok();
      return false;
    });
  }
  auto removal = std::move(created.removal);
  auto status = supervisor.wait_for(std::move(created));
  if (status.ok() && status->signal == SIGKILL && !supervisor.timed_out()) tell_out_of_memory(call, options.id);
  if (foreground.keep) {
    keep_exit_status(call, options.id, status);
  } else if (removal && status.ok()) {
    remove_container(options.id, config, *std::move(removal));
    if (notify) NotifyProxy::remove(call.globals.root, options.id);
  } else {
    delete_container(call, options.id);
  }
  if (!status.ok()) return std::move(status).error();
  const int code = supervisor.timed_out() ? kTimedOutStatus : status->shell_code();
  control.ended(code, supervisor.timed_out());
  return code;
}

namespace {

Result<std::string> bundle_path(const Arguments& arguments) {
  return absolute_path(arguments.value("bundle", "."));
}

}  // namespace

Result<Bundle> read_bundle(const std::string& path, Notes notes) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return Error::from_errno(errno, "bundle " + quoted(path));
  auto text = read_input(path + "/config.json", oci::kMaxConfigBytes);
  if (!text.ok())
    return std::move(text)
        .error()
        .with("bundle " + quoted(path))
        .with_hint("a bundle is a directory with a config.json; 'coop spec' writes one");
  Bundle out;
  out.text = *text;
  ASSIGN_OR_RETURN(out.config, oci::parse_config(std::move(text).value(), "config.json"));
  if (notes == Notes::kAlways || log::enabled(log::Level::kInfo)) {
    ASSIGN_OR_RETURN(std::string newer, oci::describe_newer_members(out.text, "config.json"));
    if (!newer.empty()) out.notes.push_back(std::move(newer));
  }
  // The text is what is kept of a configuration as it was given.
  if (container::fill_id_maps(out.config)) out.text.clear();
  if (container::may_open_executables(out.config)) RETURN_IF_ERROR(container::seal_executable_copy());
  return out;
}

void delete_container(const Call& call, const std::string& id) {
  auto container = call.factory().load(id);
  Status done = container.ok() ? container->destroy(true) : Status(std::move(container).error());
  if (!done.ok() && done.error().code() != Errc::kNotFound)
    log::error(std::move(done).error().with("delete container " + quoted(id)));
  NotifyProxy::remove(call.globals.root, id);
}

Result<int> run_create(const Call& call) {
  ASSIGN_OR_RETURN(const std::string path, bundle_path(call.arguments));
  ASSIGN_OR_RETURN(Bundle bundle, read_bundle(path));
  ASSIGN_OR_RETURN(auto options, create_options(call, call.id(), path));
  ASSIGN_OR_RETURN(ControlFds control, ControlFds::open(call.arguments, options.preserve_fds));
  if (!bundle.config.process) return Error(Errc::kInvalidArgument, "config.json: /process: required member is missing");
  RETURN_IF_ERROR(check_console(bundle.config.process->terminal, true, !options.console_socket.empty()));
  options.config_text = std::move(bundle.text);
  options.notes = std::move(bundle.notes);
  give_pipes_to(*bundle.config.process, bundle.config);
  ASSIGN_OR_RETURN(const auto notify, add_notify(call, options));
  ScopeExit undo([&] {
    if (notify) NotifyProxy::remove(call.globals.root, options.id);
  });
  auto created = create_for_others(call, bundle, options, control);
  if (!created.ok()) return failed(std::move(created).error(), control);
  undo.dismiss();
  return 0;
}

Result<int> run_run(const Call& call) {
  const bool timed = call.arguments.has("trace-timing");
  ASSIGN_OR_RETURN(const std::string picture, absolute_path(call.arguments.value("trace-timing")));
  container::StartTiming timing;
  if (timed) timing.mark("begin");
  ASSIGN_OR_RETURN(const std::string path, bundle_path(call.arguments));
  const bool dry = call.arguments.has("dry-run");
  ASSIGN_OR_RETURN(Bundle bundle, read_bundle(path, dry ? Notes::kAlways : Notes::kIfLogged));
  if (timed) timing.mark("read config.json");
  ASSIGN_OR_RETURN(auto options, create_options(call, call.id(), path));
  if (timed) options.timing = &timing;
  options.detach_start = false;
  options.notes = std::move(bundle.notes);
  if (dry) return print_plan(call, bundle.config, options, call.arguments.value("dry-run"));
  if (!bundle.config.process) return Error(Errc::kInvalidArgument, "config.json: /process: required member is missing");
  const bool detach = call.arguments.flag("detach");
  Foreground foreground;
  foreground.keep = call.arguments.flag("keep");
  foreground.subreaper = !call.arguments.flag("no-subreaper");
  ASSIGN_OR_RETURN(foreground.limit, time_limit(call.arguments));
  if (detach && foreground.limit) {
    return Error(Errc::kInvalidArgument, "--time-limit cannot be used with --detach: nobody would watch the time")
        .with_hint("run it in the foreground, or end it with 'coop kill'");
  }
  if (!detach && options.keep_exit_status) {
    return Error(Errc::kInvalidArgument, "--keep-exit-status is for --detach")
        .with_hint("in the foreground 'run' ends with the exit status, and --keep keeps it with the container");
  }
  ASSIGN_OR_RETURN(foreground.control, ControlFds::open(call.arguments, options.preserve_fds));
  RETURN_IF_ERROR(check_console(bundle.config.process->terminal, detach, !options.console_socket.empty()));
  options.config_text = std::move(bundle.text);
  give_pipes_to(*bundle.config.process, bundle.config);
  auto status = detach ? run_detached(call, bundle, std::move(options), std::move(foreground.control))
                       : run_in_foreground(call, bundle.config, std::move(options), std::move(foreground));
  if (timed && status.ok()) {
    if (!detach) timing.mark("wait for the program, delete the container");
    draw(timing, picture);
  }
  return status;
}

Result<int> run_start(const Call& call) {
  ASSIGN_OR_RETURN(auto container, call.load());
  ASSIGN_OR_RETURN(auto notify, NotifyProxy::open(call.globals.root, call.id()));
  if (!notify) {
    RETURN_IF_ERROR(container.start());
    return 0;
  }
  RETURN_IF_ERROR(notify->listen());
  const auto pidfd = container.init_pidfd();
  RETURN_IF_ERROR(container.start());
  if (pidfd.ok()) RETURN_IF_ERROR(notify->wait_ready(container.record().pid, *pidfd));
  return 0;
}

}  // namespace cooper::cli::coop
