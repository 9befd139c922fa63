// One table describes each command: its name, flags, arguments, help and handler. Parsing, --help, the completion of
// shells and the manual page come from it.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/cooper/args.h"
#include "cli/cooper/settings.h"
#include "codec/json.h"
#include "pod/pod.h"

namespace cooper::cli {

// Exit statuses that are the engine's own; all others come from the app.
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 125;   // wrong command line
inline constexpr int kExitEngine = 125;  // run, exec: the app was never started
inline constexpr int kExitCannotExecute = 126;
inline constexpr int kExitNotFound = 127;

// What a verb needs of a caller without privileges.
enum class Needs {
  kRoot,    // to be root: it is refused
  kImages,  // the user's own store of images, of which it touches what is the user's
  kOwners,  // and files that images give to others: the process enters a user namespace (userns/enter.h)
};

class Context {
 public:
  explicit Context(Settings settings, Needs needs = Needs::kRoot) : settings_(std::move(settings)), needs_(needs) {}
  const Settings& settings() const { return settings_; }
  bool json() const { return settings_.format != Format::kTable; }
  // For a document that is printed in the format that was asked for.
  codec::json::Writer json_writer() const {
    using Style = codec::json::Writer::Style;
    return codec::json::Writer(settings_.format == Format::kJsonPretty ? Style::kPretty : Style::kCompact);
  }
  // Errc::kPermission without root, where the verb needs that; for other verbs an unprivileged caller's engine has
  // images() alone. Called while the process has one thread.
  Result<pod::Engine> engine() const;
  // A handler reads its whole command line before it opens the engine: what it refuses until then is a wrong command
  // line, and the exit status says so.
  bool parsed() const { return parsed_; }
  // For handlers that open no engine.
  void command_line_is_read() const { parsed_ = true; }

 private:
  Settings settings_;
  Needs needs_;
  mutable bool parsed_ = false;
};

// What its arguments name, for completion. kImagesOrFiles: a path is what looks like one.
enum class Completes {
  kNothing,
  kAsFirst,
  kImages,
  kImagesOrFiles,
  kContainers,
  kRunning,
  kPods,
  kFiles,
  kDirectories,
  kShells,
};

// The exit status of the program.
using Handler = Result<int> (*)(const Context&, const Args&);

// How the program's executable is protected before a process starts in a container (container/seal_exe.h).
enum class Seals {
  kNot,
  kClone,  // the handler asks for the copy where it finds need
  kWords,  // from a copy when a word of the command line may give a container CAP_SYS_PTRACE
  kCopy,
};

struct Command {
  std::string_view path;        // "image load"
  std::string_view usage = {};  // what follows the flags: "IMAGE [COMMAND [ARG...]]"
  std::string_view summary;     // one clause
  std::string_view description = {};
  std::array<std::span<const Flag>, 3> flags = {};  // besides the global ones
  Order order = Order::kAnywhere;
  int min_args = 0;
  int max_args = -1;  // -1: any number
  Handler handler = nullptr;
  Needs needs = Needs::kRoot;
  int failure = kExitFailure;   // exit status when the handler returns an error
  std::string_view exits = {};  // what help says of the exit status, where it is not the same as of others
  Completes completes = Completes::kNothing;
  Completes later = Completes::kAsFirst;  // arguments after the first
  bool hidden = false;
  Seals seals = Seals::kNot;
  // Words of --format that the handler understands, besides those of everybody.
  std::span<const std::string_view> own_formats = {};
  bool templates = false;  // and templates (format_template.h)
};

// One function per group; each group is one file.
std::span<const Command> transfer_commands();
std::span<const Command> image_commands();
std::span<const Command> run_commands();
std::span<const Command> container_commands();
std::span<const Command> usage_commands();
std::span<const Command> exec_commands();
std::span<const Command> pod_commands();
std::span<const Command> trust_commands();
std::span<const Command> libcontainer_commands();
std::span<const Command> convert_commands();
std::span<const Command> misc_commands();

// Groups in the order of the help page.
struct Group {
  std::string_view title;
  std::span<const Command> commands;
};
std::span<const Group> command_groups();
const Command* find_command(std::string_view path);

// The whole program; the exit status.
int main_cooper(char** argv);

}  // namespace cooper::cli
