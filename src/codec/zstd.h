// zstd decompression (RFC 8878): several frames and skippable frames (zstd:chunked) included. Hides libzstd.
#pragma once

#include <memory>

#include "codec/stream.h"

namespace cooper::codec {

// The window is what the reader needs of memory. The largest that is taken by default is the library's own limit.
inline constexpr std::size_t kMaxWindowBytes = std::size_t{128} << 20;

// Errc::kCorrupt for bad or truncated data, Errc::kLimit for a window above `max_window_bytes`, a power of two.
// `compressed` must outlive the reader.
class ZstdReader final : public ByteSource {
 public:
  explicit ZstdReader(ByteSource& compressed, std::size_t max_window_bytes = kMaxWindowBytes);
  ~ZstdReader() override;
  Result<std::size_t> read(std::span<char> buffer) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cooper::codec
