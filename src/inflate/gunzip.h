// gzip decompression (RFC 1952) by libisal: three times as fast as codec/gzip.h, and by hand-written assembly, so in a
// process of its own only. Hides the library.
#pragma once

#include "codec/stream.h"

namespace cooper::inflate {

// All of the input, several members in a row included, to the output. Errors as those of codec::GzipReader:
// Errc::kCorrupt for bad data, a wrong check sum, a truncated stream or bytes after the last member (zero padding is
// fine). About 1.1 MiB of memory.
Status gunzip(codec::ByteSource& input, codec::ByteSink& output);

}  // namespace cooper::inflate
