/* What the first run of a program tells the second in its environment (seal_exe.h, src/bin/coop_entry.c): the number of
 * the descriptor of its executable, which is at least kCooperSealedLowestFd. C and C++. */
#pragma once

#define COOPER_SEALED_MARKER "_COOPER_SEALED="
enum { kCooperSealedLowestFd = 700 }; /* out of the way of descriptors that callers pass by number */
