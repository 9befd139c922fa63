// What an app's root file system is made of. Three backends, one interface: a base that can be read, and a directory of
// the pod that is prepared for the mount.
//
//   overlay   the image's files lie below, in a tree of the store or in a file; upper-<app> holds what the app writes
//   copy      upper-<app> holds all files, copied (or shared block by block) when the pod is prepared
//   erofs     as overlay, with the store's erofs image of the tree below: it is mounted, never unpacked again
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "image/backend.h"
#include "image/file_image.h"
#include "image/store.h"
#include "stage1/flavor.h"

namespace cooper::pod {

// The files of an image.
struct Base {
  std::string chain;        // of the store's tree, which is registered for the pod; empty: a file
  std::string tree_rootfs;  // absolute; empty: `image` has the files
  std::optional<io::FilesystemImage> image;
  bool own_copy = false;  // the app gets a copy of them
  UniqueFd dir;           // O_PATH of the root, mounted only here when it lies in a file
};
// Of an image of the store. Its tree is registered for `user`, and named in `registered` whether or not the rest works.
Result<Base> open_base(image::Store& store, const image::Image& image, image::Backend backend, std::string_view user,
                       std::set<std::string>& registered);
// Of a file. It is an erofs, or as good as one, already: only a copy makes a difference.
Result<Base> open_base(const image::FileImage& file, image::Backend backend);
// What the flavor needs to know of it.
void use_base(const Base& base, stage1::App& app);

// Makes the app's directories, and its copy of the files. What the container sees as "/" gets the owner and mode of the
// base's, mapped.
Status make_root(BorrowedFd pod_dir, const stage1::App& app, BorrowedFd base, const stage1::IdMaps& maps);

}  // namespace cooper::pod
