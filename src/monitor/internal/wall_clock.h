#pragma once

#include <time.h>

#include <cstdint>

namespace cooper::monitor::internal {

// Milliseconds since 1970, for records that people read; never for measuring.
inline std::int64_t wall_clock_ms() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

}  // namespace cooper::monitor::internal
