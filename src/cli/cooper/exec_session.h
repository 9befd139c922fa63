// The terminal of an `exec -t`, and the signals of any `exec` in the foreground. The process is our child.
#pragma once

#include <string>

#include "base/error.h"
#include "cli/cooper/relay.h"
#include "container/container.h"

namespace cooper::cli {

struct ExecSessionOptions {
  bool stdin_open = false;
  bool sig_proxy = true;
  std::string detach_keys;  // bytes; empty: none
};

struct ExecEnd {
  bool detached = false;  // the process runs on; its terminal is held open by a process of its own
  int signal = 0;         // --sig-proxy=false, and this signal came
  int exit_code = 0;
};

// created.console is the terminal's master when the process has one. `signals` is older than the process, which may
// tell of itself before we are here.
Result<ExecEnd> run_exec_session(container::Created created, const ExecSessionOptions& options, SignalInbox signals);

// Leaves a process behind that reads the terminal's output until its end, so that nobody hangs on it.
Status hold_console(UniqueFd console);

}  // namespace cooper::cli
