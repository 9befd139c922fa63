// cpuset of cgroup v1: a new group has no CPUs and no memory nodes and takes no task until both are written.
#pragma once

#include <string>

#include "base/error.h"
#include "cgroup/internal/files.h"

namespace cooper::cgroup {

// Copies cpuset.cpus and cpuset.mems from the nearest ancestor that has them, filling every empty group on the way
// down. Both paths are host directories; `directory` is below `mount_point`. A group just made (kNew) that has CPUs was
// born with both (cgroup.clone_children of its parent).
enum class Age { kNew, kOld };
Status inherit_cpuset(const std::string& mount_point, const std::string& directory, Age age, Base base = {});
// The same for a parent this engine made; groups made below it later are born with its values.
Status prepare_cpuset_parent(const std::string& mount_point, const std::string& directory, Base base = {});

}  // namespace cooper::cgroup
