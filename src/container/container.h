// CONTRACT. Containers: create, start, exec, signal, delete; state on disk. What `coop` and the engine call.
//
//   <root>/<id>           0600; made exclusively: two creates of one id cannot both win. Its flock is held while a verb
//                         changes the container. State, copy of the configuration taken at create (edits of the bundle
//                         afterwards have no effect), and how the init ended (record_file.h)
//   <root>/.start-<id>    socket; exists while created: `start` connects, the waiting init answers with the result of
//   its
//                         exec
//   <root>/.root-<id>     directory; exists while restored
//   <root>/.exit-<id>     file with the init's pidfd mounted on it, when its exit status is to be kept (exit_mount.h)
//
// The process that calls create(), run() or exec() must be single-threaded (asserted). All need CAP_SYS_ADMIN or a user
// namespace. Liveness is the init's pid together with its start time; every signal goes through a pidfd checked against
// both.
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
#include "base/ids.h"
#include "cgroup/cgroup.h"
#include "container/checkpoint.h"
#include "container/plan.h"
#include "container/record_file.h"
#include "container/resctrl.h"
#include "container/shared_mounts.h"
#include "spec/oci_runtime/types.h"
#include "sys/process.h"

namespace cooper::container {

class StartTiming;
struct CriuDirectories;

enum class RunStatus { kCreating, kCreated, kRunning, kPaused, kStopped };
std::string_view to_string(RunStatus status);  // OCI words

// The state in a record.
struct StateRecord {
  std::string id;
  pid_t pid = 0;
  std::uint64_t start_time = 0;  // of pid, clock ticks since boot
  std::string boot_id;           // a record of another boot is stopped
  std::string bundle;
  std::string rootfs;
  std::string created;  // RFC 3339 with nanoseconds
  std::uint32_t owner_uid = 0;
  std::string cgroup_path;
  std::map<std::string, std::string> annotations;
  std::string oci_version;
  bool systemd_cgroup = false;
  std::string systemd_unit;           // "coop-ID.scope"
  bool systemd_user = false;          // of the user's manager
  bool shared_pid_namespace = false;  // kill of KILL goes to the whole cgroup
  bool has_terminal = false;
  bool poststop_hooks = true;   // false: config.json has none
  bool no_new_keyring = false;  // its processes keep the session keyring of whoever starts them
  bool sandbox = false;         // there is no bundle of it
  ResctrlGroups resctrl;
  SharedMounts mounts;
  // The host's ends of the container's interfaces.
  struct HostInterface {
    std::string name;
    int index = 0;
  };
  std::vector<HostInterface> interfaces;
  // Of the runtime executable, to tell a waiting init from the payload.
  std::uint64_t exe_dev = 0, exe_ino = 0;
};

// How the init of a container ended.
struct ExitRecord {
  sys::ExitStatus status;
  bool oom = false;      // the kernel's out-of-memory killer ended a process of the container
  std::string finished;  // RFC 3339
};

struct FactoryOptions {
  std::string root;  // state root, absolute
  bool rootless = false;
};

// Where the descriptors of a new process come from. -1: inherit the caller's.
struct Stdio {
  int in = -1, out = -1, err = -1;
};

// A container whose program waits for its start.
struct BeforeStart {
  pid_t pid = 0;
  BorrowedFd pidfd{-1};
  // By the names in /proc/PID/ns ("mnt"): their numbers there.
  const std::map<std::string, std::uint64_t>* namespaces = nullptr;
};

struct CreateOptions {
  std::string id;
  std::string bundle;          // absolute
  std::string console_socket;  // path of an AF_UNIX stream socket that receives the pty master
  std::string pidfd_socket;
  std::string pid_file;  // absolute
  int preserve_fds = 0;
  bool systemd_cgroup = false;
  bool cgroups_disabled = false;  // no control group is made; limits are left out with a warning
  bool no_pivot = false;
  bool no_new_keyring = false;
  bool detach_start = true;       // create; false: run
  bool keep_exit_status = false;  // for who asks after somebody else has collected the init (kernel 6.15)
  // Engine only.
  Stdio stdio;
  bool keep_console = false;         // hand the pty master back in Created::console instead of a socket
  bool keep_removal = false;         // the caller collects the init, and removes the container by Created::removal
  int parent_death_signal = 0;       // the init dies with its creator
  bool block_signals = false;        // it starts with all blocked: process 1 loses those it did not ask for yet
  std::int64_t created_unix_ms = 0;  // what its state says of itself; 0: the time it was made
  std::optional<MountRoot> root_override;
  std::vector<oci::Mount> extra_mounts;
  std::vector<std::string> extra_env;
  std::string config_text;         // raw bytes for config.json; empty: printed from the config
  std::vector<std::string> notes;  // about the configuration, for the plan
  std::string cgroup_default_parent = "/coop";
  std::optional<Extras> extras;
  std::vector<int> extra_fds;  // appear after the preserved ones: 3, 4 ...
  // Called when all is done but the start of the program (run), or the return (create); an error of it is one of the
  // create.
  std::function<Status(const BeforeStart&)> before_start;
  bool sandbox = false;           // there is no bundle
  bool require_limits = false;    // limits that cannot be set are an error, for users without privileges too
  std::vector<int> private_fds;   // of the caller, which the container's init closes at once
  StartTiming* timing = nullptr;  // filled when given (timing.h)
};

// What whoever runs a container in the foreground keeps of it, to remove it without reading its record again.
class Removal {
 public:
  // Once the init has ended and was collected. Where somebody has written to the record meanwhile, it is
  // Container::destroy() that removes; who finds it removed has nothing to do.
  Status remove(const oci::Config& config) &&;

 private:
  friend class Factory;
  Removal(FactoryOptions options, StateRecord record, RecordFile file)
      : options_(std::move(options)), record_(std::move(record)), file_(std::move(file)) {}
  FactoryOptions options_;
  StateRecord record_;
  RecordFile file_;
};

struct Created {
  pid_t pid = 0;
  UniqueFd pidfd;
  UniqueFd console;                // pty master when asked for
  std::vector<UniqueFd> locks;     // of Extras::lock_files: each lasts until all of its descriptors are closed
  std::optional<Removal> removal;  // when asked for
};

struct ExecOptions {
  oci::Process process;  // complete: already merged with the container's own
  NameProcessMember name_process_member;
  std::string console_socket;
  std::string pidfd_socket;
  std::string pid_file;
  int preserve_fds = 0;
  bool ignore_paused = false;
  // Controller -> group below the container's own, which must exist; "" is all controllers.
  std::map<std::string, std::string> sub_cgroups;
  Stdio stdio;
  bool keep_console = false;
  std::vector<int> extra_fds;
};

class Container;

class Factory {
 public:
  explicit Factory(FactoryOptions options) : options_(std::move(options)) {}
  // Everything up to the exec (detach_start), or start and all (run). On failure nothing is left. Errors of the child
  // arrive with its stage in the message.
  Result<Created> create(const oci::Config& config, const CreateOptions& options);
  // A running container of the images of a checkpoint, and `config`. Its init is a child of the caller. On failure
  // nothing is left but criu's log.
  Result<Created> restore(const oci::Config& config, const RestoreOptions& options);
  // Plan of create() without touching the kernel (`run --dry-run`).
  Result<Plan> plan(const oci::Config& config, const CreateOptions& options);
  // Errc::kNotFound: "container does not exist: 'x'".
  Result<Container> load(std::string_view id) const;
  // Also when its state cannot be read: what is known of it is enough for destroy(true).
  Result<Container> load_for_removal(std::string_view id) const;
  // Ids of all containers under the root; a missing root is an empty list.
  Result<std::vector<std::string>> list() const;
  const FactoryOptions& options() const { return options_; }

 private:
  Result<Container> load_as_far(const ContainerId& id, StateRecord* known) const;
  FactoryOptions options_;
};

class Container {
 public:
  const StateRecord& record() const { return record_; }
  Result<RunStatus> status() const;
  // The config copy taken at create.
  Result<oci::Config> config() const;
  // State document of the runtime spec for hooks and `state`.
  oci::State oci_state(RunStatus status) const;

  // created -> running. Returns the error of the init's exec when it fails (the container is then stopped). Runs
  // poststart hooks. When a hook fails the container is ended and deleted (runtime specification, lifecycle).
  Status start();
  // Sends to the init (or, for KILL with a shared pid namespace or `all`, to the whole cgroup).
  // Errc::kWrongState: "container not running".
  Status kill(int signal, bool all = false);
  Status pause();
  Status resume();
  Result<std::vector<pid_t>> processes() const;
  Result<cgroup::Stats> stats() const;
  // Its control groups, to read counters from and to watch. Errc::kUnsupported without any.
  Result<cgroup::Group> group() const;
  // With lines of schemata for its class of service of resctrl. When one of both fails, both are as before.
  Status update(const oci::Resources& resources, const std::vector<std::string>& schemata = {});
  // stopped (or created: the init is killed first); force kills whatever runs. Removes cgroup and state, runs poststop
  // hooks.
  Status destroy(bool force);
  // Saves its processes; then they end and the container is deleted, unless `options` wants it to go on. On failure it
  // goes on, and nothing is left but criu's log.
  Status checkpoint(const CheckpointOptions& options);
  // Mounts of a running container: bind mounts, and file systems that belong to no namespace. They last until they are
  // removed or the container ends; its configuration stays as it is. The caller is single-threaded.
  Status add_mount(const oci::Mount& mount) const;
  // Errc::kInvalidArgument for what is no mount point.
  Status remove_mount(const std::string& destination) const;
  // Whether a further process may be started now, as exec() asks itself; what the container is.
  Result<RunStatus> check_exec(bool ignore_paused) const;
  // A second process in the container's namespaces and cgroup, child of the caller.
  Result<Created> exec(const ExecOptions& options);
  // Of a stopped container, as far as somebody who could know has written it down, or the kernel still knows.
  Result<std::optional<ExitRecord>> exit_record() const;
  // For the init's parent, once it has collected it: keeps the record until the container is deleted.
  Status record_exit(const sys::ExitStatus& status) const;
  // Blocks until the container has stopped. nullopt when nobody can tell how (see exit_record(); for a process that is
  // no child of ours the kernel tells since 6.15). What was learned is kept.
  Result<std::optional<ExitRecord>> wait() const;
  // Valid while the init lives; Errc::kNotFound otherwise.
  Result<UniqueFd> init_pidfd() const;

 private:
  friend class Factory;
  friend class Removal;
  Result<RunStatus> status_under_lock();
  Status remove_under_lock(const oci::Config* spec, const RecordFile& file);
  Error cannot_start_stopped() const;
  Status follow_start(BorrowedFd socket, BorrowedFd pidfd, const Result<oci::Config>& spec) const;
  Status still_there(BorrowedFd pidfd, const Result<oci::Config>& spec) const;
  Status take_over_listener(const oci::Config& spec, BorrowedFd socket, BorrowedFd listener) const;
  // What somebody is told whose work came to nothing because the container has ended since he looked.
  Status unless_stopped(Status done) const;
  Status freeze() const;
  Status change_limits(const oci::Resources& resources, const std::vector<std::string>& schemata) const;
  Status end_init();
  Status check_checkpoint();
  Status dump(const CheckpointOptions& options);
  Status dump_into(const CriuDirectories& directories, const CheckpointOptions& options);
  Result<criu::Request> dump_request(const CheckpointOptions& options, const CriuDirectories& directories) const;
  Status change_mounts(const Mount* added, const std::string& removed) const;
  Status change_mounts_now(const Mount* added, const std::string& removed) const;
  Container(FactoryOptions options, StateRecord record, std::string config_text)
      : options_(std::move(options)), record_(std::move(record)), config_text_(std::move(config_text)) {}
  FactoryOptions options_;
  StateRecord record_;
  std::string config_text_;  // as it was at the creation: it never changes
  mutable std::optional<oci::Config> config_;
};

}  // namespace cooper::container
