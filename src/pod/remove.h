// Taking pods away: what a dead pod may have left in the kernel and in the run directory, and then the pod itself. All
// of it may be repeated after a crash at any point, and is a no-op where there is nothing.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "image/store.h"
#include "pod/manifest.h"
#include "pod/state.h"

namespace cooper::pod {

// Text of the exit records for apps whose monitor and guardian were both killed.
inline constexpr const char* kMonitorDied = "the monitor of the pod was killed";

inline constexpr const char* kNoRecord = "the exit status is unknown: it could not be written";

// Kills and removes what is left of the pod's containers: processes, cgroups, runtime state, run directory. The pod
// must be dead: its lock held by the caller. Returns true when there was anything.
Result<bool> clean_runtime(const EngineOptions& options, const PodUuid& uuid);

// When no pod runs, removes the parent of the pods' cgroups, unless the user chose it: that one may have been made by
// somebody else, with limits. Waits at most lock_ms for starts that are under way; these find it gone, or keep it.
void remove_idle_cgroup_parent(const EngineOptions& options, int lock_ms);

// Exit records of apps that the monitor could not write one for.
struct MissingRecord {
  int exit_code = 128 + 9;
  int signal = 9;
  std::string error = kMonitorDied;
};
monitor::ExitRecord make_record(const std::string& app, const MissingRecord& missing);
// For an app that has run: either its monitor was killed, or there was no room for the record.
monitor::ExitRecord make_record(BorrowedFd pod_dir, const std::string& app);
// Returns how many were missing. Without `missing` each becomes what make_record(pod_dir, app) says.
Result<int> complete_records(const OpenPod& pod, const PodManifest& manifest,
                             const std::optional<MissingRecord>& missing = {});

// Moves the pod to garbage, gives back its name, trees and ids: nobody finds it any more. The lock must be held, and
// nothing of it may run. The manifest is read from the pod; when it is unreadable, name and trees are found by
// searching.
Status retire_pod(const EngineOptions& options, OpenPod& pod);
// Deletes the files of a retired pod.
Status erase_pod(const EngineOptions& options, const OpenPod& pod);
// Both.
Status delete_pod(const EngineOptions& options, OpenPod& pod);

// For pods that remove themselves: retires the pod, and erases it in a process of its own, so that nobody who waits for
// the pod's end waits for the disk (freeing the blocks of a directory takes milliseconds where the file system discards
// them at once). That process first waits, for a bounded time, until nobody reads the exit records any more: `wait`
// holds the status directory's lock shared while it looks for them. When it is killed, gc finds the pod in garbage. The
// caller must be single-threaded.
Status delete_in_background(const EngineOptions& options, OpenPod& pod);

}  // namespace cooper::pod
