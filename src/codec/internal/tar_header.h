// What the header block of tar and the records of pax headers say.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "codec/internal/tar_block.h"
#include "codec/tar.h"

namespace cooper::codec::tar {

inline constexpr std::size_t kMaxNameBytes = 4095;
inline constexpr std::size_t kMaxPaxBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxXattrBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxSparseParts = 65536;

enum class Format { kV7, kUstar, kGnu };

struct Header {
  Format format = Format::kV7;
  char type = '0';
  std::string name;
  std::string link_name;
  std::uint64_t mode = 0;
  std::int64_t uid = 0;
  std::int64_t gid = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_s = 0;
  std::uint64_t device_major = 0;
  std::uint64_t device_minor = 0;
  // GNU old sparse format.
  std::vector<SparsePart> sparse;
  bool sparse_continues = false;
  std::uint64_t real_size_bytes = 0;
};

using BlockView = std::span<const char, kBlock>;
bool is_zero_block(BlockView block);
// Errc::kCorrupt when the check sum or a number is wrong.
Result<Header> parse_header(BlockView block);
// The parts of a GNU sparse continuation block are appended; true when another one follows.
Result<bool> parse_sparse_block(BlockView block, std::vector<SparsePart>& parts);

// What pax records (and GNU long names) say about the next entry.
struct Extensions {
  std::optional<std::string> path;
  std::optional<std::string> link_path;
  std::optional<std::uint64_t> size_bytes;
  std::optional<std::int64_t> uid;
  std::optional<std::int64_t> gid;
  std::optional<std::pair<std::int64_t, std::uint32_t>> mtime;
  std::map<std::string, std::string> xattrs;
  // GNU.sparse.*
  bool sparse = false;
  unsigned sparse_major = 0;
  unsigned sparse_minor = 0;
  std::optional<std::string> sparse_name;
  std::optional<std::uint64_t> sparse_real_size;
  std::vector<SparsePart> sparse_parts;
  std::optional<std::uint64_t> pending_offset;  // 0.0: an offset waiting for its size
};
Status parse_pax(std::string_view data, Extensions& out);

// Parts in order, not overlapping, inside the file, and together as long as the stored data.
Status check_sparse(const std::vector<SparsePart>& parts, std::uint64_t real_size, std::uint64_t stored_size);

Error corrupt(std::string_view why);

}  // namespace cooper::codec::tar
