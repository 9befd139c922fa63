// CONTRACT. When each step of one start began and ended. Asked for by a caller that wants to know where the time goes
// (CreateOptions::timing); a start without it takes no time and makes no system call for it.
//
// Parent and child write the times of their own steps into memory they share, so both are in one picture. Times are
// CLOCK_MONOTONIC in nanoseconds; 0 is "never": the step failed, or an exec ended it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "container/plan.h"

namespace cooper::container {

struct StepTime {
  std::int64_t begin_ns = 0, end_ns = 0;
};

class StartTiming {
 public:
  StartTiming() = default;
  StartTiming(const StartTiming&) = delete;
  StartTiming& operator=(const StartTiming&) = delete;
  ~StartTiming();

  // Before the clone: room for the steps of this plan, which must outlive the start.
  Status open(const Plan& plan);
  void begin(std::size_t step);
  void end(std::size_t step);
  // A moment of the calling process that is no step: "configuration read", "process ended". Parent only.
  void mark(std::string what);

  struct Mark {
    std::string what;
    std::int64_t at_ns = 0;
  };
  struct TimedStep {
    Actor actor = Actor::kParent;
    std::string text;  // "mount destination=/proc ..."
    StepTime time;
  };
  const std::vector<Mark>& marks() const { return marks_; }
  std::vector<TimedStep> steps() const;

 private:
  StepTime* times_ = nullptr;
  std::size_t count_ = 0;
  std::vector<std::pair<Actor, std::string>> texts_;
  std::vector<Mark> marks_;
};

// Times one step while it lives. A null timing is none.
class StepTimer {
 public:
  StepTimer(StartTiming* timing, std::size_t step) : timing_(timing), step_(step) {
    if (timing_ != nullptr) timing_->begin(step_);
  }
  StepTimer(const StepTimer&) = delete;
  StepTimer& operator=(const StepTimer&) = delete;
  ~StepTimer() {
    if (timing_ != nullptr) timing_->end(step_);
  }

 private:
  StartTiming* timing_;
  std::size_t step_;
};

}  // namespace cooper::container
