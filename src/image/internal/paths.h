// The only functions that build paths inside the store; the drawing is in store.h. All are relative to the store
// directory.
//
//   refs/images/<alg>:<hex>   one image: JSON record, named by the image id
//   refs/names/<name>         one name: JSON record; '/' is written '+', which no name holds
//   refs/listing              a copy of all records (listing.h); may be missing or old at any time
//   locks/store               exclusive: whoever changes refs/, or makes blobs and trees appear or go
//   locks/trees               shared: registering a user of a tree; exclusive: taking trees away
//   locks/unpack-<chain>      exclusive: unpacking that tree
//   tmp/<random>/             one job; the directory itself is locked by the process that works in it
//   web/<hex>                 where an image of the web came from (origins.h); named by the address's SHA-256
//   partial/<alg>-<hex>       what interrupted pulls have got of a blob (partial.h), or fetches of a file (download.h)
//   trees/<chain>.erofs/      the same tree as an erofs image: rootfs is a file; tree.json has its digest
//   trees/<chain>/orphan      empty file: no image has this tree any more, or trees/<chain>.erofs stands in for it; the
//                             last user takes it along
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"

namespace cooper::image {

inline constexpr const char* kLayoutFile = "oci-layout";
inline constexpr const char* kImagesDir = "refs/images";
inline constexpr const char* kNamesDir = "refs/names";
inline constexpr const char* kRefsDir = "refs";
inline constexpr const char* kListingFile = "refs/listing";
inline constexpr const char* kTreesDir = "trees";
inline constexpr const char* kTmpDir = "tmp";
inline constexpr const char* kPartialDir = "partial";
inline constexpr const char* kPartialNote = ".validator";  // behind the name of one, beside it
inline constexpr const char* kStoreLock = "locks/store";
inline constexpr const char* kTreesLock = "locks/trees";

inline std::string blob_dir(std::string_view algorithm) {
  return "blobs/" + std::string(algorithm);
}
inline std::string blob_path(const Digest& digest) {
  return blob_dir(digest.algorithm()) + "/" + std::string(digest.hex());
}
inline std::string partial_path(const Digest& digest) {
  return std::string(kPartialDir) + "/" + std::string(digest.algorithm()) + "-" + std::string(digest.hex());
}
inline std::string image_record_path(const Digest& id) {
  return std::string(kImagesDir) + "/" + id.str();
}
std::string name_record_path(std::string_view name);
// The name behind a file in refs/names.
std::string name_of_record(std::string_view file_name);
inline std::string tree_path(std::string_view chain) {
  return std::string(kTreesDir) + "/" + std::string(chain);
}
// Name of the tree's form as an erofs image.
inline std::string erofs_tree(std::string_view chain) {
  return std::string(chain) + ".erofs";
}
// The chain of a tree in either form.
inline std::string_view chain_of_tree(std::string_view tree) {
  return tree.ends_with(".erofs") ? tree.substr(0, tree.size() - 6) : tree;
}
inline std::string tree_users_path(std::string_view chain) {
  return tree_path(chain) + "/users";
}
inline std::string tree_orphan_path(std::string_view chain) {
  return tree_path(chain) + "/orphan";
}
inline std::string unpack_lock_path(std::string_view chain) {
  return "locks/unpack-" + std::string(chain);
}

// 64 or 128 hexadecimal digits.
Status check_chain(std::string_view chain);
// [A-Za-z0-9_.-]{1,128}, not "." or "..".
Status check_tree_user(std::string_view user);

// False only when it is certainly not there: what cannot be looked at is not taken for gone.
Result<bool> is_there(BorrowedFd store, const std::string& path);

// Creates what is missing of the store and returns its descriptor.
Result<UniqueFd> open_store_directory(const std::string& dir);

}  // namespace cooper::image
