// Records of the addresses that images of the web came from. They are hints: one that cannot be read is as good as
// none.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "image/store.h"

namespace cooper::image {

std::string print_origin(const Origin& origin);
Result<Origin> parse_origin(std::string text);

// Nothing also when the image, or a byte of it, is not here any more.
Result<std::optional<Origin>> find_origin(BorrowedFd store, const std::string& address);
Status write_origin(BorrowedFd store, const Origin& origin);
// Removes those of images that are gone.
Status sweep_origins(BorrowedFd store);

}  // namespace cooper::image
