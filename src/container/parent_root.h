// The root file system of a container with a user namespace (MountRoot::by_parent), made outside of it.
#pragma once

#include "base/error.h"
#include "base/fd.h"
#include "container/plan.h"

namespace cooper::container {

// A detached mount. An overlay belongs to the caller's user namespace, so that it writes on the disk what it writes for
// containers without one; only the owners of the layer below are mapped. Errc::kUnsupported: the kernel or the file
// system of the layer has no id-mapped mounts. Nothing stays mounted anywhere else.
Result<UniqueFd> make_parent_root(const MountRoot& root);

}  // namespace cooper::container
