// xz decompression, several streams in a row and the padding between them included. Hides liblzma.
#pragma once

#include <memory>

#include "codec/stream.h"

namespace cooper::codec {

// Errc::kCorrupt for bad data, a wrong check sum, a truncated stream or bytes after the last stream; Errc::kLimit for a
// stream that needs more than 128 MiB of memory (xz -9 needs 65). `compressed` must outlive the reader.
class XzReader final : public ByteSource {
 public:
  explicit XzReader(ByteSource& compressed);
  ~XzReader() override;
  Result<std::size_t> read(std::span<char> buffer) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cooper::codec
