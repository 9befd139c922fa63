// One library each; see codec/compressor.h.
#pragma once

#include <memory>

#include "codec/compressor.h"

namespace cooper::codec {

// About 300 KiB of memory.
std::unique_ptr<Compressor> make_gzip_compressor(ByteSink& sink);
// About 5 MiB of memory.
std::unique_ptr<Compressor> make_zstd_compressor(ByteSink& sink);

}  // namespace cooper::codec
