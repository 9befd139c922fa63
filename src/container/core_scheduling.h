// Core scheduling (kernel 5.14): who may run at the same time on the hardware threads of one processor core, by
// annotation. The runtime specification has no member for it.
//
//   "io.cooper.core-scheduling": "new"
//
// While a process of the container is on one thread of a core, the others run the container's processes or nothing:
// what leaks between threads of a core stays inside. The processes of exec belong to it.
#pragma once

#include <string_view>

#include "base/error.h"
#include "container/plan.h"

namespace cooper::container {

inline constexpr const char* kCoreSchedulingAnnotation = "io.cooper.core-scheduling";

Result<SetCoreScheduling> parse_core_scheduling(std::string_view text);

// The number of a process in its own PID namespace.
Result<pid_t> innermost_pid(pid_t pid);

// Zone S. Errc::kUnsupported where the kernel cannot; a machine without hardware threads has nothing to do.
Status apply_core_scheduling(const SetCoreScheduling& step);

}  // namespace cooper::container
