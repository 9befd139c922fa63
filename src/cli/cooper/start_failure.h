// Exit status of `run` and `exec` when the command could not be started, as a shell has it.
#pragma once

#include "base/error.h"

namespace cooper::cli {

// 127: the program was not found; 126: it is there and cannot be executed; 125: everything else.
int start_failure_status(const Error& error);

}  // namespace cooper::cli
