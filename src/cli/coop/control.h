// What surrounds a start for whoever drives coop by descriptors: who is told of the new process, what the program waits
// for, how long it may take. The words are those of bwrap(1) and timeout(1).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "cli/coop/arguments.h"
#include "cli/coop/supervise.h"
#include "container/container.h"

namespace cooper::cli::coop {

// --info-fd, --json-status-fd, --block-fd, --sync-fd. Each is an open descriptor of the caller; it is ours from here on
// and the container does not get it.
class ControlFds {
 public:
  // `preserved` descriptors after standard error go to the container: none of them can be one of these.
  static Result<ControlFds> open(const Arguments& arguments, int preserved);

  bool any() const { return info_ || status_ || block_; }
  // For container::CreateOptions::private_fds.
  std::vector<int> numbers() const;
  // --sync-fd is open while this is there, and may be in other processes; -1: not given. Not one of numbers().
  int sync() const { return sync_ ? sync_.get() : -1; }
  // For container::CreateOptions::before_start: tells, then waits. A signal that would have ended this process ends the
  // wait (Errc::kCancelled) and is kept in cancelled_by().
  Status before_start(const container::BeforeStart& container, Supervisor& supervisor);
  int cancelled_by() const { return cancelled_by_; }
  // The program has ended; `status` is what this program ends with.
  void ended(int status, bool timed_out);

 private:
  UniqueFd info_, status_, block_, sync_;
  int cancelled_by_ = 0;
};

// Whether whoever started this program has opened the descriptor: our own do not survive an exec.
bool is_open_for_us(int fd);

// One line of JSON: child-pid, and the number of each namespace under the name "mnt-namespace".
std::string describe_child(pid_t pid, const std::map<std::string, std::uint64_t>& namespaces);
std::string describe_end(int status, bool timed_out);

// A number of seconds, with a fraction if need be; at least a millisecond, at most ten years. The error names the flag.
Result<std::chrono::milliseconds> parse_seconds(std::string_view text, std::string_view flag);
// --time-limit and --kill-after.
Result<std::optional<TimeLimit>> time_limit(const Arguments& arguments);

}  // namespace cooper::cli::coop
