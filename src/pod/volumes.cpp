#include "pod/volumes.h"

#include <algorithm>

#include "base/strings.h"
#include "pod/copy_tree.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

constexpr int kReadDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr int kMaxDepth = 512;

bool has_word(const stage1::Volume& volume, std::string_view word) {
  return std::find(volume.options.begin(), volume.options.end(), word) != volume.options.end();
}

Status chown_below(BorrowedFd dir, dev_t device, std::uint32_t uid, std::uint32_t gid, int depth) {
  if (depth > kMaxDepth) return Error(Errc::kLimit, "directories are nested too deeply");
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(dir));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(dir, name));
    if (info.st_dev != device) continue;
    if (S_ISDIR(info.st_mode)) {
      ASSIGN_OR_RETURN(const UniqueFd child, sys::openat(dir, name, kReadDirectory));
      RETURN_IF_ERROR(chown_below(child, device, uid, gid, depth + 1));
    }
    if (info.st_uid == uid && info.st_gid == gid) continue;
    RETURN_IF_ERROR(sys::fchownat(dir, name, uid, gid));
  }
  return {};
}

// What the image has in place of the volume; invalid when it has no directory there.
Result<UniqueFd> image_directory(const io::RootDir& tree, const std::string& path) {
  auto opened = tree.open_at(path, O_RDONLY | O_DIRECTORY);
  if (opened.ok()) return opened;
  const int e = opened.error().errno_value();
  if (e == ENOENT || e == ENOTDIR) return UniqueFd();
  return std::move(opened).error();
}

}  // namespace

Status make_volume(BorrowedFd volumes, const stage1::Volume& volume, const io::RootDir& tree,
                   const stage1::IdMaps& maps) {
  RETURN_IF_ERROR(sys::mkdirat(volumes, volume.pod_volume, 0755));
  if (!maps.empty()) {
    ASSIGN_OR_RETURN(const Owner root, map_owner({0, 0}, maps));
    RETURN_IF_ERROR(sys::fchownat(volumes, volume.pod_volume, root.uid, root.gid));
  }
  if (has_word(volume, "nocopy")) return {};
  ASSIGN_OR_RETURN(const UniqueFd source, image_directory(tree, volume.destination));
  if (!source) return {};
  ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(volumes, volume.pod_volume, kReadDirectory));
  Status copied = copy_directory(source, target, maps);
  if (!copied.ok()) return std::move(copied).error().with("fill the volume on " + quoted(volume.destination));
  return {};
}

Status give_to_user(const std::string& path, std::uint32_t uid, std::uint32_t gid) {
  ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(sys::kCwd, path, 0));
  if (S_ISDIR(info.st_mode)) {
    ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY));
    RETURN_IF_ERROR(chown_below(dir, info.st_dev, uid, gid, 0));
    return sys::fchown(dir, uid, gid);
  }
  ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(sys::kCwd, path, O_PATH));
  return sys::fchown(file, uid, gid);
}

}  // namespace cooper::pod
