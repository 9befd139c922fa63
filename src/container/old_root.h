// Zone S: what the new root of a container without pivot_root covers.
#pragma once

#include "base/error.h"
#include "base/fd.h"

namespace cooper::container {

// Takes away what is mounted on the old root, which is the caller's root and on which the new one is mounted now: a
// program that leaves its chroot finds nothing of the host, and the kernel, which makes a procfs with nothing masked
// for a user namespace that has a whole one in its mount namespace, finds none. What cannot be taken away (mounts that
// came with another user namespace) is covered if it is a whole procfs or sysfs. `table`: /proc/self/mountinfo, open.
Status clear_old_root(BorrowedFd table);

}  // namespace cooper::container
