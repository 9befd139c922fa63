#pragma once

#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::sys {

// whence: SEEK_DATA and SEEK_HOLE too, which end with ENXIO behind the last of either.
Result<off_t> lseek(BorrowedFd fd, off_t offset, int whence);

}  // namespace cooper::sys
