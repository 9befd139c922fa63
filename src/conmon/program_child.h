// Programs that the monitor starts: the runtime, and the exit command.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::conmon {

struct Program {
  std::vector<std::string> argv;  // argv[0] is a path, or a name to look for in PATH
  std::vector<std::string> env;
  BorrowedFd in{-1}, out{-1}, err{-1};  // -1: /dev/null
  bool keeps_stdio = false;             // ours instead
  bool dies_with_us = false;
  bool replaces_listen_pid = false;  // an entry LISTEN_PID= of env gets the process number of the program
  std::string oom_score_adj;         // as /proc/PID/oom_score_adj takes it; empty: inherited
};
// A child with default signal actions and an empty signal mask; the caller reaps it. Descriptors that are not
// close-on-exec are inherited. Who cannot be executed ends with 127 and says so on its standard error.
Result<pid_t> start_program(const Program& program);

}  // namespace cooper::conmon
