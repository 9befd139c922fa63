// Where everything of the engine lies. The functions below are the only ones that build these paths.
//
//   <root>/images/                      the image store (image/store.h)
//   <root>/pods/<place>/<uuid>/         0700; the directory itself is the pod's lock (flock, exclusive, while it is
//   |                                   prepared, runs or is removed): who has it open keeps it across every rename
//   |   pod                             pod manifest: everything prepare() decided (manifest.h)
//   |   upper-<app>/ work-<app>/        the app's own part of its overlay, or (without work-<app>) its own copy of all
//   |                                   files (rootfs.h). upper-<app> is also the mount point: it
//   |                                   is covered by the root file system, in the app's mount namespace only
//   |   image-<app>/                    where an image that is a file gets mounted, in the app's mount namespace only
//   |   sharedVolumes/<number>/         empty volumes of the pod
//   |   logs/<app>.log[.N]              written by the monitor
//   |   status/<app>                    exit record, by the monitor or gc
//   <root>/pods/names/<name>            symlink to the uuid: a name is taken by making it
//   <root>/pods/id-ranges/              ids of the host that pods with a user namespace have (id_ranges.h)
//   <root>/run-root                     symlink to the run root in use; it may be exchanged when no pod runs there
//   <run-root>/root                     symlink to the root it belongs to, whose pods run there
//   <run-root>/pods/<uuid>/             while the pod runs: monitor.sock, hosts, hostname, resolv.conf, sandbox/
//   |                                   (empty root of the sandbox); nothing that must survive a reboot
//   <run-root>/coop/<uuid>_<app>/       runtime state (container/container.h); coop --root <run-root>/coop shows it
//
// Places are the states of a pod: embryo, prepare, prepared, run, exited-garbage, garbage, in this order; a pod only
// ever moves towards the end of the list. Creating an inode on disk is the most expensive part of a start, which is why
// there are few of them.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "pod/pod.h"

namespace cooper::pod {

enum class Place { kEmbryo, kPrepare, kPrepared, kRun, kExitedGarbage, kGarbage };
inline constexpr std::array kPlaces{Place::kEmbryo, Place::kPrepare,       Place::kPrepared,
                                    Place::kRun,    Place::kExitedGarbage, Place::kGarbage};
std::string_view directory_name(Place place);

inline constexpr const char* kSandboxDir = "sandbox";  // below the run directory

class Layout {
 public:
  explicit Layout(const EngineOptions& options) : root_(options.root), run_root_(options.run_root) {}

  std::string images() const { return root_ + "/images"; }
  std::string pods() const { return root_ + "/pods"; }
  std::string place(Place place) const { return pods().append("/").append(directory_name(place)); }
  std::string pod(Place where, const PodUuid& uuid) const { return place(where).append("/").append(uuid.str()); }
  std::string names() const { return pods() + "/names"; }
  std::string id_ranges() const { return pods() + "/id-ranges"; }
  const std::string& root() const { return root_; }
  const std::string& run_root() const { return run_root_; }
  std::string run_root_link() const { return root_ + "/run-root"; }
  std::string root_link() const { return run_root_ + "/root"; }
  std::string run_pods() const { return run_root_ + "/pods"; }
  std::string run_dir(const PodUuid& uuid) const { return run_pods().append("/").append(uuid.str()); }
  std::string monitor_socket(const PodUuid& uuid) const;
  std::string sandbox_root(const PodUuid& uuid) const { return run_dir(uuid) + "/" + kSandboxDir; }
  std::string containers() const { return run_root_ + "/coop"; }

 private:
  std::string root_, run_root_;
};

// Below a pod's directory.
inline constexpr const char* kManifestFile = "pod";
inline constexpr const char* kVolumesDir = "sharedVolumes";
inline constexpr const char* kLogsDir = "logs";
inline constexpr const char* kStatusDir = "status";
inline std::string upper_dir(std::string_view app) {
  return std::string("upper-").append(app);
}
inline std::string work_dir(std::string_view app) {
  return std::string("work-").append(app);
}
inline std::string image_dir(std::string_view app) {
  return std::string("image-").append(app);
}
inline std::string log_file(std::string_view app) {
  return std::string("logs/").append(app).append(".log");
}
inline std::string status_file(std::string_view app) {
  return std::string("status/").append(app);
}

// Creates the directories that are missing, and binds root and run root to each other. Four system calls when all is
// there. Errc::kWrongState: one of the two is in use with another: gc would take the pods of the other root for
// leftovers, stop would look for monitors where they are not.
Status make_layout(const Layout& layout);

// "/cooper" for the default run root, otherwise "/cooper-<8 hex>" of it: engines with different run roots never share a
// cgroup.
std::string derive_cgroup_parent(const std::string& run_root);

// Absolute, without "//", "/./" and a trailing slash; ".." is refused. Errc::kInvalidArgument names `what`.
Result<std::string> clean_path(std::string_view path, std::string_view what);

}  // namespace cooper::pod
