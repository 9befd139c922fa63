// Loading images into the store, and sending them to a registry; see store.h.
#pragma once

#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/store.h"

namespace cooper::image {

Result<std::vector<Image>> load_images(BorrowedFd store, const LoadOptions& options);
Result<PullResult> pull_image(BorrowedFd store, const PullOptions& options, const StartFetch& start);
Result<PushResult> push_image(BorrowedFd store, const PushOptions& options, const StartFetch& start);
Result<Image> import_rootfs(BorrowedFd store, const ImportOptions& options);
Result<Image> build_image(BorrowedFd store, const BuildOptions& options);

// Unpacks the tree of a stored image and registers `user`.
Status unpack_stored_tree(BorrowedFd store, const Image& image, std::string_view user, const Progress& progress);
// Unpacks a stored image into an empty directory. Errc::kCancelled when `cancel` is readable.
Status unpack_stored_image(BorrowedFd store, const Image& image, BorrowedFd directory, const Progress& progress,
                           BorrowedFd cancel = BorrowedFd(-1));

// What a failure with the bytes of a stored image is told as: with the image, and what to do about it. What is damaged
// and what is missing is Errc::kCorrupt.
Error reload_hint(Error error, const Image& image);

// Documents of a stored image, digest checked.
Result<std::string> read_stored_document(BorrowedFd store, const Digest& digest, std::string_view what);

}  // namespace cooper::image
