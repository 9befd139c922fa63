// Looking at the whole store; see image/usage.h.
#pragma once

#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/store.h"
#include "image/usage.h"

namespace cooper::image {

// Nothing is locked: what others add or take away meanwhile may count or not.
Result<StoreUsage> usage_of(BorrowedFd store);
// Layers whose uncompressed size is not recorded are read for it.
Result<std::vector<LayerSize>> layer_sizes_of(BorrowedFd store, const Image& image);

}  // namespace cooper::image
