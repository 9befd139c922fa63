// House-keeping of the two long-lived processes: descriptors, signals, name, memory.
#pragma once

#include <signal.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::monitor {

enum class StdError { kNull, kKeep };
// Standard input and output (and error) on /dev/null; kKeep leaves a standard error that is open.
Status null_stdio(StdError error);
// Closes every descriptor but 0, 1, 2 and those listed.
Status close_all_but(std::vector<int> keep);
// Moves the descriptor to 3 or above when the caller was started with closed standard streams.
Status move_above_stdio(UniqueFd& fd);

// All dispositions default, nothing blocked; SIGPIPE and SIGXFSZ get an empty handler (which an exec resets, unlike
// SIG_IGN).
void reset_signals();
void block_all_signals();
// The end of the monitor's set-up: blocks the signals that mean "stop" and returns a signalfd for them.
Result<UniqueFd> stop_signal_fd();

// comm and command line as `ps` shows them.
void set_process_name(const std::string& comm, const std::string& title);
// Hard to kill when memory is short, where the kernel allows it (CAP_SYS_RESOURCE); children made later inherit it.
void protect_from_oom_killer();
// Tunes the allocator for a long-lived process that is mostly idle; call before the first big allocation.
void prepare_allocator();
// Gives freed memory back to the kernel, and unmaps code and constants, which nobody else may have mapped; those in use
// come back at once.
void trim_memory();

}  // namespace cooper::monitor
