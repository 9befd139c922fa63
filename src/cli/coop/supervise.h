// The foreground of run and exec: signals go to the container's process, its terminal to the caller's, its exit status
// is the program's.
#pragma once

#include <signal.h>

#include <functional>
#include <optional>

#include "base/error.h"
#include "base/fd.h"
#include "container/container.h"
#include "io/tty.h"
#include "sys/process.h"

namespace cooper::cli::coop {

// Blocks every signal from construction on and collects them, so that none is lost between the start of the process and
// its supervision.
class Supervisor {
 public:
  static Result<Supervisor> create();
  Supervisor(Supervisor&&) noexcept = default;
  Supervisor& operator=(Supervisor&&) = delete;

  // Puts the caller's terminal (when standard input is one) into raw mode until the supervisor is destroyed.
  Status take_terminal();
  // A further descriptor to watch, and what to do when it is readable.
  void watch(BorrowedFd fd, std::function<void()> ready);
  // Until the process has ended; reaps every other child on the way.
  Result<sys::ExitStatus> wait_for(container::Created process);

 private:
  Supervisor(UniqueFd signals) : signals_(std::move(signals)) {}
  class Relay;
  Result<sys::ExitStatus> follow(const container::Created& process);
  Status handle_signals(const container::Created& process, Relay* relay, std::optional<sys::ExitStatus>& status);

  UniqueFd signals_;
  std::optional<io::RawMode> raw_;
  int watched_ = -1;
  std::function<void()> ready_;
};

// A process with a terminal is fed from standard input, which must be one, too: from anything else its terminal could
// not be told of the end.
Status check_terminal_input();
// Size of the caller's terminal, for the first moment of a new one.
std::optional<oci::ConsoleSize> caller_terminal_size();

}  // namespace cooper::cli::coop
