// Handing a seccomp listener to the agent that answers for it (linux.seccomp.listenerPath).
#pragma once

#include <sys/types.h>

#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

// The document that goes with the descriptor: ContainerProcessState of the runtime specification. `pid` is the process
// that is filtered, which for an exec is not the container's init.
std::string print_process_state(const oci::Seccomp& profile, const oci::State& state, pid_t pid);

// Connects to profile.listener_path and sends document and descriptor in one message.
Status send_listener(const oci::Seccomp& profile, const oci::State& state, pid_t pid, BorrowedFd listener);

}  // namespace cooper::container
