// Protects the runtime's executable from the containers it starts (CVE-2019-5736): a process that the runtime starts
// inside a container can reach the runtime's file through /proc/self/exe and, with root's rights and no user namespace,
// write to it.
//
// The program runs itself again from a private, detached, read-only clone of the mount its executable is on (open_tree,
// mount_setattr, execveat; kernel 5.12): writing through that mount is refused by the kernel whatever the rights, and
// nothing is copied. Then the clone becomes noexec, so that an image cannot name /proc/self/exe as its program or
// interpreter. Where these calls are not permitted, it runs from a sealed copy in memory.
//
// The clone leaves one thing to a container that gets hold of it: each vain attempt to open the file for writing makes
// the host's own execve of it fail at that instant (ETXTBSY). Containers that could get hold of it are started from a
// copy, which is another file, at the price of 1 to 2 ms: may_open_executables(), seal_executable_copy(). Where the
// host lets nobody execute memory (vm.memfd_noexec=2) they are started from the clone as well.
#pragma once

#include "base/error.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

// First thing in main, whatever the command: programs that are started from here - hooks, helpers, coop and cooper
// among them - do not see that this one was executed twice. A command that starts no process in a container may have
// been, because of one of its words (src/bin/entry.c).
void note_second_run();

// Early in main, before threads, descriptors and signal masks are set up. Returns when this process runs from a
// protected executable; does not return (the program starts again with the same arguments and environment) otherwise.
// An error means that no protection is possible; the caller must not go on to start a process in a container. argv is
// kept for seal_executable_copy().
Status seal_executable(char** argv);

// Whether the configuration lets a process open the executable of one that is about to join it: by CAP_SYS_PTRACE in
// the user namespace of the runtime (ptrace(2), access mode checks; the runtime is not dumpable).
bool grants_tracing(const oci::Config& config);
// The same for the container with its neighbours, which are not known where its PID namespace was there before it.
bool may_open_executables(const oci::Config& config);

// The same for a process that runs from the clone and now needs the copy: returns when it runs from a copy, or there
// can be none; otherwise the program starts again. Nothing may have been begun that cannot be begun twice: no input
// read, no file made.
Status seal_executable_copy();

// The descriptor that holds the clone; -1: there is none. Who closes it last waits for the kernel to put the mount away
// (50 us and more); the executable stays what it is, because the process runs from it.
int sealed_clone();
// Closes it: a good moment is one in which the caller waits for another process anyway, which has closed its own.
void let_go_of_executable();

}  // namespace cooper::container
