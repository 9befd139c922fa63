// Taking pods away: what a dead pod may have left in the kernel and in the run directory, and then the pod itself. All of it may be
// repeated after a crash at any point, and is a no-op where there is nothing.
#pragma once

#include <string>

#include "base/error.h"
#include "image/store.h"
#include "pod/manifest.h"
#include "pod/state.h"

namespace cooper::pod {

// Text of the exit records for apps whose monitor and guardian were both killed.
inline constexpr const char* kMonitorDied = "the monitor of the pod was killed";

// Kills and removes what is left of the pod's containers: processes, cgroups, runtime state, run directory. The pod must be dead: its
// lock held by the caller. Returns true when there was anything.
Result<bool> clean_runtime(const EngineOptions& options, const PodUuid& uuid);

// Writes the exit records that the monitor could not. Returns how many.
Result<int> complete_records(const OpenPod& pod, const PodManifest& manifest);

// Moves the pod to garbage, gives back its name and trees, deletes it. The lock must be held. Nothing of it may run any more.
// The manifest is read from the pod; when it is unreadable, name and trees are found by searching.
Status delete_pod(const EngineOptions& options, OpenPod& pod);

}  // namespace cooper::pod
