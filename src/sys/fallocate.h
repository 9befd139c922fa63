#pragma once

#include <fcntl.h>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::sys {

// Room on the disk for all of [0, size), holes among it; the file is at least that long then.
Status fallocate(BorrowedFd fd, off_t size);

}  // namespace cooper::sys
