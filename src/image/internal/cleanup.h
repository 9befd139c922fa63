// Removing images, and what no image needs any more. Callers hold locks/store exclusively.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "image/store.h"

namespace cooper::image {

// Removes those of the blobs and trees that no image record refers to; trees with users become orphans instead.
// Returns the bytes freed.
Result<std::uint64_t> remove_unreferenced(BorrowedFd store, const std::vector<Digest>& blobs,
                                          const std::vector<std::string>& trees);
// See Store::gc(); also names without an image and records nobody can read. For a dry run the lock may be shared.
Result<Store::Collected> sweep(BorrowedFd store, const GcOptions& options);
// All blobs there are.
Result<std::vector<Digest>> all_blobs(BorrowedFd store);
// All blobs an image consists of.
std::vector<Digest> blobs_of(const Image& image);

}  // namespace cooper::image
