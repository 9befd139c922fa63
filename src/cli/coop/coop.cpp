#include "cli/coop/coop.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/strings.h"
#include "cli/coop/commands.h"
#include "cli/coop/version.h"
#include "container/seal_exe.h"
#include "io/file.h"
#include "log/log.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/file.h"

namespace cooper::cli::coop {
namespace {

constexpr std::array kGlobalFlags = std::to_array<Flag>({
    {"root", "", FlagType::kValue, "DIR",
     "directory of the containers' state (default: /run/cooper/coop, or $XDG_RUNTIME_DIR/cooper/coop)"},
    {"log", "", FlagType::kValue, "FILE", "append log records to this file (errors still go to standard error)"},
    {"log-format", "", FlagType::kValue, "FORMAT", "text or json (default: text)"},
    {"log-level", "", FlagType::kValue, "LEVEL", "debug, info, warning or error (default: warning)"},
    {"debug", "", FlagType::kBool, "", "the same as --log-level debug"},
    {"systemd-cgroup", "", FlagType::kBool, "",
     "let systemd make the cgroups (create, run); cgroupsPath is slice:prefix:name"},
    {"cgroup-manager", "", FlagType::kValue, "MANAGER",
     "who makes the cgroups: cgroupfs (default), systemd (as --systemd-cgroup), or disabled: there are none, and no "
     "limits"},
    {"rootless", "", FlagType::kValue, "true|false|auto",
     "whether cgroup permission errors are ignored (default: auto)"},
    {"criu", "", FlagType::kValue, "PATH", "ignored", true},
    {"help", "h", FlagType::kBool, "", "show help"},
    {"version", "v", FlagType::kBool, "", "print the version"},
});

const Command* find_command(std::string_view name) {
  const auto all = commands();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Command& command) { return command.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string program_help() {
  std::string out =
      "NAME:\n   coop - Open Container Initiative runtime\n\nUSAGE:\n   coop [global options] command [command "
      "options] [arguments...]\n\nCOMMANDS:\n";
  for (const Command& command : commands()) {
    out += "   " + std::string(command.name);
    out.append(12 - command.name.size(), ' ');
    out += std::string(command.summary) + "\n";
  }
  out +=
      "   help        show the commands, or help for one command\n\nGLOBAL OPTIONS:\n" + describe_flags(kGlobalFlags);
  return out;
}

std::string command_help(const Command& command) {
  std::string out = "NAME:\n   coop " + std::string(command.name) + " - " + std::string(command.summary) +
                    "\n\nUSAGE:\n   coop " + std::string(command.name) + " " + std::string(command.usage) + "\n";
  if (!command.description.empty()) out += "\nDESCRIPTION:\n" + std::string(command.description) + "\n";
  if (!command.flags.empty()) out += "\nOPTIONS:\n" + describe_flags(command.flags);
  return out;
}

Status configure_log(const Arguments& arguments) {
  log::Options options;
  if (arguments.has("log-format")) {
    auto format = log::format_from_string(arguments.value("log-format"));
    if (!format.ok()) return std::move(format).error();
    options.format = *format;
  }
  if (arguments.has("log-level")) {
    auto level = log::level_from_string(arguments.value("log-level"));
    if (!level.ok()) return std::move(level).error();
    options.level = *level;
  }
  if (arguments.flag("debug")) options.level = log::Level::kDebug;
  options.file = arguments.value("log");
  return log::configure(options);
}

// A process that is root only inside a user namespace may lack the rights over cgroups.
bool in_user_namespace() {
  // The kernel gives the first one this number, and reading a map takes much longer.
  constexpr std::string_view kInitial = "user:[4026531837]";
  if (const auto own = sys::readlinkat(sys::kCwd, "/proc/self/ns/user"); own.ok() && *own == kInitial) return false;
  const auto map = io::read_file("/proc/self/uid_map", 4096);
  if (!map.ok()) return false;
  const auto mappings = oci::parse_id_map(*map);
  return mappings.size() != 1 || mappings[0].container_id != 0 || mappings[0].host_id != 0 ||
         mappings[0].size != std::numeric_limits<std::uint32_t>::max();
}

Status resolve_manager(const Arguments& arguments, Globals& out) {
  const std::string manager = arguments.value("cgroup-manager", "");
  const bool flag = arguments.flag("systemd-cgroup");
  out.systemd_cgroup = flag || manager == "systemd";
  out.cgroups_disabled = manager == "disabled";
  if (!manager.empty() && manager != "systemd" && manager != "cgroupfs" && manager != "disabled") {
    return Error(Errc::kInvalidArgument,
                 "--cgroup-manager must be cgroupfs, systemd or disabled, not " + quoted(manager));
  }
  if (flag && !manager.empty() && manager != "systemd")
    return Error(Errc::kInvalidArgument, "--systemd-cgroup contradicts --cgroup-manager " + manager);
  return {};
}

// Engines of users without privileges (podman) are root of a user namespace when they call, and /run is not theirs; the
// root of a system container, who is so too, is named as such.
std::string default_root(bool unprivileged) {
  const char* directory = ::secure_getenv("XDG_RUNTIME_DIR");
  const char* user = ::secure_getenv("USER");
  const bool named_root = ::geteuid() == 0 && user != nullptr && std::string_view(user) == "root";
  if (directory == nullptr || directory[0] != '/' || !unprivileged || named_root) return "/run/cooper/coop";
  return std::string(directory) + "/cooper/coop";
}

Result<Globals> resolve_globals(const Arguments& arguments) {
  Globals out;
  RETURN_IF_ERROR(resolve_manager(arguments, out));
  const bool unprivileged = ::geteuid() != 0 || in_user_namespace();
  if (arguments.has("root")) {
    ASSIGN_OR_RETURN(out.root, absolute_path(arguments.value("root")));
  } else {
    out.root = default_root(unprivileged);
  }
  if (out.root.empty() || out.root.find_first_not_of('/') == std::string::npos) {
    return Error(Errc::kInvalidArgument,
                 "the state root must be a directory of its own, not " + quoted(arguments.value("root")));
  }
  const std::string rootless = arguments.value("rootless", "auto");
  if (rootless == "auto") {
    out.rootless = unprivileged;
  } else if (const auto value = parse_bool(rootless)) {
    out.rootless = *value;
  } else {
    return Error(Errc::kInvalidArgument, "--rootless must be true, false or auto, not " + quoted(rootless));
  }
  return out;
}

Status check_count(const Command& command, std::size_t count) {
  if (count >= command.min_arguments && (command.max_arguments == kAnyNumber || count <= command.max_arguments))
    return {};
  std::string want = command.min_arguments == command.max_arguments ? "exactly "
                     : count < command.min_arguments                ? "at least "
                                                                    : "at most ";
  const std::size_t number = count < command.min_arguments ? command.min_arguments : command.max_arguments;
  return Error(Errc::kInvalidArgument, quoted(command.name) + " takes " + want + std::to_string(number) +
                                           (number == 1 ? " argument" : " arguments"))
      .with_hint("usage: coop " + std::string(command.name) + " " + std::string(command.usage));
}

int fail(const Error& error, int status) {
  log::error(error);
  return status;
}

int show(const std::string& text) {
  const Status printed = print(text);
  return printed.ok() ? 0 : fail(printed.error(), 1);
}

int show_help_of(std::string_view name) {
  const Command* command = find_command(name);
  if (command == nullptr)
    return fail(
        Error(Errc::kInvalidArgument, "no such command: " + quoted(name)).with_hint("coop help lists the commands"), 1);
  return show(command_help(*command));
}

bool wants_help(const Command& command, std::span<char* const> words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view text(words[i]);
    if (text == "--help" || text == "-h" || text == "-help") return true;
    // Behind the first argument of exec and ps the flags are somebody else's.
    if (text == "--" || (command.stop == Arguments::Stop::kFirstArgument && !text.starts_with('-'))) return false;
    i += values_after(command.flags, text);
  }
  return false;
}

int run_command(const Command& command, const Arguments& global, std::span<char* const> words, char** argv) {
  if (wants_help(command, words)) return show(command_help(command));
  auto arguments = Arguments::parse(words, command.flags, command.stop);
  if (!arguments.ok()) {
    return fail(std::move(arguments).error().with_hint("coop " + std::string(command.name) + " --help shows the flags"),
                command.failure_status);
  }
  if (Status counted = check_count(command, arguments->positional().size()); !counted.ok())
    return fail(counted.error(), command.failure_status);
  const auto globals = resolve_globals(global);
  if (!globals.ok()) return fail(globals.error(), command.failure_status);
  if (command.seals) {
    if (Status sealed = container::seal_executable(argv); !sealed.ok())
      return fail(sealed.error(), command.failure_status);
  }
  const auto status = command.run(Call{*globals, *arguments});
  return status.ok() ? *status : fail(status.error(), command.failure_status);
}

}  // namespace

container::Factory Call::factory() const {
  container::FactoryOptions options;
  options.root = globals.root;
  options.rootless = globals.rootless;
  return container::Factory(std::move(options));
}

int run_program(int argc, char** argv) {
  if (Status streams = io::occupy_standard_streams(); !streams.ok()) return fail(streams.error(), 1);
  container::note_second_run();
  io::survive_file_size_limit();
  io::take_back_children();
  const std::span<char* const> words(argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0));
  auto global = Arguments::parse(words, kGlobalFlags, Arguments::Stop::kFirstArgument);
  if (!global.ok()) return fail(std::move(global).error().with_hint("coop --help shows the flags"), 1);
  if (global->flag("version")) return show(version_text());
  const std::vector<std::string>& rest = global->positional();
  if (global->flag("help") || rest.empty()) return show(program_help());
  if (Status configured = configure_log(*global); !configured.ok()) return fail(configured.error(), 1);
  if (rest[0] == "help" || rest[0] == "h") return rest.size() > 1 ? show_help_of(rest[1]) : show(program_help());
  const Command* command = find_command(rest[0]);
  if (command == nullptr)
    return fail(
        Error(Errc::kInvalidArgument, "no such command: " + quoted(rest[0])).with_hint("coop help lists the commands"),
        1);
  return run_command(*command, *global, words.last(rest.size() - 1), argv);
}

}  // namespace cooper::cli::coop
