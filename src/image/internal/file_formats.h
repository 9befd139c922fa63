// What the first bytes of a file say it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::image {

inline constexpr std::size_t kFormatBytes = 2048;  // of the start of a file, or less of a small one

// A file system: its type and how many bytes of the file (or of its part) it takes.
struct FoundFilesystem {
  std::string fstype;
  std::uint64_t size = 0;
};
// nullopt: neither squashfs nor erofs. Errc::kCorrupt: it needs more than `available` bytes. Errc::kUnsupported: a
// version this is not made for.
Result<std::optional<FoundFilesystem>> find_filesystem(std::string_view start, std::uint64_t available);

}  // namespace cooper::image
