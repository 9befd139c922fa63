// Writes tar archives: ustar headers, a pax header in front of a name of more than 100 bytes, base-256 sizes from 8 GiB
// on, as every reader of the last twenty years takes them. Equal entries give equal bytes: owners and times of
// directory() and file() are 0 and the beginning of 1970; begin() keeps all that an entry has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "codec/stream.h"
#include "codec/tar.h"

namespace cooper::codec::tar {

class Writer {
 public:
  // `sink` must outlive the writer.
  explicit Writer(ByteSink& sink) : sink_(sink) {}

  // `path` without a slash at its end. Mode 0755.
  Status directory(const std::string& path);
  // A file of mode 0444 with exactly `size_bytes` of the source: Errc::kCorrupt when it has fewer or more.
  Status file(const std::string& path, std::uint64_t size_bytes, ByteSource& source);
  // Any entry, with its owner, time, attributes, link, device numbers and holes. A file's data follow by data(): as
  // many bytes as it has, or the parts that a sparse file names, then end_data(). Errc::kUnsupported for an attribute
  // whose name holds "=".
  Status begin(const Entry& entry);
  Status data(std::string_view bytes);
  // Errc::kCorrupt when there were fewer or more bytes than begin() said.
  Status end_data();
  // The end mark; nothing may follow.
  Status finish();

  // Bytes handed to the sink.
  std::uint64_t written() const { return written_; }

 private:
  Status put(std::string_view bytes);
  Status pad();
  Status put_records(const std::string& records);
  Status begin_plain(const std::string& path, EntryType type, std::uint32_t mode, std::uint64_t size_bytes);

  ByteSink& sink_;
  std::uint64_t written_ = 0;
  std::uint64_t expected_ = 0;  // bytes of data of the file that was begun last
};

}  // namespace cooper::codec::tar
