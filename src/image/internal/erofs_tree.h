// Trees as erofs images: trees/<chain>.erofs/rootfs is a file. It is made by mkfs.erofs from the unpacked tree.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/internal/checked_blob.h"
#include "image/internal/file_model.h"
#include "image/store.h"
#include "image/verify.h"

namespace cooper::image {

// Makes the erofs form of the image's tree and registers `user`. The unpacked tree is the store's when it has one,
// which goes afterwards unless somebody uses it, else one that is unpacked for this alone. Errc::kUnsupported: there is
// no mkfs.erofs, or no erofs in the kernel.
Status build_erofs_tree(BorrowedFd store, const Image& image, std::string_view user, const Progress& progress);

// Detached and read-only; Errc::kCorrupt: the kernel does not take it.
Result<UniqueFd> mount_erofs_file(BorrowedFd file);

struct ErofsCheck {
  TreeState state = TreeState::kNotUnpacked;  // kNotUnpacked: there is none; kDiffers: it is not what was made
  std::string message = {};
  std::vector<PathChange> paths = {};   // that differ from what the layers say; see compare_erofs_tree()
  std::vector<std::string> users = {};  // when it differs
  struct stat directory = {};
};
// Reads all of it: against the digest that was noted when it was made. What is wrong with it is in the answer.
Result<ErofsCheck> check_erofs_tree(BorrowedFd store, const std::string& chain, const ReadStep& step);
// Of one that differs: finds the paths, or says why there are none to be named.
Status compare_erofs_tree(BorrowedFd store, const std::string& chain, const FileModel& model, const ReadStep& step,
                          ErofsCheck& found);

}  // namespace cooper::image
