#include "pod/copy_tree.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "base/strings.h"
#include "pod/shifted_attribute.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/copy.h"
#include "sys/file.h"
#include "sys/lseek.h"

namespace cooper::pod {
namespace {

constexpr int kReadDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr int kMaxDepth = 512;

// What calls say that cannot be used with these two files.
bool is_unable(const Error& error) {
  const int number = error.errno_value();
  return number == EOPNOTSUPP || number == EXDEV || number == EINVAL || number == ENOTTY || number == ENOSYS;
}

Status copy_bytes(BorrowedFd from, BorrowedFd to, std::size_t size) {
  std::array<char, 65536> buffer;
  while (size > 0) {
    ASSIGN_OR_RETURN(const std::size_t n, sys::read(from, std::span(buffer).first(std::min(size, buffer.size()))));
    if (n == 0) return {};
    RETURN_IF_ERROR(sys::write_all(to, std::string_view(buffer.data(), n)));
    size -= n;
  }
  return {};
}

// Attributes that the target file system does not take (security.selinux without SELinux) are left out.
Status copy_xattrs(BorrowedFd from, BorrowedFd to, const stage1::IdMaps& maps) {
  ASSIGN_OR_RETURN(const auto names, sys::flistxattr(from));
  for (const std::string& name : names) {
    if (name.starts_with("trusted.overlay.")) continue;
    ASSIGN_OR_RETURN(std::string value, sys::fgetxattr(from, name));
    const auto shifted = shift_attribute(name, std::move(value), maps);
    if (!shifted) continue;
    Status set = sys::fsetxattr(to, name, *shifted);
    if (!set.ok() && set.error().errno_value() != ENOTSUP) return set;
  }
  return {};
}

// Owner before mode: chown clears the setuid bits.
Status copy_attributes(BorrowedFd from, BorrowedFd to, const struct stat& info, const stage1::IdMaps& maps) {
  ASSIGN_OR_RETURN(const Owner owner, map_owner({info.st_uid, info.st_gid}, maps));
  RETURN_IF_ERROR(sys::fchown(to, owner.uid, owner.gid));
  RETURN_IF_ERROR(sys::fchmod(to, info.st_mode & 07777));
  RETURN_IF_ERROR(copy_xattrs(from, to, maps));
  return sys::futimens(to, {info.st_atim, info.st_mtim});
}

class Copier {
 public:
  Copier(BorrowedFd root, const stage1::IdMaps& maps) : root_(root), maps_(maps) {}

  Status directory(BorrowedFd from, BorrowedFd to, const std::string& path, int depth) {
    if (depth > kMaxDepth) return Error(Errc::kLimit, "directories are nested too deeply");
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(from));
    ASSIGN_OR_RETURN(const auto names, sys::list_directory(from));
    for (const std::string& name : names) RETURN_IF_ERROR(entry(from, to, name, path + name, depth));
    return copy_attributes(from, to, info, maps_);
  }

 private:
  Status entry(BorrowedFd from, BorrowedFd to, const std::string& name, const std::string& path, int depth) {
    auto info = sys::fstatat(from, name);
    if (info.ok() && S_ISDIR(info->st_mode)) return subdirectory(from, to, name, path, depth);
    Status copied = info.ok() ? leaf(from, to, name, path, *info) : Status(std::move(info).error());
    if (!copied.ok()) return std::move(copied).error().with("copy " + quoted(path));
    return {};
  }

  Status subdirectory(BorrowedFd from, BorrowedFd to, const std::string& name, const std::string& path, int depth) {
    ASSIGN_OR_RETURN(const UniqueFd source, sys::openat(from, name, kReadDirectory));
    RETURN_IF_ERROR(sys::mkdirat(to, name, 0700));
    ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(to, name, kReadDirectory));
    return directory(source, target, path + "/", depth + 1);
  }

  Status leaf(BorrowedFd from, BorrowedFd to, const std::string& name, const std::string& path,
              const struct stat& info) {
    if (info.st_nlink > 1) {
      const auto [seen, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, path);
      if (!is_new) return sys::linkat(root_, seen->second, to, name);
    }
    switch (info.st_mode & S_IFMT) {
      case S_IFREG:
        return regular(from, to, name, info);
      case S_IFSOCK:
        return {};
      case S_IFLNK: {
        ASSIGN_OR_RETURN(const std::string target, sys::readlinkat(from, name));
        RETURN_IF_ERROR(sys::symlinkat(target, to, name));
        break;
      }
      default:
        RETURN_IF_ERROR(sys::mknodat(to, name, info.st_mode & (S_IFMT | 07777), info.st_rdev));
        break;
    }
    ASSIGN_OR_RETURN(const Owner owner, map_owner({info.st_uid, info.st_gid}, maps_));
    RETURN_IF_ERROR(sys::fchownat(to, name, owner.uid, owner.gid));
    if (!S_ISLNK(info.st_mode)) RETURN_IF_ERROR(sys::fchmodat(to, name, info.st_mode & 07777));
    return sys::utimensat(to, name, {info.st_atim, info.st_mtim}, AT_SYMLINK_NOFOLLOW);
  }

  Status regular(BorrowedFd from, BorrowedFd to, const std::string& name, const struct stat& info) {
    ASSIGN_OR_RETURN(const UniqueFd source, sys::openat(from, name, O_RDONLY | O_NOFOLLOW));
    ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    if (info.st_size > 0) RETURN_IF_ERROR(content(source, target, info.st_size));
    return copy_attributes(source, target, info, maps_);
  }

  Status content(BorrowedFd from, BorrowedFd to, off_t size) {
    if (can_share_) {
      Status shared = sys::ficlone(from, to);
      if (shared.ok() || !is_unable(shared.error())) return shared;
      can_share_ = false;
    }
    for (off_t at = 0; at < size;) {
      auto data = sys::lseek(from, at, SEEK_DATA);
      if (!data.ok() && data.error().errno_value() == ENXIO) break;
      if (!data.ok()) return std::move(data).error();
      ASSIGN_OR_RETURN(const off_t hole, sys::lseek(from, *data, SEEK_HOLE));
      RETURN_IF_ERROR(range(from, to, *data, hole));
      at = hole;
    }
    return sys::ftruncate(to, size);
  }

  Status range(BorrowedFd from, BorrowedFd to, off_t begin, off_t end) {
    ASSIGN_OR_RETURN(off_t at, sys::lseek(from, begin, SEEK_SET));
    RETURN_IF_ERROR(sys::lseek(to, begin, SEEK_SET));
    while (at < end) {
      const auto left = static_cast<std::size_t>(end - at);
      if (!can_copy_) return copy_bytes(from, to, left);
      auto n = sys::copy_file_range(from, to, left);
      if (!n.ok() && !is_unable(n.error())) return std::move(n).error();
      can_copy_ = n.ok() && *n > 0;
      if (can_copy_) at += static_cast<off_t>(*n);
    }
    return {};
  }

  BorrowedFd root_;
  const stage1::IdMaps& maps_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  bool can_share_ = true, can_copy_ = true;
};

}  // namespace

Status copy_directory(BorrowedFd from, BorrowedFd to, const stage1::IdMaps& maps) {
  return Copier(to, maps).directory(from, to, "", 0);
}

Result<Owner> map_owner(Owner owner, const stage1::IdMaps& maps) {
  if (maps.empty()) return owner;
  const auto uid = oci::host_id(maps.uids, owner.uid);
  const auto gid = oci::host_id(maps.gids, owner.gid);
  if (uid && gid) return Owner{*uid, *gid};
  return Error(Errc::kUnsupported, "its owner " + std::to_string(owner.uid) + ":" + std::to_string(owner.gid) +
                                       " is not in the pod's user namespace")
      .with_hint("give it more ids: --userns auto:size=NUMBER, or other maps");
}

}  // namespace cooper::pod
