// bzip2 decompression, several streams in a row included. Hides libbz2.
#pragma once

#include <memory>

#include "codec/stream.h"

namespace cooper::codec {

// Errc::kCorrupt for bad data, a wrong check sum, a truncated stream or bytes after the last stream. `compressed` must
// outlive the reader. About 4 MiB of memory.
class Bzip2Reader final : public ByteSource {
 public:
  explicit Bzip2Reader(ByteSource& compressed);
  ~Bzip2Reader() override;
  Result<std::size_t> read(std::span<char> buffer) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cooper::codec
