// zstd decompression (RFC 8878): several frames and skippable frames (zstd:chunked) included. Hides libzstd.
#pragma once

#include <memory>

#include "codec/stream.h"

namespace cooper::codec {

// Errc::kCorrupt for bad or truncated data, Errc::kLimit for a window above 128 MiB (the format's own default limit).
// `compressed` must outlive the reader.
class ZstdReader final : public ByteSource {
 public:
  explicit ZstdReader(ByteSource& compressed);
  ~ZstdReader() override;
  Result<std::size_t> read(std::span<char> buffer) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cooper::codec
