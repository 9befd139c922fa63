// Copies of directories of images.
#pragma once

#include "base/error.h"
#include "base/fd.h"

namespace cooper::pod {

// Copies the directory: its content and its own attributes. Types, owners, modes, times, extended attributes, hard
// links among the files copied and holes stay; where the file systems can, blocks are shared and not copied. Never
// follows a symbolic link. Sockets are left out. Needs root: owners and device nodes are kept. Errc::kLimit: nested too
// deeply.
Status copy_directory(BorrowedFd from, BorrowedFd to);

}  // namespace cooper::pod
