// What cooper-fetch gives up before it speaks to anybody: root, new privileges, every file but those that name
// resolution, TLS and the dynamic loader read, and every system call that a client of HTTP does not make.
#pragma once

#include "base/error.h"

namespace cooper::registry {

// "nobody" and "nogroup" of every distribution.
inline constexpr unsigned kFetchUser = 65534;

// Becomes that user when it is root. The caller has one thread.
Status drop_root();
// What is left for a process to do.
enum class Purpose {
  kTransfer,  // speak to registries
  kCompute,   // no more than to read and write the descriptors it has
};
// Landlock (where the kernel has it) and seccomp; the caller has one thread, and those it starts later inherit it.
Status enter_sandbox(Purpose purpose);

}  // namespace cooper::registry
