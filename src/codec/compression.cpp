#include "codec/compression.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "codec/bzip2.h"
#include "codec/gzip.h"
#include "codec/xz.h"
#include "codec/zstd.h"

namespace cooper::codec {
namespace {

struct Magic {
  std::string_view bytes;
  Compression compression;
};
constexpr std::array<Magic, 5> kMagics = {{
    {std::string_view("\x1f\x8b", 2), Compression::kGzip},
    {std::string_view("\x28\xb5\x2f\xfd", 4), Compression::kZstd},
    {std::string_view("BZh", 3), Compression::kBzip2},
    {std::string_view("\xfd"
                      "7zXZ\0",
                      6),
     Compression::kXz},
    {std::string_view("\x04\x22\x4d\x18", 4), Compression::kLz4},
}};

bool is_accepted(Compression compression, Accept accept) {
  switch (compression) {
    case Compression::kNone:
    case Compression::kGzip:
    case Compression::kZstd:
      return true;
    case Compression::kBzip2:
    case Compression::kXz:
      return accept == Accept::kArchives;
    case Compression::kLz4:
      return false;
  }
  return false;
}

struct Head {
  std::string bytes;
  Compression compression;
};

Result<Head> read_head(ByteSource& input, Accept accept) {
  std::string head(kSniffBytes, '\0');
  ASSIGN_OR_RETURN(const std::size_t n, read_full(input, head));
  head.resize(n);
  const Compression compression = sniff(head);
  if (is_accepted(compression, accept)) return Head{std::move(head), compression};
  return Error(Errc::kUnsupported, std::string(to_string(compression)) + " compression is not supported")
      .with_hint("recompress with gzip or zstd");
}

}  // namespace

std::string_view to_string(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "none";
    case Compression::kGzip:
      return "gzip";
    case Compression::kZstd:
      return "zstd";
    case Compression::kBzip2:
      return "bzip2";
    case Compression::kXz:
      return "xz";
    case Compression::kLz4:
      return "lz4";
  }
  return "unknown";
}

Compression sniff(std::string_view head) {
  if (head.size() >= 262 && head.substr(257, 5) == "ustar") return Compression::kNone;
  for (const Magic& magic : kMagics) {
    if (head.starts_with(magic.bytes)) return magic.compression;
  }
  // A zstd stream may open with a skippable frame: 0x184D2A50 to 0x184D2A5F, little-endian.
  if (head.size() >= 4 && (static_cast<unsigned char>(head[0]) & 0xf0) == 0x50 && head.substr(1, 3) == "\x2a\x4d\x18") {
    return Compression::kZstd;
  }
  return Compression::kNone;
}

Result<std::size_t> Decompressor::Rewound::read(std::span<char> buffer) {
  if (at_ == head_.size()) return rest_.read(buffer);
  const std::size_t n = std::min(buffer.size(), head_.size() - at_);
  std::memcpy(buffer.data(), head_.data() + at_, n);
  at_ += n;
  return n;
}

Decompressor::Decompressor(Compression compression, std::string head, ByteSource& input, std::size_t max_window_bytes,
                           const MakeGzipReader& make_gzip_reader)
    : compression_(compression), rewound_(std::move(head), input) {
  if (compression_ == Compression::kGzip) {
    if (make_gzip_reader) inner_ = make_gzip_reader(rewound_);
    if (!inner_) inner_ = std::make_unique<GzipReader>(rewound_);
  }
  if (compression_ == Compression::kZstd) inner_ = std::make_unique<ZstdReader>(rewound_, max_window_bytes);
  if (compression_ == Compression::kBzip2) inner_ = std::make_unique<Bzip2Reader>(rewound_);
  if (compression_ == Compression::kXz) inner_ = std::make_unique<XzReader>(rewound_);
}

Result<std::unique_ptr<Decompressor>> Decompressor::create(ByteSource& input, Accept accept,
                                                           std::size_t max_window_bytes,
                                                           const MakeGzipReader& make_gzip_reader) {
  ASSIGN_OR_RETURN(Head head, read_head(input, accept));
  // Not make_unique: the constructor is private, and the object must not move (inner_ refers to rewound_).
  return std::unique_ptr<Decompressor>(new Decompressor(head.compression, std::move(head.bytes), input,
                                                        max_window_bytes,
                                                        make_gzip_reader));  // ban-ok(new): private constructor
}

Result<std::unique_ptr<Decompressor>> Decompressor::for_layer(ByteSource& input) {
  ASSIGN_OR_RETURN(Head head, read_head(input, Accept::kArchives));
  if (is_accepted(head.compression, Accept::kLayers)) head.compression = Compression::kNone;
  return std::unique_ptr<Decompressor>(new Decompressor(head.compression, std::move(head.bytes), input, kMaxWindowBytes,
                                                        {}));  // ban-ok(new): private constructor
}

Result<std::size_t> Decompressor::read(std::span<char> buffer) {
  return inner_ ? inner_->read(buffer) : rewound_.read(buffer);
}

}  // namespace cooper::codec
