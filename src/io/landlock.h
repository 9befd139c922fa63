// Landlock (kernel 5.13) for programs of ours that read what strangers wrote: nothing is written, and nothing is read
// but what is named here.
#pragma once

#include <optional>
#include <span>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::io {

struct Readable {
  // Files, or directories with all below; what does not exist is passed over.
  std::span<const char* const> read;
  std::span<const char* const> execute = {};  // and read
  bool connect = false;                       // TCP to anywhere
};
// A ruleset for landlock_restrict_self(2); none where the kernel lacks Landlock. As far as the kernel knows them, TCP,
// abstract sockets and signals to others are refused as well.
Result<std::optional<UniqueFd>> reading_only(const Readable& allowed);

}  // namespace cooper::io
