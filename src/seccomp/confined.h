// Filters for programs of ours that are confined because they handle what strangers wrote: an allow-list for this
// machine's architecture, anything else fails with EPERM. Each starts from what every program needs to run, calculate
// and read, and adds what it is for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "spec/oci_runtime/types.h"

namespace cooper::seccomp {

// Memory, threads that are there, signals to itself, time, data of open descriptors, questions about files and itself.
// No way to open a file or to make a process.
oci::Seccomp confined_profile();
void allow(oci::Seccomp& profile, std::vector<std::string> names, std::vector<oci::SeccompArg> args = {});
// Files may be opened, never for writing and never made.
void allow_opening_to_read(oci::Seccomp& profile);
// (argument & mask) == value.
oci::SeccompArg masked_argument(std::uint32_t index, std::uint64_t mask, std::uint64_t value);

}  // namespace cooper::seccomp
