// Trees as erofs images: trees/<chain>.erofs/rootfs is a file. It is made by mkfs.erofs from the unpacked tree.
#pragma once

#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "image/store.h"

namespace cooper::image {

// Makes the erofs form of the image's tree and registers `user`. The unpacked tree is the store's when it has one,
// which goes afterwards unless somebody uses it, else one that is unpacked for this alone. Errc::kUnsupported: there is
// no mkfs.erofs, or no erofs in the kernel.
Status build_erofs_tree(BorrowedFd store, const Image& image, std::string_view user);

}  // namespace cooper::image
