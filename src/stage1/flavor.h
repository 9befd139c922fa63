// stage1: how a prepared pod becomes what the monitor launches. A flavor is one way to do that.
//
//   pod/ (stage0)  --- Pod: every question of the user answered --->  Flavor  --- Launch: containers to start --->
//   monitor/
//
// A flavor decides isolation: which containers there are, their namespaces, root file systems, mounts, limits and
// security. It touches nothing: the same Pod and Host always give the same Launch, so that a dry run shows exactly what
// a run would do. Images, user names and files of the caller are resolved before (pod/): this room knows no image.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/filesystem_image.h"
#include "monitor/monitor.h"
#include "spec/oci_runtime/types.h"
#include "sys/cred.h"

namespace cooper::stage1 {

// A mount of an app that the user (or the image) asked for.
struct Volume {
  std::string destination;  // absolute, inside, lexically clean
  std::string source;       // absolute host path; empty with `tmpfs` and `pod_volume`
  std::string pod_volume;   // name of an empty volume of the pod (Pod::volumes_dir)
  bool tmpfs = false;
  std::vector<std::string> options;  // as the user wrote them: ro, rslave, size=1m ...
  bool operator==(const Volume&) const = default;
};

// A user namespace: ids inside, and the ids of the host that they stand for. Empty: none, ids are the host's.
struct IdMaps {
  std::vector<oci::IdMapping> uids, gids;
  bool empty() const { return uids.empty(); }
};

struct Limit {
  std::string name;  // "nofile"
  std::uint64_t soft = 0, hard = 0;
  bool operator==(const Limit&) const = default;
};

// One app, resolved: image defaults merged with the user's wishes.
struct App {
  std::string name;
  std::vector<std::string> args;
  std::vector<std::string> env;  // complete, K=V
  std::string working_dir = "/";
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> additional_gids;
  int stop_signal = 15;
  std::vector<Volume> volumes;
  std::vector<std::string> cap_add, cap_drop;
  std::vector<std::string> security_opts;
  std::string seccomp_profile;  // text of the file named in security_opts; empty: the default or none
  bool privileged = false;
  bool read_only = false;
  std::vector<Limit> ulimits;
  std::optional<std::int64_t> memory_bytes, memory_swap_bytes;
  std::optional<double> cpus;
  std::optional<std::int64_t> cpu_shares;
  std::string cpuset_cpus;
  std::optional<std::int64_t> pids_limit;
  std::optional<std::int32_t> oom_score_adj;
  std::vector<std::string> pre_start;  // runs inside, as root, before args; an absolute path first
  std::vector<std::string> post_stop;  // runs after the end, as root, in the same files
  bool terminal = false, stdin_open = false;
  bool init = false;  // cooper-init is PID 1 and the app its child
  std::map<std::string, std::string> annotations;
  // Root file system: the image's files below, in a directory or in a file, and what the app writes above.
  std::string tree_rootfs;  // absolute; empty: root_image has them
  std::optional<io::FilesystemImage> root_image;
  bool own_copy = false;            // all files are in upper_dir, nothing lies below
  std::string upper_dir, work_dir;  // absolute, same file system
  std::string image_dir;            // absolute; covered by root_image in the app's own mount namespace only
  std::string mount_point;          // absolute; covered by the root file system, in the same way
};

struct Pod {
  std::string uuid;
  std::string hostname;
  bool host_network = false;
  bool single = false;  // one app in namespaces of its own; otherwise a sandbox holds the shared ones
  bool remove_on_exit = false;
  IdMaps id_maps;
  std::string pod_dir;                                 // absolute, as it will be while the pod runs
  std::string run_dir;                                 // absolute; holds the support files below
  std::string volumes_dir;                             // absolute; <volumes_dir>/<pod_volume>
  std::string sandbox_rootfs;                          // absolute empty directory; pods with a sandbox only
  std::string hosts_file, hostname_file, resolv_file;  // absolute; empty: none
  std::string init_path;                               // cooper-init on the host
  std::string cgroup_parent;                           // the pod's cgroup is <cgroup_parent>/<uuid>
  std::uint64_t log_max_bytes = 0;
  std::map<std::string, std::string> annotations;
  std::vector<App> apps;
};

// What of this machine a flavor may need to know. Probed once by probe_host().
struct Host {
  sys::CapMask capabilities = 0;                  // what may be granted: the caller's bounding set
  std::uint64_t nofile_hard = 0, nproc_hard = 0;  // the caller's own hard limits
  std::vector<oci::Device> devices;               // nodes of /dev, for privileged apps; empty unless asked for
};
struct HostNeeds {
  bool capabilities = false;  // otherwise all are taken as available
  bool devices = false;
};
// Of all apps together.
HostNeeds host_needs(const Pod& pod);
Result<Host> probe_host(const HostNeeds& needs);

struct Launch {
  std::optional<monitor::AppSpec> sandbox;
  std::vector<monitor::AppSpec> apps;
  std::string cgroup_path;            // of the pod
  std::vector<std::string> warnings;  // wishes that were adjusted, one sentence each
};

class Flavor {
 public:
  virtual ~Flavor() = default;
  virtual std::string_view name() const = 0;
  // Errc::kInvalidArgument or kUnsupported names the app and the wish that cannot be met.
  virtual Result<Launch> build(const Pod& pod, const Host& host) const = 0;
};

// Namespaces, cgroups and mounts of our own runtime; one container per app.
const Flavor& native();

// Runtime id of a container of a pod. App names never contain '_', so the sandbox cannot clash with an app.
std::string container_id(std::string_view uuid, std::string_view app);
inline constexpr std::string_view kSandboxName = "_sandbox";

}  // namespace cooper::stage1
