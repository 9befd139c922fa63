// What `events` says of linux.intelRdt: what the hardware can do, what the container may use and what it has used.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "container/resctrl.h"

namespace cooper::cli::coop {

struct ResctrlUsage {
  struct Cache {
    std::string mask;
    std::uint64_t min_bits = 0, classes = 0;
  };
  struct Bandwidth {
    std::uint64_t step = 0, linear = 0, min = 0, classes = 0;
  };
  // Nothing where the hardware has no such control.
  std::optional<Cache> cache;
  std::optional<Bandwidth> bandwidth;
  // Lines of schemata, of all of the machine and of the container's class.
  std::string cache_of_root, cache_schema;
  std::string bandwidth_of_root, bandwidth_schema;
  // For each domain of the cache, in order.
  struct Traffic {
    std::uint64_t total_bytes = 0, local_bytes = 0;
  };
  std::vector<Traffic> traffic;
  std::vector<std::uint64_t> occupancy_bytes;
};

// `root` is where resctrl is mounted. Empty for a container without a class of service. What cannot be read is left
// out.
ResctrlUsage read_resctrl_usage(const std::string& root, const container::ResctrlGroups& groups);

}  // namespace cooper::cli::coop
