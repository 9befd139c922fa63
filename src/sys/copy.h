// Copying inside the kernel.
#pragma once

#include <sys/types.h>

#include <cstddef>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::sys {

// All of `from` becomes the content of the empty file `to`, sharing its blocks (FICLONE): btrfs, xfs and others.
// EOPNOTSUPP, EXDEV, EINVAL, ENOTTY: not these two.
Status ficlone(BorrowedFd from, BorrowedFd to);
// Copies up to `size` bytes from the descriptors' own offsets; fewer are no error, 0 is the end of the file. Between
// file systems: 5.3.
Result<std::size_t> copy_file_range(BorrowedFd from, BorrowedFd to, std::size_t size);

}  // namespace cooper::sys
