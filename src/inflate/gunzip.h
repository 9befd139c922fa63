// gzip decompression (RFC 1952) by libisal: three times as fast as codec/gzip.h, and by hand-written assembly, so in a
// process of its own only. Hides the library.
#pragma once

#include <span>

#include "codec/stream.h"

namespace cooper::inflate {

// Memory to be filled, piece by piece.
class Pieces {
 public:
  virtual ~Pieces() = default;
  // The next piece, not empty; stays until filled().
  virtual Result<std::span<char>> room() = 0;
  // Its first bytes, at least one, are what they shall be.
  virtual Status filled(std::size_t bytes) = 0;
};

// All of the input, several members in a row included, to the output, in full pieces until the last. Errors as those of
// codec::GzipReader: Errc::kCorrupt for bad data, a wrong check sum, a truncated stream or bytes after the last member
// (zero padding is fine). About 70 KiB of memory.
Status gunzip(codec::BlockSource& input, Pieces& output);

}  // namespace cooper::inflate
