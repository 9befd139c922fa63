// Singularity image files (SIF, version 1): a header, a table of descriptors, and data objects, one of which is the
// root file system. Everything is little-endian and packed. The bytes are anybody's: whatever does not fit is refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::image::sif {

inline constexpr std::size_t kHeaderBytes = 128;
inline constexpr std::size_t kDescriptorBytes = 585;
inline constexpr std::uint64_t kMaxDescriptors = 4096;  // tools make 48

bool has_magic(std::string_view start);

// Where the table of descriptors is.
struct Header {
  std::string architecture;  // as OCI writes it; empty when it is unknown
  std::uint64_t table_offset = 0;
  std::uint64_t descriptors = 0;
  std::uint64_t table_bytes() const { return descriptors * kDescriptorBytes; }
};
// From the first kHeaderBytes of a file. Errc::kCorrupt; Errc::kUnsupported for another version; Errc::kLimit.
Result<Header> parse_header(std::string_view bytes, std::uint64_t file_size);

struct Partition {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::string architecture;  // its own, else the header's
};
// The primary system partition, from the bytes of the table. Errc::kUnsupported: there is none that is a squashfs.
Result<Partition> find_system(std::string_view table, const Header& header, std::uint64_t file_size);

}  // namespace cooper::image::sif
