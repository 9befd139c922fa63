// Zone S: options of a file system, as fsconfig(2) takes them.
#pragma once

#include "base/error.h"
#include "base/fd.h"
#include "container/plan.h"

namespace cooper::container {

// The flags and options of `mount` in a context that is made or picked.
Status set_superblock_options(BorrowedFd context, const Mount& mount);
// Changes the file system of a mount: what `mount` says, and nothing else. Nothing to say: nothing is done.
Status remount_superblock(BorrowedFd place, const Mount& mount);

}  // namespace cooper::container
