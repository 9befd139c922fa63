// The objects of `events`, in the shape of runc's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cgroup/usage.h"
#include "cli/coop/resctrl_usage.h"

namespace cooper::cli::coop {

// Counters of one network interface, as seen from inside the container.
struct InterfaceCounters {
  std::string name;
  std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};
// The text of /proc/PID/net/dev, without the loopback.
std::vector<InterfaceCounters> parse_interfaces(std::string_view text);

// One line each.
std::string stats_line(const std::string& id, const cgroup::Usage& usage,
                       const std::vector<InterfaceCounters>& interfaces, const ResctrlUsage& resctrl = {});
std::string oom_line(const std::string& id);

// A duration as Go writes it: "5s", "500ms", "1m30s", "1.5h". Milliseconds, at least 1.
Result<int> parse_interval(std::string_view text);

}  // namespace cooper::cli::coop
