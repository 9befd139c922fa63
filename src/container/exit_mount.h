// How an init ended, for who asks after its parent has collected it: its pidfd, mounted on a file beside the record. As
// long as something holds such a file the kernel (6.15) keeps what the parent was told; a mount does so without a
// process.
#pragma once

#include <optional>

#include "base/error.h"
#include "base/fd.h"
#include "container/state.h"
#include "sys/process.h"

namespace cooper::container {

// Before the init runs. On failure nothing is left.
Status keep_exit_status(const StatePaths& paths, BorrowedFd pidfd);
// nullopt: it was not kept, it has not ended, or the kernel does not tell.
std::optional<sys::ExitStatus> kept_exit_status(const StatePaths& paths);
// Where there is none, nothing is done.
Status remove_kept_exit_status(const StatePaths& paths);

}  // namespace cooper::container
