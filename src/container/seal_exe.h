// Protects the runtime's executable from the containers it starts (CVE-2019-5736): a process that the runtime starts
// inside a container can reach the runtime's file through /proc/self/exe and, with root's rights and no user namespace,
// write to it.
//
// The program runs itself again from a private, detached, read-only clone of the mount its executable is on (open_tree,
// mount_setattr, execveat; kernel 5.12): writing through that mount is refused by the kernel whatever the rights, and
// nothing is copied. Where these calls are not permitted, from a sealed copy in memory. Skipped when the executable is
// on a read-only mount or sealed already.
#pragma once

#include "base/error.h"

namespace cooper::container {

// First thing in main, before threads, descriptors and signal masks are set up. Returns when this process runs from a
// protected executable; does not return (the program starts again with the same arguments and environment) otherwise.
// An error means that no protection is possible; the caller must not go on to start a process in a container.
Status seal_executable(char** argv);

}  // namespace cooper::container
