// Runs gpgv, confined, and collects what it writes.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::trust {

struct ConfinedRun {
  std::string program;            // absolute
  std::vector<std::string> args;  // without the program's own name
  // 0: input, 1: output (collected), 2: nothing, 3: status (collected), 4: signature, 5: keys
  BorrowedFd input{-1}, signature{-1}, keys{-1};  // input: not valid: empty
  std::size_t max_output_bytes = 0;
  std::size_t max_status_bytes = 0;
  unsigned time_limit_s = 0;
  BorrowedFd cancel{-1};
};

struct ConfinedOutcome {
  std::string output;
  std::string status;
  int exit_code = 0;  // of a program that was not killed
};

// Errc::kTimeout, kLimit (it wrote more than is taken), kCancelled, kSystem (a signal ended it). Nothing of it is left
// when this returns.
Result<ConfinedOutcome> run_confined(const ConfinedRun& run);

}  // namespace cooper::trust
