#include "image/internal/disk_file.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>

#include "image/internal/content_hash.h"
#include "sys/file.h"
#include "sys/lseek.h"
#include "sys/xattr.h"

namespace cooper::image {
namespace {

using codec::tar::EntryType;

// Labels that the host gives its files. The other names an image cannot set (tree_builder.h) speak to overlayfs, and
// are nothing a tree may have.
constexpr std::array<std::string_view, 4> kHostLabels = {"security.selinux", "security.ima", "security.evm",
                                                         "security.apparmor"};

Status read_xattrs(BorrowedFd dir, const std::string& name, FileFacts& facts) {
  ASSIGN_OR_RETURN(auto names, sys::llistxattr_at(dir, name));
  std::ranges::sort(names);
  for (const std::string& xattr : names) {
    if (std::ranges::find(kHostLabels, xattr) != kHostLabels.end()) continue;
    ASSIGN_OR_RETURN(std::string value, sys::lgetxattr_at(dir, name, xattr));
    facts.xattrs.emplace_back(xattr, std::move(value));
  }
  return {};
}

Status hash_range(BorrowedFd file, std::uint64_t from, std::uint64_t to, std::span<char> buffer, const CheckStep& step,
                  ContentHash& hash) {
  while (from < to) {
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), to - from));
    ASSIGN_OR_RETURN(const std::size_t n, sys::pread(file, buffer.first(wanted), static_cast<off_t>(from)));
    if (n == 0) return {};
    hash.update(from, {buffer.data(), n});
    from += n;
    RETURN_IF_ERROR(step(n));
  }
  return {};
}

}  // namespace

std::optional<EntryType> type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return EntryType::kFile;
    case S_IFDIR:
      return EntryType::kDirectory;
    case S_IFLNK:
      return EntryType::kSymlink;
    case S_IFCHR:
      return EntryType::kCharDevice;
    case S_IFBLK:
      return EntryType::kBlockDevice;
    case S_IFIFO:
      return EntryType::kFifo;
    default:
      return std::nullopt;
  }
}

Result<std::optional<DiskFile>> look_at(BorrowedFd dir, const std::string& name) {
  auto info = sys::fstatat(dir, name);
  if (!info.ok() && info.error().errno_value() == ENOENT) return std::optional<DiskFile>();
  if (!info.ok()) return std::move(info).error();
  const auto type = type_of(info->st_mode);
  DiskFile found{.facts = {.type = type.value_or(EntryType::kFile),
                           .mode = info->st_mode & 07777,
                           .uid = info->st_uid,
                           .gid = info->st_gid,
                           .mtime_s = info->st_mtim.tv_sec,
                           .mtime_ns = static_cast<std::uint32_t>(info->st_mtim.tv_nsec)},
                 .file = {info->st_dev, info->st_ino},
                 .is_socket = !type};
  FileFacts& facts = found.facts;
  if (facts.type == EntryType::kFile) facts.size_bytes = static_cast<std::uint64_t>(info->st_size);
  if (facts.type == EntryType::kCharDevice || facts.type == EntryType::kBlockDevice) {
    facts.device_major = major(info->st_rdev);
    facts.device_minor = minor(info->st_rdev);
  }
  if (facts.type != EntryType::kDirectory) facts.links = info->st_nlink;
  if (facts.type == EntryType::kSymlink) {
    ASSIGN_OR_RETURN(facts.text, sys::readlinkat(dir, name));
  }
  RETURN_IF_ERROR(read_xattrs(dir, name, facts));
  return std::optional(std::move(found));
}

Result<std::string> content_of(BorrowedFd dir, const std::string& name, std::span<char> buffer, const CheckStep& step) {
  // Whatever it is by now, opening it waits for nobody.
  ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  ContentHash hash;
  if (static_cast<std::uint64_t>(info.st_blocks) * 512 >= size) {
    RETURN_IF_ERROR(hash_range(file, 0, size, buffer, step, hash));
    return hash.finish();
  }
  off_t at = 0;
  while (true) {
    auto data = sys::lseek(file, at, SEEK_DATA);
    if (!data.ok() && data.error().errno_value() == ENXIO) return hash.finish();
    if (!data.ok()) return std::move(data).error();
    ASSIGN_OR_RETURN(at, sys::lseek(file, *data, SEEK_HOLE));
    RETURN_IF_ERROR(
        hash_range(file, static_cast<std::uint64_t>(*data), static_cast<std::uint64_t>(at), buffer, step, hash));
  }
}

}  // namespace cooper::image
