// The mount list of an app.
#pragma once

#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/types.h"
#include "stage1/flavor.h"
#include "stage1/security.h"

namespace cooper::stage1 {

// Default mounts, then the user's (a user's mount replaces the default one on the same place, /dev/shm for instance),
// the support files and, with read_only, tmpfs on /run, /tmp and /var/tmp. Parents come before children.
// Errc::kInvalidArgument: two mounts on one place, a relative path, a contradiction in the options.
Result<std::vector<oci::Mount>> app_mounts(const Pod& pod, const App& app, const Security& security);

// Mount of one volume: option words of -v and --tmpfs become those of the runtime specification.
Result<oci::Mount> volume_mount(const Pod& pod, const Volume& volume);

// Escapes a path for an option of overlayfs: ':' separates lower directories, ',' options, '\' escapes.
std::string escape_overlay_path(const std::string& path);
// The root file system. remove_on_exit: nothing of the upper directory is wanted after the end of the pod. Errc::kLimit
// for paths that overlayfs cannot take.
Result<container::MountRoot> root_mount(const Pod& pod, const App& app);

inline constexpr const char* kInitInside = "/dev/init";

}  // namespace cooper::stage1
