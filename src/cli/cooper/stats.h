// stats: one look at the control groups, or one after the other.
#pragma once

#include <vector>

#include "base/error.h"
#include "cgroup/cgroup.h"
#include "cli/cooper/command.h"
#include "cli/cooper/target.h"

namespace cooper::cli {

struct StatsOptions {
  bool all = false;  // also apps that do not run, with zeros
  bool stream = true;
  int interval_ms = 1000;
  std::vector<Target> targets;  // empty: all running
};

// When streaming, until a signal ends the process or none of the targets is there any more. A terminal is redrawn;
// elsewhere each look follows the last; JSON is one record a line.
Status run_stats(const Context& context, const pod::Engine& engine, const StatsOptions& options);

// Share of one processor between two looks, in percent (200: two processors).
double cpu_percent(std::uint64_t usage_before_ns, std::uint64_t usage_now_ns, std::int64_t elapsed_ns);

}  // namespace cooper::cli
