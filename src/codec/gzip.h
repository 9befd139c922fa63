// gzip decompression (RFC 1952), several members in a row included. Hides zlib.
#pragma once

#include <memory>

#include "codec/stream.h"

namespace cooper::codec {

// Errc::kCorrupt for bad data, a wrong check sum, a truncated stream or bytes after the last member (zero padding is
// fine). `compressed` must outlive the reader. About 300 KiB of memory.
class GzipReader final : public ByteSource {
 public:
  explicit GzipReader(ByteSource& compressed);
  ~GzipReader() override;
  Result<std::size_t> read(std::span<char> buffer) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cooper::codec
