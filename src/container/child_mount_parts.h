// Shared by the files that perform mount steps, and by nobody else.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "container/child_mounts.h"
#include "container/plan.h"

namespace cooper::container {

std::string fd_path(BorrowedFd fd);
// MOUNT_ATTR_* as MS_* flags.
unsigned long flags_from_attributes(std::uint64_t set);
Status mount_bind(const Mount& mount, const MountEnvironment& environment);
Status mount_filesystem(const Mount& mount, const MountEnvironment& environment);
Status mount_cgroup(const Mount& mount, const MountEnvironment& environment);

}  // namespace cooper::container
