// Containers without a mount namespace of their own: their root file system is mounted where others see it, so it has
// to be unmounted when they end.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

struct SharedMounts {
  bool shared = false;
  std::string path;          // namespace that is joined; empty: the caller's
  std::string rootfs;        // where the root is mounted
  std::uint64_t before = 0;  // id of the mount that the directory was on before
};

// What a container of this configuration will need to be undone. `shared` is false when it has its own namespace.
Result<SharedMounts> look_at_shared_mounts(const oci::Config& config, const std::string& rootfs);
// Unmounts the root and all below it, unless the directory is on the same mount as before. A namespace that has ended
// is fine.
Status undo_shared_mounts(const SharedMounts& mounts);

}  // namespace cooper::container
