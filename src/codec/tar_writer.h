// Writes tar archives: ustar headers, a pax header in front of a name of more than 100 bytes, base-256 sizes from 8 GiB
// on, as every reader of the last twenty years takes them. Equal entries give equal bytes: owners are 0 and times are
// the beginning of 1970.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "codec/stream.h"

namespace cooper::codec::tar {

class Writer {
 public:
  // `sink` must outlive the writer.
  explicit Writer(ByteSink& sink) : sink_(sink) {}

  // `path` without a slash at its end. Mode 0755.
  Status directory(const std::string& path);
  // A file of mode 0444 with exactly `size_bytes` of the source: Errc::kCorrupt when it has fewer or more.
  Status file(const std::string& path, std::uint64_t size_bytes, ByteSource& source);
  // The end mark; nothing may follow.
  Status finish();

  // Bytes handed to the sink.
  std::uint64_t written() const { return written_; }

 private:
  Status put(std::string_view bytes);
  Status pad();
  Status header(const std::string& path, char type, std::uint32_t mode, std::uint64_t size_bytes);
  Status put_block(std::string_view name, char type, std::uint32_t mode, std::uint64_t size_bytes);

  ByteSink& sink_;
  std::uint64_t written_ = 0;
};

}  // namespace cooper::codec::tar
