// exec: a further process in a running container.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/cooper/command.h"
#include "cli/cooper/detach_keys.h"
#include "cli/cooper/exec_request.h"
#include "cli/cooper/exec_session.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/start_failure.h"
#include "cli/cooper/target.h"
#include "container/seal_exe.h"
#include "image/store.h"
#include "io/tty.h"
#include "log/steps.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::cli {
namespace {

constexpr std::array<Flag, 10> kExecFlags = {{
    {"detach", 'd', "", "in the background"},
    {"interactive", 'i', "", "connect standard input"},
    {"tty", 't', "", "give the command a terminal"},
    {"env", 'e', "NAME[=VALUE]", "environment variable, on top of the container's"},
    {"env-file", 0, "FILE", "environment variables, one NAME=VALUE a line", Flag::Complete::kFile},
    {"workdir", 'w', "PATH", "working directory (default: the container's)"},
    {"user", 'u', "USER[:GROUP]", "names of the container, or numbers (default: the container's)"},
    {"privileged", 0, "", "all capabilities"},
    {"detach-keys", 0, "KEYS", "keys that leave the command running (default ctrl-p,ctrl-q)"},
    {"sig-proxy", 0, "", "pass signals on to the command (default true)"},
}};

// The user as the container's own files have it. The root is that of the init, which must still be the one we mean
// afterwards.
Result<image::ResolvedUser> resolve_inside(const container::Container& container, std::string_view user) {
  ASSIGN_OR_RETURN(const UniqueFd init, container.init_pidfd());
  const std::string path = "/proc/" + std::to_string(container.record().pid) + "/root";
  auto root = sys::openat(sys::kCwd, path, O_PATH | O_DIRECTORY);
  ASSIGN_OR_RETURN(bool exited, sys::pidfd_has_exited(init));
  // One that is exiting has given it up already.
  exited = exited || (!root.ok() && (root.error().errno_value() == ENOENT || root.error().errno_value() == ESRCH));
  if (exited) return Error(Errc::kWrongState, "container " + quoted(container.record().id) + " is not running");
  if (!root.ok()) return std::move(root).error();
  return image::resolve_user(*root, user);
}

Result<container::ExecOptions> exec_options(const Args& args, const container::Container& container,
                                            const oci::Config& config) {
  if (!config.process) return Error(Errc::kCorrupt, "the container's configuration has no process");
  container::ExecOptions options;
  ASSIGN_OR_RETURN(const ExecRequest request, exec_request(args, real_surroundings()));
  std::optional<image::ResolvedUser> user;
  if (!request.user.empty()) {
    ASSIGN_OR_RETURN(user, resolve_inside(container, request.user));
  }
  options.process = exec_process(*config.process, request, user);
  if (request.terminal) {
    options.keep_console = true;
    if (const auto size = io::caller_window_size())
      options.process.console_size = oci::ConsoleSize{size->rows, size->columns};
  }
  return options;
}

// The apps of a pod see the process that joins it.
Status protect_from_apps(const pod::Engine& engine, const pod::PodInfo& info) {
  const auto can_trace = [&](const pod::AppInfo& app) {
    const auto config = engine.app_config(info.uuid, app.name);
    return config.ok() && container::grants_tracing(*config);
  };
  return std::ranges::any_of(info.apps, can_trace) ? container::seal_executable_copy() : Status();
}

Result<int> exec(const Context& context, const Args& args) {
  auto keys = parse_detach_keys(args.last("detach-keys").value_or(context.settings().detach_keys));
  if (!keys.ok()) return std::move(keys).error().with("--detach-keys");
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  const std::string& name = args.positional().front();
  ASSIGN_OR_RETURN(const Target target, find_target(engine, name));
  ASSIGN_OR_RETURN(const pod::PodInfo info, engine.info(target.uuid));
  ASSIGN_OR_RETURN(const pod::AppInfo* app, select_app(info, target.app));
  if (app->state == "paused")
    return Error(Errc::kWrongState, quoted(name) + " is paused").with_hint("cooper unpause lets it go on");
  if (app->state != "running") return Error(Errc::kWrongState, quoted(name) + " is not running");
  ASSIGN_OR_RETURN(container::Container container, engine.container(target.uuid, app->name));
  ASSIGN_OR_RETURN(const oci::Config config, engine.app_config(target.uuid, app->name));
  RETURN_IF_ERROR(protect_from_apps(engine, info));
  ASSIGN_OR_RETURN(container::ExecOptions options, exec_options(args, container, config));

  const bool detach = args.enabled("detach");
  const bool interactive = args.enabled("interactive") && !detach;
  UniqueFd null;
  if (!options.keep_console && (detach || !interactive)) {
    ASSIGN_OR_RETURN(null, sys::openat(sys::kCwd, "/dev/null", O_RDWR));
    options.stdio.in = null.get();
    if (detach) options.stdio.out = options.stdio.err = null.get();
  }
  ASSIGN_OR_RETURN(auto signals, SignalInbox::open_if(!detach));
  auto created = container.exec(options);
  if (!created.ok()) {
    report(context, created.error());
    return start_failure_status(created.error());
  }
  log::step("exec", [&] {
    return log::Fields{{"container", container.record().id}, {"pid", std::to_string(created->pid)}};
  });
  if (detach) {
    if (created->console) RETURN_IF_ERROR(hold_console(std::move(created->console)));
    return 0;
  }
  ExecSessionOptions session;
  session.stdin_open = interactive;
  session.sig_proxy = args.enabled("sig-proxy", true);
  session.detach_keys = std::move(keys).value();
  ASSIGN_OR_RETURN(const ExecEnd end, run_exec_session(std::move(created).value(), session, std::move(*signals)));
  if (end.signal != 0) die_by_signal(end.signal);
  return end.exit_code;
}

}  // namespace

std::span<const Command> exec_commands() {
  static const std::array<Command, 1> kCommands = {{
      {.path = "exec",
       .usage = "CONTAINER COMMAND [ARG...]",
       .summary = "run a command in a running container",
       .description = "The exit status is the command's. With -it it has a terminal; ctrl-p ctrl-q leaves it running.",
       .flags = {kExecFlags},
       .order = Order::kBeforeArguments,
       .min_args = 2,
       .handler = exec,
       .failure = kExitEngine,
       .completes = Completes::kRunning,
       .later = Completes::kNothing,
       .seals = Seals::kClone},
  }};
  return kCommands;
}

}  // namespace cooper::cli
