#pragma once

#include "monitor/internal/backend.h"
#include "monitor/monitor.h"

namespace cooper::monitor::internal {

// launch() on top of any backend.
Result<Launched> launch_with(PodSpec spec, const LaunchOptions& options, Backend& backend);

}  // namespace cooper::monitor::internal
