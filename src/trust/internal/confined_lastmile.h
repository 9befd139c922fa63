// A helper program that is to read what strangers wrote: from the clone to the exec.
#pragma once

#include <linux/filter.h>

#include <cstddef>
#include <cstdint>

namespace cooper::trust {

// All made by the parent; descriptors are close-on-exec and above the numbers they shall have.
struct ConfinedStart {
  const char* program = nullptr;
  char* const* args = nullptr;
  char* const* env = nullptr;
  const int* descriptors = nullptr;  // number i there
  int descriptor_count = 0;
  int report = -1;    // a pipe that is told errno when it goes wrong; its end means that it did not
  int landlock = -1;  // a ruleset, or -1
  const struct sock_filter* filter = nullptr;
  unsigned short filter_count = 0;
  std::uint32_t filter_flags = 0;
  bool drop_root = false;
  unsigned long cpu_s = 0;
  unsigned long memory_bytes = 0;
};

// Zone X.
[[noreturn]] void start_confined(const ConfinedStart& start);

}  // namespace cooper::trust
