// Loop devices: a range of a regular file as a block device. All need root.
#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::sys {

// The number of a device that nobody uses right now (made when there is none); another process may take it first.
Result<int> loop_ctl_get_free(BorrowedFd control);
// Attaches the range to a free device, read-only. The device lets go of the file when its last user closes or unmounts
// it, whatever ends that user. EBUSY: somebody else took the device. Kernel 5.8.
Status loop_configure(BorrowedFd device, BorrowedFd file, std::uint64_t offset, std::uint64_t size);

}  // namespace cooper::sys
