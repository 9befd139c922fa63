// CONTRACT. Pods: what the user asks for, how it is stored, and every operation on it. `cooper run` is a pod of one
// app.
//
// A pod is a directory; the directory it lies in is its state, and its lock says whether somebody is at work on it
// (state.h). Where everything lies is drawn in layout.h. Every transition is a rename(2) while the lock is held. Pods
// that shall survive a power cut are flushed: prepare() and run_prepared() before they return or start anything, run()
// after the start and before it returns, except with remove_on_exit, of which a power cut may leave garbage and nothing
// anybody could want.
//
// A kill of any process at any instant leaves a state that is whole, or that the next command on the pod or gc()
// repairs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "container/container.h"
#include "image/backend.h"
#include "image/file_image.h"
#include "image/store.h"
#include "monitor/monitor.h"

namespace cooper::pod {

struct EngineOptions {
  std::string root = "/var/lib/cooper";
  std::string run_root = "/run/cooper";
  std::string init_path;  // cooper-init; empty: beside the executable, else <libexec>
  std::string cgroup_parent = "/cooper";
  // Asked about an image that is a file before anything of it is mounted; an error refuses it. Empty: all may run.
  std::function<Status(const image::FileImage& file)> admit_file = {};
  // Told of what is unpacked for a container; see image::Store::watch_unpacking().
  image::Progress unpacking = {};
};

struct VolumeMount {
  std::string source;                // absolute host path, or empty: an empty volume of the pod
  std::string destination;           // absolute, inside
  std::vector<std::string> options;  // ro rw z Z U nosuid nodev noexec rprivate rshared ... (-v SRC:DST[:OPTS])
  bool tmpfs = false;                // --tmpfs DST[:OPTS]
};

struct Ulimit {
  std::string name;  // nofile
  std::uint64_t soft = 0, hard = 0;
};

// When the image of an app is fetched.
enum class Pull {
  kNever,
  kMissing,  // when the store has none of that name
  kNewer,    // the registry is asked too; when that fails, whatever the reason, the store's is good enough
  kAlways,   // the registry is asked too; an error for a name of this machine only
};

struct AppRequest {
  std::string image;  // reference; already checked by nobody
  Pull pull = Pull::kNever;
  // One of the store for another platform is as good as none.
  std::optional<oci_image::Platform> platform = {};
  std::string name;                                    // empty: from the image name
  std::vector<std::string> args;                       // replaces Cmd
  std::optional<std::vector<std::string>> entrypoint;  // replaces Entrypoint (and then Cmd)
  std::vector<std::string> env;  // K=V, or K (from the caller's environment, resolved by the caller)
  std::string working_dir, user;
  std::vector<VolumeMount> mounts;
  std::vector<std::string> cap_add, cap_drop;  // "ALL" allowed
  std::vector<std::string> security_opts;      // seccomp=unconfined|FILE, no-new-privileges[:true], label=...,
                                               // apparmor=..., mask=..., unmask=...
  bool privileged = false;
  bool read_only = false;
  image::Backend backend = image::Backend::kOverlay;
  std::vector<Ulimit> ulimits;
  std::optional<std::int64_t> memory_bytes, memory_swap_bytes;
  std::optional<double> cpus;
  std::optional<std::int64_t> cpu_shares;
  std::string cpuset_cpus;
  std::optional<std::int64_t> pids_limit;  // default 2048
  bool terminal = false, stdin_open = false;
  bool init = false;
  std::string stop_signal;  // empty: the image's, else SIGTERM
  std::map<std::string, std::string> labels, annotations;
};

enum class Network { kNone, kHost };

inline constexpr std::uint32_t kDefaultNamespaceIds = 65536;

// Whose ids the apps of a pod have.
struct UserNamespace {
  enum class Kind {
    kHost,         // no namespace of its own: root is root
    kAuto,         // `size` ids that no other pod has
    kGiven,        // as `uids` and `gids` say
    kSubordinate,  // all that /etc/subuid and /etc/subgid give to these owners
  };
  Kind kind = Kind::kHost;
  std::uint32_t size = kDefaultNamespaceIds;
  std::vector<oci::IdMapping> uids, gids;
  std::string uid_owner, gid_owner;
};

struct PodRequest {
  std::vector<AppRequest> apps;
  std::string name;
  std::string hostname;
  Network network = Network::kNone;
  UserNamespace user_namespace;
  bool remove_on_exit = false;
  bool remove_failed_start = false;  // a start that fails leaves nothing, as with remove_on_exit
  bool single = false;               // `cooper run`: no shared namespaces, the app is PID 1 itself
  std::map<std::string, std::string> labels, annotations;
  std::uint64_t log_max_bytes = 0;
  int stop_timeout_ms = 10000;
};

enum class State {
  kEmbryo,
  kPreparing,
  kAbortedPrepare,
  kPrepared,
  kRunning,
  kExited,
  kExitedGarbage,
  kDeleting,
  kGarbage
};
std::string_view to_string(State state);  // "running", "aborted prepare" ...

struct AppInfo {
  std::string name;
  std::string image;  // as asked
  std::string image_id;
  std::vector<std::string> args;
  std::string state;  // created running paused exited
  int pid = 0;        // init on the host, 0 when not running
  bool terminal = false;
  bool stdin_open = false;
  std::optional<monitor::ExitRecord> exit;
};
struct PodInfo {
  PodUuid uuid;
  State state;
  std::string name;
  bool single = false;
  std::string network;
  std::string hostname;
  std::int64_t created_unix_ms = 0, started_unix_ms = 0;
  std::vector<AppInfo> apps;
  std::map<std::string, std::string> labels, annotations;
};

// Brings the image of that name into the store, or back what is missing of one that is there. Called before anything of
// the pod is there.
enum class Fetch { kImage, kMissingBytes };
using FetchImage = std::function<Result<image::Image>(image::Store& store, const std::string& reference, Fetch what)>;

struct RunResult {
  PodUuid uuid;
  monitor::Launched launched;
};

struct GcOptions {
  std::int64_t grace_period_s = 30 * 60;
  std::int64_t expire_prepared_s = 24 * 3600;
  bool mark_only = false;
};

class Engine {
 public:
  // Creates the directories when missing. Errors name the directory.
  static Result<Engine> open(EngineOptions options);
  // For who asks images() alone: of what pods need nothing is made or looked at.
  static Result<Engine> open_for_images(EngineOptions options);
  const EngineOptions& options() const { return options_; }
  // See EngineOptions::unpacking.
  void watch_unpacking(image::Progress progress) { options_.unpacking = std::move(progress); }
  Result<image::Store> images() const;

  // embryo -> prepare -> prepared: images found, or fetched as the request says and when there is a `fetch`; trees
  // acquired, manifest written.
  Result<PodUuid> prepare(const PodRequest& request, const FetchImage& fetch = {});
  // prepared -> run: starts it under a monitor.
  Result<RunResult> run_prepared(const PodUuid& uuid, const monitor::LaunchOptions& options);
  // prepare + run without the intermediate rename.
  Result<RunResult> run(const PodRequest& request, const monitor::LaunchOptions& options, const FetchImage& fetch = {});
  // Plans of all containers of the pod, nothing done (`--dry-run`), nothing fetched.
  Result<std::vector<container::Plan>> plan(const PodRequest& request);

  // Name, full uuid or unambiguous prefix. Errc::kNotFound / kInvalidArgument ("ambiguous").
  Result<PodUuid> find(std::string_view name_or_uuid) const;
  Result<PodInfo> info(const PodUuid& uuid) const;
  // Oldest first. Not those being erased: no name finds them either, and only gc() sees them.
  Result<std::vector<PodInfo>> list() const;
  // The pod manifest bytes.
  Result<std::string> manifest(const PodUuid& uuid) const;

  // The runtime container of an app (exec, top, stats, pause, kill). Empty app: the only one, else an error naming
  // them.
  Result<container::Container> container(const PodUuid& uuid, std::string_view app) const;
  // OCI process of the app, to build an exec from.
  Result<oci::Config> app_config(const PodUuid& uuid, std::string_view app) const;
  // Absolute path of the current log file and its rotated predecessors, oldest first.
  Result<std::vector<std::string>> log_files(const PodUuid& uuid, std::string_view app) const;
  // Connected monitor socket (protocol.h / client.h). Errc::kWrongState when not running.
  Result<UniqueFd> monitor_socket(const PodUuid& uuid) const;

  // Stop signal to every app, SIGKILL after timeout_ms (< 0: the pod's own). Returns when the pod has exited.
  Status stop(const PodUuid& uuid, int timeout_ms) const;
  Status kill(const PodUuid& uuid, std::string_view app, int signal) const;
  // Exited, prepared or aborted pods; running ones only with a time for stop(), which comes first.
  Status remove(const PodUuid& uuid, std::optional<int> stop_timeout_ms) const;
  // Blocks until the app (empty: the only one, or all: the last record) ended.
  Result<monitor::ExitRecord> wait(const PodUuid& uuid, std::string_view app) const;
  // Marks, deletes, and repairs what killed processes left (cgroups, runtime state, stale names, tree users). One bad
  // pod does not stop the loop. Returns one line per action, for the user.
  Result<std::vector<std::string>> gc(const GcOptions& options);

 private:
  explicit Engine(EngineOptions options) : options_(std::move(options)) {}
  EngineOptions options_;
};

}  // namespace cooper::pod
