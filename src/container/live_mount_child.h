// Zone S: a forked process that changes the mounts of a running container and reports over the sync socket.
#pragma once

#include <string>

#include "base/fd.h"
#include "container/plan.h"

namespace cooper::container {

struct LiveMountContext {
  BorrowedFd sync{-1};
  BorrowedFd parent_sync{-1};   // closed at once
  BorrowedFd init{-1};          // pidfd of the container's init
  BorrowedFd root{-1};          // the container's root, O_PATH
  bool user_namespace = false;  // join the container's first: the caller has no rights outside of it
  uid_t uid = 0;                // owner of mount points that have to be made
  gid_t gid = 0;
  const Mount* mount = nullptr;  // to add; nullptr: remove
  std::string destination;       // to remove
};

// Never returns. Answers Reached "done" or a failure.
[[noreturn]] void run_live_mount(const LiveMountContext& context);

}  // namespace cooper::container
