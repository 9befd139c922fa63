// Reader of tar archives from untrusted sources: v7, ustar, pax (POSIX.1-2001) and GNU, with long names, sparse files
// (GNU old format; pax 0.0, 0.1 and 1.0), base-256 numbers and extended attributes (SCHILY.xattr., LIBARCHIVE.xattr.).
//
// Paths are handed out as stored: they may be absolute, hold "..", or be empty after a slash. The caller decides. Where
// archivers disagree this reader follows Go's archive/tar, which nearly every image tool uses: entries other than
// regular files have no data whatever their size field says, and global pax headers are passed over.
//
// Limits (Errc::kLimit): names and link targets 4095 bytes, all pax headers of one entry 1 MiB, one extended attribute
// 64 KiB, 65536 parts of a sparse file. Anything malformed or truncated is Errc::kCorrupt.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "codec/stream.h"

namespace cooper::codec::tar {

enum class EntryType { kFile, kHardLink, kSymlink, kCharDevice, kBlockDevice, kDirectory, kFifo };
std::string_view to_string(EntryType type);

struct SparsePart {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

struct Entry {
  EntryType type = EntryType::kFile;
  std::string path;
  std::string link_target;  // hard and symbolic links
  std::uint32_t mode = 0;   // permission bits with setuid, setgid and sticky: 07777
  std::uint32_t uid = 0;    // never 0xffffffff, which chown(2) takes for "leave it"
  std::uint32_t gid = 0;
  std::uint64_t size_bytes = 0;  // of the file, holes included
  std::int64_t mtime_s = 0;
  std::uint32_t mtime_ns = 0;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
  // The parts that have data, in order; present for sparse files only.
  std::optional<std::vector<SparsePart>> sparse;
};

// A piece of a file's data, valid until the next call to the reader. Empty bytes: the end of the file's data.
struct Chunk {
  std::uint64_t offset = 0;
  std::string_view bytes;
};

class Reader {
 public:
  // `blocks` must outlive the reader.
  explicit Reader(BlockSource& blocks);
  ~Reader();
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;

  // The next entry; what was not read of the current one is passed over. False at the end.
  Result<bool> next(Entry& entry);
  // The data of the current entry, which must be a file, in order and without gaps but holes.
  Result<Chunk> read();
  // Byte position in the archive of the data that read() would return next.
  std::uint64_t position() const;
  // True once the archive's own end mark (a zero block) was seen: without it the archive may have been cut between
  // entries.
  bool saw_end_mark() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cooper::codec::tar
