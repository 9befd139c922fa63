// What is said of an init that the kernel killed because its control group may have no more memory.
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/error.h"
#include "base/fd.h"
#include "cgroup/cgroup.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

// nullopt: the killer was not there.
std::optional<Error> out_of_memory(const cgroup::Group& group);
// The same right after a start, where only the end of the connection is seen: its program may run, or it was killed
// before or in its first moment. Waits for that moment only when the killer was there. The init is not collected.
std::optional<Error> out_of_memory_at_start(const cgroup::Group& group, pid_t init, BorrowedFd pidfd);
// Whether it is worth to ask.
bool limits_memory(const oci::Resources& resources);

}  // namespace cooper::container
