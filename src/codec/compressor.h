// Compression, as layers have it. Equal bytes give equal bytes, with the same version of the library: no time, no name
// and no number of threads goes in. Hides zlib and libzstd.
#pragma once

#include <memory>

#include "codec/compression.h"
#include "codec/stream.h"

namespace cooper::codec {

// Takes bytes and hands them on compressed; nothing is complete before finish(), after which nothing may be written.
class Compressor : public ByteSink {
 public:
  virtual Status finish() = 0;
};

// kNone (bytes as they are), kGzip or kZstd; Errc::kUnsupported for another. `sink` must outlive the result.
Result<std::unique_ptr<Compressor>> make_compressor(Compression compression, ByteSink& sink);

}  // namespace cooper::codec
