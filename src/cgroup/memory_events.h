// What happens to the memory of a group, as events: the OOM killer at work, and pressure before it comes to that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "cgroup/cgroup.h"

namespace cooper::cgroup {

enum class PressureLevel { kLow, kMedium, kCritical };

class MemoryEvents {
 public:
  // v1: memory.oom_control by eventfd. v2: changes of memory.events.
  static Result<MemoryEvents> oom(const Group& group);
  // v1: memory.pressure_level by eventfd. v2: a trigger on memory.pressure (stalls of 10, 20 or 50 % of a second).
  static Result<MemoryEvents> pressure(const Group& group, PressureLevel level);

  BorrowedFd fd() const { return fd_; }
  // What to poll fd() for.
  short poll_events() const { return poll_events_; }
  // Takes what has happened since the last call; 0 for a wake-up about something else. nullopt: the group is gone, and
  // nothing more will come.
  Result<std::optional<std::uint64_t>> take();
  // Blocks until something happened.
  Result<std::optional<std::uint64_t>> wait();

 private:
  enum class Kind { kEventFd, kInotify, kTrigger };
  MemoryEvents() = default;
  static Result<MemoryEvents> by_eventfd(const std::string& directory, const char* file, const std::string& argument);

  Kind kind_ = Kind::kEventFd;
  UniqueFd fd_;
  short poll_events_ = 0;
  std::string watched_;  // file that goes with the group
  std::uint64_t seen_ = 0;
};

}  // namespace cooper::cgroup
