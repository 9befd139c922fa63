// CONTRACT. Containers by the model of libcontainer: a factory makes them from a libcontainer::Config, a container
// starts processes. What `cooper libcontainer` and the installed library (include/cooper/) are made of.
//
//   <root>/<id>/           0700; made exclusively
//     config.json          the libcontainer configuration, replaced by rename
//     state.json           what any joiner needs: pid, cgroup and namespace paths, configuration; written at the start
//     run/<id>/            state of container::Factory, while there is an init
//     checkpointed         while there may be none because it has been saved
//
// The process that starts a process must have one thread; the started process is its child. All need root.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "cgroup/cgroup.h"
#include "cgroup/memory_events.h"
#include "cgroup/usage.h"
#include "container/container.h"
#include "convert/convert.h"
#include "criu/page_server.h"
#include "spec/libcontainer/types.h"

namespace cooper::library {

// What a failure means to whoever calls; the numbers are part of the C interface.
enum class Code {
  kOk = 0,
  kIdInUse,
  kInvalidIdFormat,
  kContainerNotExists,
  kContainerPaused,
  kContainerNotStopped,
  kContainerNotRunning,
  kConfigInvalid,
  kProcessNotExecuted,
  kSystemError,
  kUnsupported,
};
std::string_view to_string(Code code);

enum class ContainerStatus { kRunning = 1, kPausing, kPaused, kCheckpointed, kDestroyed };
std::string_view to_string(ContainerStatus status);

struct Process {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string user;  // "name", "uid", "uid:gid" ...; empty: root
  std::string cwd = "/";
  container::Stdio stdio;      // -1: the caller's
  std::vector<int> extra_fds;  // appear as 3, 4 ...
  bool terminal = false;       // Started::console is its master
  std::optional<oci::ConsoleSize> console_size;
  std::optional<std::vector<std::string>> capabilities;  // without "CAP_"; instead of the configuration's
  std::optional<std::vector<libcontainer::Rlimit>> rlimits;
};

using Started = container::Created;

// Of both; what is said at a checkpoint must be said again at the restore.
struct CriuOptions {
  std::string image_path;  // directory, absolute
  std::string work_path;   // of criu's log; empty: image_path
  bool tcp_established = false;
  bool external_unix_sockets = false;
  bool shell_job = false;
  bool file_locks = false;
  // checkpoint() only.
  bool leave_running = false;
  std::optional<criu::PageServer> page_server;
};

struct InterfaceStats {
  std::string name;  // of the host's end
  // As the container sees them: what the host's end receives, the container has sent.
  std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};
struct Stats {
  cgroup::Usage cgroup;
  std::uint64_t oom_kills = 0;
  std::vector<InterfaceStats> interfaces;
};

// One document: what `cooper libcontainer stats` prints.
std::string stats_json(const Stats& stats);

// Functions of this program around the life of a first process; each gets the hook state as JSON, as programs of the
// configuration do, which run before the function of their kind. They are not stored:
// who loads the container elsewhere has none.
using Hook = std::function<Status(const std::string& state)>;
struct FunctionHooks {
  Hook prestart;   // namespaces and cgroup exist, the program has not been executed; a failure fails the start
  Hook poststart;  // the program runs; a failure ends it
  Hook poststop;   // from destroy(), when all is gone
};

class Container {
 public:
  const std::string& id() const { return id_; }
  const libcontainer::Config& config() const { return config_; }
  Result<ContainerStatus> status() const;
  // Empty without an init.
  Result<std::vector<pid_t>> processes() const;
  Result<Stats> stats() const;
  // The state document; of a container without an init, what it would be.
  Result<std::string> state_json() const;
  // New limits, now and for later starts; a running one is frozen or goes on as `freezer` says. What else differs holds
  // from the next start on.
  Status set(libcontainer::Config config);
  // Without an init: starts one. With one: a further process in its namespaces and cgroup.
  Result<Started> start(const Process& process);
  void set_hooks(FunctionHooks hooks) { hooks_ = std::move(hooks); }
  Status pause();
  Status resume();
  // To the init only.
  Status signal(int signal);
  // To every process in the cgroup: what is left when an init without a PID namespace of its own has ended.
  Status signal_all(int signal);
  Result<cgroup::MemoryEvents> notify_oom() const;
  Result<cgroup::MemoryEvents> notify_memory_pressure(cgroup::PressureLevel level) const;
  // Saves its processes into files; unless they are left running they have ended then, and the container is
  // kCheckpointed. On failure they go on.
  Status checkpoint(const CriuOptions& options);
  // Without an init: the one of such files, with the streams of the caller. Started::console is the master of its
  // terminal, if it has one. Hooks of the configuration run; functions do not.
  Result<Started> restore(const CriuOptions& options);
  // Removes it; its init must have ended. What else is in the cgroup is killed. All poststop hooks run then; the first
  // failure of one is returned.
  Status destroy();
  // What of the configuration has no effect here, a sentence each.
  Result<std::vector<std::string>> ineffective() const;
  // What the failure of a call on this container means.
  Code code_of(const Error& error) const;
  // The init's pid; 0 without one.
  pid_t init_pid() const;
  bool has_own_pid_namespace() const;

 private:
  friend class Factory;
  Container(std::string root, std::string id, libcontainer::Config config, bool systemd_cgroups)
      : root_(std::move(root)), id_(std::move(id)), config_(std::move(config)), systemd_cgroups_(systemd_cgroups) {}
  Result<convert::OciResult> oci_of(const Process& process, const std::string& rootfs) const;
  container::CreateOptions create_options(const convert::OciResult& oci) const;
  std::string directory() const { return root_ + "/" + id_; }
  std::string config_path() const { return directory() + "/config.json"; }
  // Errc::kNotFound when it has been destroyed.
  Status exists() const;
  // Whether a container can have this configuration.
  Status check() const;
  container::Factory factory() const;
  // Errc::kWrongState when there is none.
  Result<container::Container> running() const;
  Status freeze_as_configured(container::Container& init) const;
  Result<Started> start_init(const Process& process);
  Status run_to_program(container::Factory& factory, const Started& started);
  Status run_poststart(pid_t pid) const;
  Status run_poststop() const;
  std::string hook_state(pid_t pid) const;
  Status call(const Hook& hook, pid_t pid) const;
  std::string checkpoint_mark() const { return directory() + "/checkpointed"; }
  Result<Started> join(container::Container& init, const Process& process);
  // False: there was none.
  Result<bool> remove_ended(container::Factory& factory) const;
  Status end_life_before(container::Factory& factory) const;
  void undo_start(container::Factory& factory, const Started& started) const;
  Status write_config() const;
  Status write_state() const;

  std::string root_, id_;
  libcontainer::Config config_;
  bool systemd_cgroups_;
  FunctionHooks hooks_;
};

struct FactoryOptions {
  bool systemd_cgroups = false;  // groups of new containers are scopes that systemd makes; false: through cgroupfs
  bool tmpfs_root = false;       // the root is a tmpfs, mounted when it is no mount point yet
};

class Factory {
 public:
  explicit Factory(std::string root, FactoryOptions options = {}) : root_(std::move(root)), options_(options) {}
  // With options: the root is made ready, and what the host does not have is said. Errc::kUnsupported without systemd.
  static Result<Factory> open(std::string root, FactoryOptions options);
  // Checks id and configuration and makes the directory; starts nothing.
  Result<Container> create(std::string_view id, libcontainer::Config config);
  Result<Container> load(std::string_view id) const;
  Result<std::vector<std::string>> list() const;
  const std::string& root() const { return root_; }
  static Code code_of(const Error& error);
  // The same for a call that was given this id.
  static Code code_of(const Error& error, std::string_view id);

 private:
  std::string root_;
  FactoryOptions options_;
};

}  // namespace cooper::library
