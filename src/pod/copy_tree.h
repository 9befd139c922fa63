// Copies of directories of images.
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "base/fd.h"
#include "stage1/flavor.h"

namespace cooper::pod {

// Copies the directory: its content and its own attributes. Types, owners, modes, times, extended attributes, hard
// links among the files copied and holes stay; where the file systems can, blocks are shared and not copied. Never
// follows a symbolic link. Sockets are left out. Needs root: owners and device nodes are kept. Errc::kLimit: nested too
// deeply. With maps the copies belong to the ids that the owners stand for, in attributes too.
// Errc::kUnsupported: an owner is not mapped.
Status copy_directory(BorrowedFd from, BorrowedFd to, const stage1::IdMaps& maps);

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};
// On the host, of what belongs to `owner` in the image.
Result<Owner> map_owner(Owner owner, const stage1::IdMaps& maps);

}  // namespace cooper::pod
