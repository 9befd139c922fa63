// See image/verify.h.
#pragma once

#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/verify.h"

namespace cooper::image {

Result<std::vector<VerifiedImage>> verify_images(BorrowedFd store, const VerifyOptions& options);
Result<std::vector<PathChange>> diff_images(BorrowedFd store, const Image& before, const Image& after,
                                            const ReadWatch& watch);

}  // namespace cooper::image
