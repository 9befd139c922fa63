/* What the beginning of a program (src/bin/entry.c) tells the rest of it (seal_exe.h) about the descriptor of its
 * executable's clone, which is at least kCooperSealedLowestFd. C and C++. */
#pragma once

/* In the environment of a second run: the number of the descriptor. */
#define COOPER_SEALED_MARKER "_COOPER_SEALED="
enum { kCooperSealedLowestFd = 700 }; /* out of the way of descriptors that callers pass by number */

/* Of a process that runs from the clone without having been executed again: the descriptor; -1 otherwise. */
#ifdef __cplusplus
extern "C" {
#endif
extern int cooper_executable_clone __attribute__((visibility("hidden")));
#ifdef __cplusplus
}
#endif
