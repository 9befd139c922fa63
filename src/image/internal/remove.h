// See Store::remove_all(). The caller holds locks/store exclusively.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/store.h"

namespace cooper::image {

Result<std::vector<Result<RemoveResult>>> remove_images(BorrowedFd store, std::span<const std::string> references,
                                                        bool force);

}  // namespace cooper::image
