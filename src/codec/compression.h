// Finds out how bytes are compressed by looking at them, and undoes it.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "codec/stream.h"
#include "codec/zstd.h"

namespace cooper::codec {

enum class Compression { kNone, kGzip, kZstd, kBzip2, kXz, kLz4 };
std::string_view to_string(Compression compression);

// By magic number (that of a tar header wins: its first bytes are a file name); needs the first kSniffBytes (fewer when
// there are no more).
inline constexpr std::size_t kSniffBytes = 512;
Compression sniff(std::string_view head);

// Which compressions are undone: those that layers of OCI images have, or with bzip2 and xz those of archives.
enum class Accept { kLayers, kArchives };

// Somebody else's way to undo gzip: its plain bytes, or null when it has none and nothing of the source was read. The
// source outlives what is made.
using MakeGzipReader = std::function<std::unique_ptr<ByteSource>(ByteSource& compressed)>;

// The uncompressed bytes of a source of unknown compression.
class Decompressor final : public ByteSource {
 public:
  // Errc::kUnsupported for a compression that is not accepted, and for lz4. `input` must outlive the result.
  static Result<std::unique_ptr<Decompressor>> create(ByteSource& input, Accept accept = Accept::kLayers,
                                                      std::size_t max_window_bytes = kMaxWindowBytes,
                                                      const MakeGzipReader& make_gzip_reader = {});
  // The bytes as a layer of an OCI image may have them: bzip2 and xz are undone, what layers may be passes as it is.
  static Result<std::unique_ptr<Decompressor>> for_layer(ByteSource& input);
  Result<std::size_t> read(std::span<char> buffer) override;
  // What was undone.
  Compression compression() const { return compression_; }

 private:
  // The sniffed bytes, then the rest.
  class Rewound final : public ByteSource {
   public:
    Rewound(std::string head, ByteSource& rest) : head_(std::move(head)), rest_(rest) {}
    Result<std::size_t> read(std::span<char> buffer) override;

   private:
    std::string head_;
    std::size_t at_ = 0;
    ByteSource& rest_;
  };
  Decompressor(Compression compression, std::string head, ByteSource& input, std::size_t max_window_bytes,
               const MakeGzipReader& make_gzip_reader);

  Compression compression_;
  Rewound rewound_;
  std::unique_ptr<ByteSource> inner_;  // null: plain
};

}  // namespace cooper::codec
