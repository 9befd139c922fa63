// The two messages between monitor (or guardian) and the caller of launch(): the outcome, and its acknowledgement.
//
//   monitor  -> caller   kStarted{guardian}         every app runs
//   monitor  -> caller   kFailed{error}             nothing is left of the pod's processes
//   caller   -> monitor  one byte                   the caller took kStarted; without it (end of file) the pod is ended
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::monitor::internal {

struct Outcome {
  pid_t guardian = 0;
  std::optional<Error> error;
};
inline constexpr std::size_t kMaxOutcome = std::size_t{16} << 10;

std::string print_outcome(const Outcome& outcome);
Result<Outcome> parse_outcome(std::string_view text);

}  // namespace cooper::monitor::internal
