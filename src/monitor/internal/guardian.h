// The monitor's parent: sleeps until the monitor has ended, and finishes the pod when the monitor could not.
#pragma once

#include <sys/types.h>

#include "base/fd.h"
#include "monitor/internal/backend.h"
#include "monitor/internal/board.h"
#include "monitor/monitor.h"

namespace cooper::monitor::internal {

// Reaps whatever becomes the caller's child (it is the subreaper of the pod) until `monitor` has ended, then cleans up
// what the board says is left: processes, missing exit records, containers, cgroup, run directory, on_finish, lock.
// `sync` gets the failure when the caller of launch() still waits.
void guard(PodSpec spec, pid_t monitor, Board& board, UniqueFd sync, Backend& backend);

}  // namespace cooper::monitor::internal
