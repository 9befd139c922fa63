// What programs of ours that handle the bytes of strangers give up before they do: root, new privileges, every file but
// those that their work needs, and every system call that it does not make.
#pragma once

#include "base/error.h"

namespace cooper::confine {

// "nobody" and "nogroup" of every distribution.
inline constexpr unsigned kNobody = 65534;

// Becomes that user when it is root, leaves no core, and ends with the thread that has started it. Root of a user
// namespace without that user only gives up its capabilities. The caller has one thread.
Status drop_root();
// What is left for a process to do.
enum class Purpose {
  kTransfer,  // speak to registries
  kCompute,   // no more than to read and write the descriptors it has
};
// Landlock (where the kernel has it) and seccomp; the caller has one thread, and those it starts later inherit it.
Status enter_sandbox(Purpose purpose);

}  // namespace cooper::confine
