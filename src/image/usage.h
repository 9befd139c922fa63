// What the store holds and what it costs on the disk; see Store::usage() and Store::layer_sizes().
#pragma once

#include <cstdint>

#include "base/ids.h"

namespace cooper::image {

struct LayerSize {
  Digest digest;  // of the bytes as they are stored
  Digest diff_id;
  std::uint64_t stored_bytes = 0;
  std::uint64_t size_bytes = 0;  // uncompressed
};

// Bytes are those of the blocks on the disk, as gc() counts what it has freed.
struct StoreUsage {
  struct Amount {
    std::uint64_t count = 0;
    std::uint64_t in_use = 0;
    std::uint64_t bytes = 0;
    std::uint64_t reclaimable_bytes = 0;  // what gc() would free now
  };
  Amount images;        // in_use: containers have their trees; bytes: of all below
  Amount unique_blobs;  // of one image
  Amount shared_blobs;  // of several
  Amount stray_blobs;   // of none
  Amount trees;
  Amount unfinished;  // in_use: somebody works there
};

}  // namespace cooper::image
