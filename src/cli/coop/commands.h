// The commands of coop. One table (coop.cpp) names each with its flags and handler; parsing and help come from it.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/coop/arguments.h"
#include "cli/coop/control.h"
#include "container/container.h"

namespace cooper::cli::coop {

// The global flags, resolved.
struct Globals {
  std::string root;  // absolute
  bool rootless = false;
  bool systemd_cgroup = false;
  bool cgroups_disabled = false;
};

// What a handler gets.
struct Call {
  const Globals& globals;
  const Arguments& arguments;
  container::Factory factory() const;
  // The first argument: a container id.
  const std::string& id() const { return arguments.positional().front(); }
  Result<container::Container> load() const { return factory().load(id()); }
};

struct Command {
  std::string_view name;
  std::string_view usage;  // after the name
  std::string_view summary;
  std::string_view description;
  std::span<const Flag> flags;
  std::size_t min_arguments = 0;
  std::size_t max_arguments = 0;  // 0 with min 0: none
  Arguments::Stop stop = Arguments::Stop::kNever;
  int failure_status = 1;  // exit status of the command's own errors
  bool seals = false;      // starts a process in a container: the executable is protected first
  // The exit status of the program.
  Result<int> (*run)(const Call& call) = nullptr;
};

inline constexpr std::size_t kAnyNumber = static_cast<std::size_t>(-1);

std::span<const Command> commands();

// sandbox.cpp
Result<int> run_sandbox(const Call& call);
std::span<const Flag> sandbox_flags();
// start.cpp
Result<int> run_create(const Call& call);
Result<int> run_run(const Call& call);
Result<int> run_start(const Call& call);
// exec.cpp
Result<int> run_exec(const Call& call);
// checkpoint.cpp
Result<int> run_checkpoint(const Call& call);
Result<int> run_restore(const Call& call);
// change.cpp
Result<int> run_kill(const Call& call);
Result<int> run_delete(const Call& call);
Result<int> run_pause(const Call& call);
Result<int> run_resume(const Call& call);
// show.cpp
Result<int> run_state(const Call& call);
Result<int> run_wait(const Call& call);
Result<int> run_list(const Call& call);
// ps.cpp
Result<int> run_ps(const Call& call);
// spec.cpp, features.cpp
Result<int> run_spec(const Call& call);
Result<int> run_features(const Call& call);
// mount.cpp
Result<int> run_mount(const Call& call);
// update.cpp, events.cpp
Result<int> run_update(const Call& call);
Result<int> run_events(const Call& call);

// Words of exec's flags, exposed for tests: --user, and all of --cgroup (path by controller, "" for any).
Status set_user(oci::User& user, std::string_view text);
Result<std::map<std::string, std::string>> parse_sub_cgroups(const std::vector<std::string>& texts);

struct Bundle {
  oci::Config config;
  std::string text;  // of config.json
  std::vector<std::string> notes;
};
// Looking for notes takes as long as reading: only when somebody will see them.
enum class Notes { kIfLogged, kAlways };
// `path` is absolute.
Result<Bundle> read_bundle(const std::string& path, Notes notes = Notes::kIfLogged);
// In whatever state it is; failure is logged. For containers whose process was in the foreground.
void delete_container(const Call& call, const std::string& id);
// A container of this process' own, until it has ended and is removed.
struct Foreground {
  bool keep = false;             // do not remove it
  bool subreaper = true;         // adopt its orphans
  bool die_with_parent = false;  // end it when this process' parent ends
  std::optional<TimeLimit> limit;
  ControlFds control;
};
// The exit status for the shell: the program's, or kTimedOutStatus.
Result<int> run_in_foreground(const Call& call, oci::Config& config, container::CreateOptions options,
                              Foreground foreground);
// What every start takes from the command line, for a container of that id.
Result<container::CreateOptions> create_options(const Call& call, const std::string& id, const std::string& bundle);
Result<int> print_plan(const Call& call, const oci::Config& config, const container::CreateOptions& options,
                       const std::string& format);
// A detached terminal needs somebody to take its master, and nobody else does (runc's rules for --console-socket).
Status check_console(bool terminal, bool detached, bool has_socket);
// A process of another user must be able to reopen its standard streams by name (/dev/stdout): pipes are given to it.
// Files and terminals keep their owner.
void give_pipes_to(const oci::Process& process, const oci::Config& container);
// Writes all of it to standard output.
Status print(std::string_view text);
// From the current directory; "" stays "".
Result<std::string> absolute_path(const std::string& path);
// --preserve-fds. What this program has opened itself (close-on-exec) is none of the caller's.
Result<int> preserved_fds(const Arguments& arguments);
// A regular file's bytes; where `allow_streams` also a pipe's or a device's, and "-" is standard input. Never waits for
// somebody to open a fifo.
Result<std::string> read_input(const std::string& path, std::size_t max_bytes, bool allow_streams = false);

}  // namespace cooper::cli::coop
