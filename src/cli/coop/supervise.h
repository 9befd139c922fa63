// The foreground of run and exec: signals go to the container's process, its terminal to the caller's, its exit status
// is the program's.
#pragma once

#include <signal.h>

#include <chrono>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "container/container.h"
#include "io/tty.h"
#include "sys/process.h"

namespace cooper::cli::coop {

// A process that is still there after `limit` gets SIGTERM (and SIGCONT, or a stopped one would not see it), one that
// is there `grace` later SIGKILL.
struct TimeLimit {
  std::chrono::milliseconds limit{0}, grace{0};
};
// What a program ends with whose process reached its limit, however it ended then (timeout(1)).
inline constexpr int kTimedOutStatus = 124;

// Blocks every signal from construction on and collects them, so that none is lost between the start of the process and
// its supervision.
class Supervisor {
 public:
  static Result<Supervisor> create();
  Supervisor(Supervisor&&) noexcept = default;
  Supervisor& operator=(Supervisor&&) = delete;

  // Puts the caller's terminal (when standard input is one) into raw mode until the supervisor is destroyed.
  Status take_terminal();
  // A further descriptor to watch, and what to do when it is readable; false: it is not to be watched any more.
  void watch(BorrowedFd fd, std::function<bool()> ready);
  void limit_time(const TimeLimit& limit) { limit_ = limit; }
  // Until the process has ended; reaps every other child on the way. The time limit begins here.
  Result<sys::ExitStatus> wait_for(container::Created process);
  // Whether the process was told to end because its time was up.
  bool timed_out() const { return timed_out_; }
  // Until `fd` has something to read or its end, or the process has ended: 0. A signal that ends a process that does
  // not handle it ends the wait: its number.
  Result<int> wait_readable(BorrowedFd fd, BorrowedFd pidfd);

 private:
  Supervisor(UniqueFd signals) : signals_(std::move(signals)) {}
  class Relay;
  Result<sys::ExitStatus> follow(const container::Created& process);
  using Moment = std::chrono::steady_clock::time_point;
  int time_left() const;
  void end_when_due(const container::Created& process);
  Status handle_signals(const container::Created& process, Relay* relay, std::optional<sys::ExitStatus>& status);

  UniqueFd signals_;
  std::optional<io::RawMode> raw_;
  std::vector<std::pair<int, std::function<bool()>>> watched_;
  std::optional<TimeLimit> limit_;
  std::optional<Moment> due_;  // of the next signal
  bool timed_out_ = false;
};

// A process with a terminal is fed from standard input, which must be one, too: from anything else its terminal could
// not be told of the end.
Status check_terminal_input();
// Size of the caller's terminal, for the first moment of a new one.
std::optional<oci::ConsoleSize> caller_terminal_size();

}  // namespace cooper::cli::coop
