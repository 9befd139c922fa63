#include "pod/volumes.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/strings.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

constexpr int kReadDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr int kMaxDepth = 512;

bool has_word(const stage1::Volume& volume, std::string_view word) {
  return std::find(volume.options.begin(), volume.options.end(), word) != volume.options.end();
}

Status copy_bytes(BorrowedFd from, BorrowedFd to) {
  std::array<char, 65536> buffer;
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, sys::read(from, buffer));
    if (n == 0) return {};
    RETURN_IF_ERROR(sys::write_all(to, std::string_view(buffer.data(), n)));
  }
}

// Attributes that the target file system does not take (security.selinux without SELinux) are left out.
Status copy_xattrs(BorrowedFd from, BorrowedFd to) {
  ASSIGN_OR_RETURN(const auto names, sys::flistxattr(from));
  for (const std::string& name : names) {
    if (name.starts_with("trusted.overlay.")) continue;
    ASSIGN_OR_RETURN(const std::string value, sys::fgetxattr(from, name));
    Status set = sys::fsetxattr(to, name, value);
    if (!set.ok() && set.error().errno_value() != ENOTSUP) return set;
  }
  return {};
}

// Owner before mode: chown clears the setuid bits.
Status copy_attributes(BorrowedFd from, BorrowedFd to, const struct stat& info) {
  RETURN_IF_ERROR(sys::fchown(to, info.st_uid, info.st_gid));
  RETURN_IF_ERROR(sys::fchmod(to, info.st_mode & 07777));
  RETURN_IF_ERROR(copy_xattrs(from, to));
  const struct timespec times[2] = {info.st_atim, info.st_mtim};
  if (::futimens(to.get(), times) != 0) return Error::from_errno(errno, "set times");
  return {};
}

class Copier {
 public:
  explicit Copier(BorrowedFd root) : root_(root) {}

  Status directory(BorrowedFd from, BorrowedFd to, const std::string& path, int depth) {
    if (depth > kMaxDepth) return Error(Errc::kLimit, "directories are nested too deeply");
    ASSIGN_OR_RETURN(const auto names, sys::list_directory(from));
    for (const std::string& name : names) {
      Status copied = entry(from, to, name, path + name, depth);
      if (!copied.ok()) return std::move(copied).error().with("copy " + quoted(path + name));
    }
    return {};
  }

 private:
  Status entry(BorrowedFd from, BorrowedFd to, const std::string& name, const std::string& path, int depth) {
    ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(from, name));
    if (!S_ISDIR(info.st_mode) && info.st_nlink > 1) {
      const auto [seen, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, path);
      if (!is_new) return sys::linkat(root_, seen->second, to, name);
    }
    switch (info.st_mode & S_IFMT) {
      case S_IFDIR:
        return subdirectory(from, to, name, path, info, depth);
      case S_IFREG:
        return regular(from, to, name, info);
      case S_IFLNK:
        return symlink(from, to, name, info);
      case S_IFSOCK:
        return {};
      default:
        break;
    }
    RETURN_IF_ERROR(sys::mknodat(to, name, info.st_mode & (S_IFMT | 07777), info.st_rdev));
    RETURN_IF_ERROR(sys::fchownat(to, name, info.st_uid, info.st_gid));
    return sys::fchmodat(to, name, info.st_mode & 07777);
  }

  Status subdirectory(BorrowedFd from, BorrowedFd to, const std::string& name, const std::string& path,
                      const struct stat& info, int depth) {
    ASSIGN_OR_RETURN(const UniqueFd source, sys::openat(from, name, kReadDirectory));
    RETURN_IF_ERROR(sys::mkdirat(to, name, 0700));
    ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(to, name, kReadDirectory));
    RETURN_IF_ERROR(directory(source, target, path + "/", depth + 1));
    return copy_attributes(source, target, info);
  }

  Status regular(BorrowedFd from, BorrowedFd to, const std::string& name, const struct stat& info) {
    ASSIGN_OR_RETURN(const UniqueFd source, sys::openat(from, name, O_RDONLY | O_NOFOLLOW));
    ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    RETURN_IF_ERROR(copy_bytes(source, target));
    return copy_attributes(source, target, info);
  }

  Status symlink(BorrowedFd from, BorrowedFd to, const std::string& name, const struct stat& info) {
    ASSIGN_OR_RETURN(const std::string target, sys::readlinkat(from, name));
    RETURN_IF_ERROR(sys::symlinkat(target, to, name));
    return sys::fchownat(to, name, info.st_uid, info.st_gid);
  }

  BorrowedFd root_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

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

Status copy_directory(BorrowedFd from, BorrowedFd to) {
  return Copier(to).directory(from, to, "", 0);
}

Status make_volume(BorrowedFd volumes, const stage1::Volume& volume, const io::RootDir& tree) {
  RETURN_IF_ERROR(sys::mkdirat(volumes, volume.pod_volume, 0755));
  if (has_word(volume, "nocopy")) return {};
  ASSIGN_OR_RETURN(const UniqueFd source, image_directory(tree, volume.destination));
  if (!source) return {};
  ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(volumes, volume.pod_volume, kReadDirectory));
  Status copied = copy_directory(source, target);
  if (!copied.ok()) return std::move(copied).error().with("fill the volume on " + quoted(volume.destination));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(source));
  return copy_attributes(source, target, info);
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
