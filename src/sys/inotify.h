// inotify(7): told when files of a directory change.
#pragma once

#include <sys/inotify.h>

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::sys {

// Non-blocking and close-on-exec; readable when something happened.
Result<UniqueFd> inotify_init1();
// mask: IN_CREATE ...; returns the watch descriptor.
Result<int> inotify_add_watch(BorrowedFd inotify, const std::string& path, std::uint32_t mask);

}  // namespace cooper::sys
