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
  std::uint64_t space = 0;   // inode of the namespace; 0: not known
  std::uint64_t id = 0;      // of the root's mount; 0: not known, or not made
  std::uint64_t inode = 0;   // of the root itself
};

// What a container of this configuration will need to be undone. `shared` is false when it has its own namespace.
Result<SharedMounts> look_at_shared_mounts(const oci::Config& config, const std::string& rootfs);
// The root has been mounted: notes which mount it is, so that it is found wherever its directory will be.
void note_shared_mount(SharedMounts& mounts);
// Unmounts the root and all below it and over it. As long as the mount is not noted: unless the directory is on the
// same mount as before. Goes to the namespace it is in; one that has ended is fine.
Status undo_shared_mounts(const SharedMounts& mounts);

}  // namespace cooper::container
