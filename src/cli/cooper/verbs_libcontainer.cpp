// cooper libcontainer ...: the verbs of nsinit, on the library room.
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include "base/strings.h"
#include "cli/coop/supervise.h"
#include "cli/cooper/command.h"
#include "cli/cooper/libcontainer_template.h"
#include "cli/cooper/output_file.h"
#include "io/file.h"
#include "library/library.h"
#include "log/log.h"
#include "spec/libcontainer/parse.h"
#include "spec/libcontainer/print.h"
#include "sys/cred.h"
#include "sys/process.h"

namespace cooper::cli {
namespace {

constexpr std::array<Flag, 1> kIdFlags = {{{.name = "id", .value = "ID", .help = "the container (default nsinit)"}}};
constexpr Flag kFrom = {.name = "from",
                        .value = "FILE",
                        .help = "libcontainer configuration of a new container",
                        .complete = Flag::Complete::kFile};
constexpr Flag kSystemd = {
    .name = "systemd", .value = {}, .help = "the control group is a scope of systemd's, below cgroups.slice"};
constexpr std::array<Flag, 2> kRestoreFlags = {{kFrom, kSystemd}};
constexpr std::array<Flag, 8> kExecFlags = {{
    {.name = "tty", .letter = 't', .value = {}, .help = "the process has a terminal"},
    kFrom,
    {.name = "user", .letter = 'u', .value = "USER[:GROUP]", .help = "names or numbers (default root)"},
    {.name = "cwd", .value = "DIR", .help = "working directory (default /)"},
    {.name = "env", .value = "NAME=VALUE", .help = "environment variable; repeatable"},
    {.name = "cap", .value = "NAME", .help = "capability instead of the configuration's; repeatable"},
    {.name = "preserve-fds", .value = "N", .help = "pass N descriptors on, from 3"},
    kSystemd,
}};
constexpr std::array<Flag, 1> kConfigFlags = {{{.name = "file",
                                                .letter = 'f',
                                                .value = "FILE",
                                                .help = "write there (default standard output)",
                                                .complete = Flag::Complete::kFile}}};
constexpr std::array<Flag, 1> kPressureFlags = {{{.name = "pressure",
                                                  .value = "LEVEL",
                                                  .help = "report memory pressure instead: low, medium or critical",
                                                  .complete = Flag::Complete::kWords,
                                                  .words = "low medium critical"}}};
constexpr std::array<Flag, 6> kCriuFlags = {{
    {.name = "image-path",
     .value = "DIR",
     .help = "directory of the images (required)",
     .complete = Flag::Complete::kDirectory},
    {.name = "work-path",
     .value = "DIR",
     .help = "directory of CRIU's log (default that of the images)",
     .complete = Flag::Complete::kDirectory},
    {.name = "tcp-established", .value = {}, .help = "open TCP connections, too"},
    {.name = "ext-unix-sk", .value = {}, .help = "unix sockets to the outside, too"},
    {.name = "shell-job", .value = {}, .help = "a terminal or session of the outside, too"},
    {.name = "file-locks", .value = {}, .help = "file locks, too"},
}};
constexpr std::array<Flag, 2> kCheckpointFlags = {{
    {.name = "leave-running", .value = {}, .help = "the container goes on"},
    {.name = "page-server", .value = "ADDRESS:PORT", .help = "send pages to a criu page-server"},
}};

std::string id_of(const Args& args) {
  return args.last("id").value_or("nsinit");
}

library::Factory factory_of(const Context& context) {
  return library::Factory(context.settings().engine.run_root + "/libcontainer");
}

// For verbs that make a container.
Result<library::Factory> factory_of(const Context& context, const Args& args) {
  auto opened = library::Factory::open(factory_of(context).root(), {.systemd_cgroups = args.enabled("systemd")});
  if (!opened.ok()) return std::move(opened).error().with_hint("leave --systemd out: groups are made directly then");
  return opened;
}

// Somebody asked for it.
Status warn_of_ineffective(const library::Container& container) {
  ASSIGN_OR_RETURN(const auto words, container.ineffective());
  for (const std::string& sentence : words) log::warning("container " + quoted(container.id()) + ": " + sentence);
  return {};
}

Status need_root() {
  if (::geteuid() == 0) return {};
  return Error(Errc::kPermission, "containers need root: this user cannot mount, nor make control groups", EPERM)
      .with_hint("use sudo");
}

Result<library::Container> load(const Context& context, const Args& args) {
  context.command_line_is_read();
  RETURN_IF_ERROR(need_root());
  return factory_of(context).load(id_of(args));
}

Result<std::string> current_directory() {
  std::array<char, PATH_MAX> path{};
  if (::getcwd(path.data(), path.size()) == nullptr) return Error::from_errno(errno, "current directory");
  return std::string(path.data());
}

Result<libcontainer::Config> config_of(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const std::string cwd, current_directory());
  const auto file = args.last("from");
  if (!file) {
    auto made = config_from_flags(args, cwd);
    if (made.ok()) context.command_line_is_read();
    return made;
  }
  if (has_template_flag(args))
    return Error(Errc::kInvalidArgument, "--from and flags that make a configuration exclude each other");
  context.command_line_is_read();
  ASSIGN_OR_RETURN(std::string text, io::read_regular_file(*file, libcontainer::kMaxConfigBytes));
  ASSIGN_OR_RETURN(auto config, libcontainer::parse_config(std::move(text), *file));
  for (const auto& [pointer, why] : config.unknown)
    log::warning(*file + ": " + pointer + " " + why + " and is ignored");
  return config;
}

Result<library::Process> process_of(const Args& args) {
  library::Process out;
  out.args = args.positional();
  out.user = args.last("user").value_or("");
  out.cwd = args.last("cwd").value_or("/");
  out.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  for (std::string& entry : args.all("env")) out.env.push_back(std::move(entry));
  if (args.has("cap")) out.capabilities = args.all("cap");
  out.terminal = args.enabled("tty");
  const std::string kept = args.last("preserve-fds").value_or("0");
  const auto count = parse_number<std::uint8_t>(kept);
  if (!count) return Error(Errc::kInvalidArgument, "--preserve-fds " + quoted(kept) + " must be a number up to 255");
  for (int fd = 3; fd < 3 + *count; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0)
      return Error(Errc::kInvalidArgument,
                   "--preserve-fds " + kept + ": descriptor " + std::to_string(fd) + " is not open");
    out.extra_fds.push_back(fd);
  }
  return out;
}

// Ours to remove when its first process ends, unless that is saved.
void remove(library::Container& container) {
  if (container.status().value_or(library::ContainerStatus::kDestroyed) == library::ContainerStatus::kCheckpointed)
    return;
  if (Status done = container.destroy(); !done.ok())
    log::error(std::move(done).error().with("remove container " + quoted(container.id())));
}

// In the foreground; `start` is called when no signal can be lost any more.
template <typename F>
Result<int> supervise(F start) {
  RETURN_IF_ERROR(sys::set_child_subreaper(true));
  ASSIGN_OR_RETURN(auto supervisor, coop::Supervisor::create());
  ASSIGN_OR_RETURN(library::Started started, start());
  if (started.console) {
    if (Status taken = supervisor.take_terminal(); !taken.ok()) log::warning(taken.error().message());
  }
  ASSIGN_OR_RETURN(const sys::ExitStatus status, supervisor.wait_for(std::move(started)));
  return status.shell_code();
}

Result<int> run_process(library::Container& container, library::Process process) {
  if (process.terminal) process.console_size = coop::caller_terminal_size();
  return supervise([&] { return container.start(process); });
}

Result<int> exec(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(library::Process process, process_of(args));
  if (process.terminal) {
    Status input = coop::check_terminal_input();
    if (!input.ok()) return std::move(input).error().with_hint("leave --tty out, or run it from a terminal");
  }
  auto existing = factory_of(context).load(id_of(args));
  if (existing.ok()) {
    if (args.has("from") || has_template_flag(args))
      return Error(Errc::kInvalidArgument,
                   "container " + quoted(id_of(args)) + " exists: its configuration cannot be given again")
          .with_hint("name another one with --id, or leave the flags out to run a process in it");
    context.command_line_is_read();
    RETURN_IF_ERROR(need_root());
    ASSIGN_OR_RETURN(const library::Factory factory, factory_of(context, args));
    ASSIGN_OR_RETURN(auto container, factory.load(id_of(args)));
    return run_process(container, std::move(process));
  }
  if (existing.error().code() != Errc::kNotFound) return std::move(existing).error();
  ASSIGN_OR_RETURN(auto config, config_of(context, args));
  RETURN_IF_ERROR(need_root());
  ASSIGN_OR_RETURN(library::Factory factory, factory_of(context, args));
  ASSIGN_OR_RETURN(auto container, factory.create(id_of(args), std::move(config)));
  Status warned = warn_of_ineffective(container);
  auto status = warned.ok() ? run_process(container, std::move(process)) : std::move(warned).error();
  remove(container);
  return status;
}

Result<int> state(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const auto container, load(context, args));
  ASSIGN_OR_RETURN(const std::string text, container.state_json());
  RETURN_IF_ERROR(print(text));
  return 0;
}

Result<int> list(const Context& context, const Args&) {
  RETURN_IF_ERROR(need_root());
  ASSIGN_OR_RETURN(const auto ids, factory_of(context).list());
  RETURN_IF_ERROR(print(ids.empty() ? std::string() : join(ids, "\n") + "\n"));
  return 0;
}

Result<int> destroy(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(auto container, load(context, args));
  RETURN_IF_ERROR(container.destroy());
  return 0;
}

Result<int> pause(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(auto container, load(context, args));
  RETURN_IF_ERROR(container.pause());
  return 0;
}

Result<int> unpause(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(auto container, load(context, args));
  RETURN_IF_ERROR(container.resume());
  return 0;
}

Result<int> oom(const Context& context, const Args& args) {
  constexpr std::array<std::string_view, 3> kLevels{"low", "medium", "critical"};
  const auto level = args.last("pressure");
  std::size_t index = 0;
  while (level && index < kLevels.size() && kLevels.at(index) != *level) ++index;
  if (index == kLevels.size())
    return Error(Errc::kInvalidArgument, "--pressure " + quoted(*level) + " must be low, medium or critical");
  ASSIGN_OR_RETURN(const auto container, load(context, args));
  ASSIGN_OR_RETURN(auto events, level ? container.notify_memory_pressure(static_cast<cgroup::PressureLevel>(index))
                                      : container.notify_oom());
  while (true) {
    ASSIGN_OR_RETURN(const auto happened, events.wait());
    if (!happened) return 0;
    RETURN_IF_ERROR(print(level ? "memory pressure: " + *level + "\n" : std::string("out of memory\n")));
  }
}

Result<int> stats(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const auto container, load(context, args));
  ASSIGN_OR_RETURN(const library::Stats stats, container.stats());
  RETURN_IF_ERROR(print(library::stats_json(stats)));
  return 0;
}

Result<int> config(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const auto made, config_of(context, args));
  const std::string text = libcontainer::print_config(made) + "\n";
  if (const auto file = args.last("file")) {
    RETURN_IF_ERROR(write_output_file(*file, text));
    return 0;
  }
  RETURN_IF_ERROR(print(text));
  return 0;
}

Result<std::string> absolute_path(const Args& args, std::string_view flag) {
  std::string path = args.last(flag).value_or("");
  if (path.empty() || path.front() == '/') return path;
  ASSIGN_OR_RETURN(const std::string cwd, current_directory());
  return cwd + "/" + path;
}

Result<library::CriuOptions> criu_options(const Args& args) {
  library::CriuOptions out;
  ASSIGN_OR_RETURN(out.image_path, absolute_path(args, "image-path"));
  if (out.image_path.empty()) return Error(Errc::kInvalidArgument, "--image-path is missing: it names the images");
  ASSIGN_OR_RETURN(out.work_path, absolute_path(args, "work-path"));
  out.tcp_established = args.enabled("tcp-established");
  out.external_unix_sockets = args.enabled("ext-unix-sk");
  out.shell_job = args.enabled("shell-job");
  out.file_locks = args.enabled("file-locks");
  return out;
}

Result<int> checkpoint(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(library::CriuOptions options, criu_options(args));
  options.leave_running = args.enabled("leave-running");
  if (const auto server = args.last("page-server")) {
    ASSIGN_OR_RETURN(options.page_server, criu::parse_page_server(*server));
  }
  ASSIGN_OR_RETURN(auto container, load(context, args));
  RETURN_IF_ERROR(container.checkpoint(options));
  return 0;
}

Result<int> restore(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const library::CriuOptions options, criu_options(args));
  context.command_line_is_read();
  RETURN_IF_ERROR(need_root());
  ASSIGN_OR_RETURN(library::Factory factory, factory_of(context, args));
  auto container = factory.load(id_of(args));
  const bool make = !container.ok() && container.error().code() == Errc::kNotFound && args.has("from");
  if (make) {
    ASSIGN_OR_RETURN(auto config, config_of(context, args));
    container = factory.create(id_of(args), std::move(config));
  } else if (container.ok() && args.has("from")) {
    return Error(Errc::kInvalidArgument,
                 "container " + quoted(id_of(args)) + " exists: its configuration cannot be given again");
  }
  if (!container.ok()) {
    Error error = std::move(container).error();
    if (error.code() != Errc::kNotFound) return error;
    return std::move(error).with_hint("name its configuration with --from, to make it of the images alone");
  }
  bool begun = false;
  auto status = supervise([&] {
    auto started = container->restore(options);
    begun = started.ok();
    return started;
  });
  // What could not be restored is what it was.
  if (begun || make) remove(*container);
  return status;
}

}  // namespace

std::span<const Command> libcontainer_commands() {
  static const std::array<Command, 11> kCommands = {{
      {.path = "libcontainer exec",
       .usage = "COMMAND [ARG...]",
       .summary = "start a libcontainer container, or run a process in it",
       .description =
           "Without a container of that id, one is made from --from or the flags, and removed when its process ends.",
       .flags = {kIdFlags, kExecFlags, template_flags()},
       .order = Order::kBeforeArguments,
       .min_args = 1,
       .handler = exec,
       .seals = Seals::kCopy},
      {.path = "libcontainer state",
       .summary = "its state document",
       .flags = {kIdFlags},
       .max_args = 0,
       .handler = state},
      {.path = "libcontainer stats",
       .summary = "counters of its control group and network",
       .flags = {kIdFlags},
       .max_args = 0,
       .handler = stats},
      {.path = "libcontainer oom",
       .summary = "report when it runs out of memory",
       .flags = {kIdFlags, kPressureFlags},
       .max_args = 0,
       .handler = oom},
      {.path = "libcontainer pause",
       .summary = "freeze its processes",
       .flags = {kIdFlags},
       .max_args = 0,
       .handler = pause},
      {.path = "libcontainer unpause",
       .summary = "let them go on",
       .flags = {kIdFlags},
       .max_args = 0,
       .handler = unpause},
      {.path = "libcontainer config",
       .summary = "print a configuration made from flags",
       .flags = {kConfigFlags, template_flags()},
       .max_args = 0,
       .handler = config},
      {.path = "libcontainer checkpoint",
       .summary = "save its processes into files, by CRIU",
       .description = "They end then, unless they are left running; the container waits to be restored.",
       .flags = {kIdFlags, kCriuFlags, kCheckpointFlags},
       .max_args = 0,
       .handler = checkpoint},
      {.path = "libcontainer restore",
       .summary = "bring saved processes back, in the foreground",
       .description =
           "Of a container that was checkpointed, or of a new one of --from. Removed when its first process ends. What "
           "was said at the checkpoint (--tcp-established, --file-locks ...) must be said again.",
       .flags = {kIdFlags, kCriuFlags, kRestoreFlags},
       .max_args = 0,
       .handler = restore},
      {.path = "libcontainer ls", .summary = "ids of the containers", .max_args = 0, .handler = list},
      {.path = "libcontainer delete",
       .summary = "remove one whose first process has ended, such as one whose exec was killed",
       .flags = {kIdFlags},
       .max_args = 0,
       .handler = destroy},
  }};
  return kCommands;
}

}  // namespace cooper::cli
