#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "image/internal/compare.h"
#include "image/internal/content_hash.h"
#include "image/internal/layer_path.h"
#include "image/internal/tree_builder.h"
#include "sys/file.h"
#include "sys/lseek.h"
#include "sys/xattr.h"

namespace cooper::image {
namespace {

using codec::tar::EntryType;
using Kind = PathChange::Kind;

constexpr std::size_t kReadBytes = std::size_t{256} << 10;
// Labels that the host gives its files. The other names an image cannot set (tree_builder.h) speak to overlayfs, and
// are nothing a tree may have.
constexpr std::array<std::string_view, 4> kHostLabels = {"security.selinux", "security.ima", "security.evm",
                                                         "security.apparmor"};

constexpr const char* kAccessList = "system.posix_acl_access";

// What a disk that is failing says: a finding, not the end of the search for others.
bool is_damage(const Error& error) {
  constexpr std::array<int, 5> kDamage = {EIO, EUCLEAN, EBADMSG, ENXIO, EOVERFLOW};
  return std::ranges::find(kDamage, error.errno_value()) != kDamage.end();
}

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

// Learns by trying what the file system makes of a time or an attribute.
class Keeper {
 public:
  explicit Keeper(BorrowedFd tmp) : tmp_(tmp) {}

  // What is there is what the file system makes of what was set. False when that cannot be tried.
  bool makes_time(const FileFacts& set, const FileFacts& there) {
    if (!open()) return false;
    struct timespec times[2] = {};
    times[0] = {.tv_sec = static_cast<time_t>(set.mtime_s), .tv_nsec = static_cast<long>(set.mtime_ns)};
    times[1] = times[0];
    if (!sys::futimens(file_, times).ok()) return false;
    const auto info = sys::fstat(file_);
    return info.ok() && info->st_mtim.tv_sec == there.mtime_s && info->st_mtim.tv_nsec == long{there.mtime_ns};
  }
  bool makes_xattr(const std::string& name, const std::string& set, const std::optional<std::string>& there) {
    if (!open()) return false;
    const Status done = sys::fsetxattr(file_, name, set);
    if (!done.ok()) return !there && done.error().errno_value() == EOPNOTSUPP;
    const auto value = sys::fgetxattr(file_, name);
    // An access list that says no more than the mode is not kept.
    if (!value.ok()) return !there && value.error().errno_value() == ENODATA;
    return there && *value == *there;
  }
  // An access list sets the mode of the group.
  bool makes_mode(std::uint32_t mode, const std::string& access_list, std::uint32_t there) {
    if (!open() || !sys::fchmod(file_, mode).ok() || !sys::fsetxattr(file_, kAccessList, access_list).ok())
      return false;
    const auto info = sys::fstat(file_);
    return info.ok() && (info->st_mode & 07777) == there;
  }

 private:
  bool open() {
    if (!file_.valid()) {
      auto file = sys::openat(tmp_, ".", O_WRONLY | O_TMPFILE, 0600);
      if (file.ok()) file_ = std::move(*file);
    }
    return file_.valid();
  }
  BorrowedFd tmp_;
  UniqueFd file_;
};

class DiskWalk {
 public:
  DiskWalk(const FileModel& model, BorrowedFd tmp, const CheckStep& step)
      : model_(model), keeper_(tmp), step_(step), buffer_(kReadBytes) {}

  Result<TreeCheck> run(BorrowedFd rootfs) {
    RETURN_IF_ERROR(compare_entry("", FileModel::kRoot, rootfs, "."));
    RETURN_IF_ERROR(compare_children("", FileModel::kRoot, rootfs, 0));
    return std::move(out_);
  }

 private:
  struct Found {
    FileFacts facts;
    std::pair<dev_t, ino_t> file;
    bool is_socket = false;  // which no layer can bring
  };
  void add(Kind kind, const std::string& path, std::string_view type, std::vector<AspectChange> aspects = {}) {
    out_.changes.push_back({.kind = kind, .path = path, .type = type, .aspects = std::move(aspects)});
  }
  void add_unreadable(const std::string& path, std::string_view type, const Error& error) {
    add(Kind::kChanged, path, type, {{Aspect::kUnreadable, std::nullopt, error.message()}});
  }

  // nullopt: not there.
  static Result<std::optional<Found>> look(BorrowedFd dir, const std::string& name);
  static Status read_xattrs(BorrowedFd dir, const std::string& name, FileFacts& facts);
  Result<std::string> hash_content(BorrowedFd dir, const std::string& name);
  Status hash_range(BorrowedFd file, std::uint64_t from, std::uint64_t to, ContentHash& hash);
  Status compare_entry(const std::string& path, FileModel::Index index, BorrowedFd dir, const std::string& name);
  Status compare_children(const std::string& path, FileModel::Index index, BorrowedFd dir, std::size_t depth);
  Status compare_child(const std::string& path, FileModel::Index index, BorrowedFd dir, const std::string& name,
                       std::size_t depth);
  void add_missing(const std::string& path, FileModel::Index index);
  Status add_extra(const std::string& path, BorrowedFd dir, const std::string& name, std::size_t depth);
  // Leaves out what the file system cannot keep.
  void pass_over_lost(const FileFacts& wanted, const FileFacts& found, std::vector<AspectChange>& changes);

  const FileModel& model_;
  Keeper keeper_;
  const CheckStep& step_;
  std::vector<char> buffer_;
  LinkGroups<FileModel::Index, std::pair<dev_t, ino_t>> links_;
  TreeCheck out_;
};

Status DiskWalk::read_xattrs(BorrowedFd dir, const std::string& name, FileFacts& facts) {
  ASSIGN_OR_RETURN(auto names, sys::llistxattr_at(dir, name));
  std::ranges::sort(names);
  for (const std::string& xattr : names) {
    if (std::ranges::find(kHostLabels, xattr) != kHostLabels.end()) continue;
    ASSIGN_OR_RETURN(std::string value, sys::lgetxattr_at(dir, name, xattr));
    facts.xattrs.emplace_back(xattr, std::move(value));
  }
  return {};
}

Result<std::optional<DiskWalk::Found>> DiskWalk::look(BorrowedFd dir, const std::string& name) {
  auto info = sys::fstatat(dir, name);
  if (!info.ok() && info.error().errno_value() == ENOENT) return std::optional<Found>();
  if (!info.ok()) return std::move(info).error();
  const auto type = type_of(info->st_mode);
  Found found{.facts = {.type = type.value_or(EntryType::kFile),
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

Status DiskWalk::hash_range(BorrowedFd file, std::uint64_t from, std::uint64_t to, ContentHash& hash) {
  while (from < to) {
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), to - from));
    ASSIGN_OR_RETURN(const std::size_t n, sys::pread(file, std::span(buffer_).first(wanted), static_cast<off_t>(from)));
    if (n == 0) return {};
    hash.update(from, {buffer_.data(), n});
    from += n;
    RETURN_IF_ERROR(step_(n));
  }
  return {};
}

Result<std::string> DiskWalk::hash_content(BorrowedFd dir, const std::string& name) {
  // Whatever it is by now, opening it waits for nobody.
  ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  ContentHash hash;
  if (static_cast<std::uint64_t>(info.st_blocks) * 512 >= size) {
    RETURN_IF_ERROR(hash_range(file, 0, size, hash));
    return hash.finish();
  }
  off_t at = 0;
  while (true) {
    auto data = sys::lseek(file, at, SEEK_DATA);
    if (!data.ok() && data.error().errno_value() == ENXIO) return hash.finish();
    if (!data.ok()) return std::move(data).error();
    ASSIGN_OR_RETURN(at, sys::lseek(file, *data, SEEK_HOLE));
    RETURN_IF_ERROR(hash_range(file, static_cast<std::uint64_t>(*data), static_cast<std::uint64_t>(at), hash));
  }
}

void DiskWalk::pass_over_lost(const FileFacts& wanted, const FileFacts& found, std::vector<AspectChange>& changes) {
  const auto value = [](const FileFacts& facts, const std::string& name) -> std::optional<std::string> {
    const auto at = std::ranges::find(facts.xattrs, name, [](const auto& xattr) { return xattr.first; });
    if (at == facts.xattrs.end()) return std::nullopt;
    return at->second;
  };
  std::erase_if(changes, [&](const AspectChange& one) {
    if (one.aspect == Aspect::kModified) return keeper_.makes_time(wanted, found);
    if (one.aspect == Aspect::kMode) {
      const auto list = value(wanted, kAccessList);
      return list && keeper_.makes_mode(wanted.mode, *list, found.mode);
    }
    if (one.aspect != Aspect::kAttribute) return false;
    const auto set = value(wanted, one.name);
    return set && keeper_.makes_xattr(one.name, *set, value(found, one.name));
  });
}

Status DiskWalk::compare_entry(const std::string& path, FileModel::Index index, BorrowedFd dir,
                               const std::string& name) {
  const FileFacts& wanted = model_.node(index).facts;
  const std::string shown = path.empty() ? "/" : path;
  ++out_.entries;
  RETURN_IF_ERROR(step_(0));
  auto found = look(dir, name);
  if (!found.ok()) {
    if (!is_damage(found.error())) return std::move(found).error().with(quoted(shown));
    add_unreadable(shown, codec::tar::to_string(wanted.type), found.error());
    return {};
  }
  if (!*found) {
    add_missing(path, index);
    return {};
  }
  if ((*found)->is_socket) {
    add(Kind::kChanged, shown, "socket", {{Aspect::kType, std::string(codec::tar::to_string(wanted.type)), "socket"}});
    return {};
  }
  FileFacts& there = (*found)->facts;
  std::optional<AspectChange> unreadable;
  if (wanted.type == EntryType::kFile && there.type == EntryType::kFile && wanted.size_bytes == there.size_bytes) {
    auto hash = hash_content(dir, name);
    if (hash.ok()) {
      there.text = std::move(*hash);
    } else if (is_damage(hash.error())) {
      there.text = wanted.text;
      unreadable = AspectChange{Aspect::kUnreadable, std::nullopt, hash.error().message()};
    } else {
      return std::move(hash).error();
    }
  }
  std::vector<AspectChange> changes = changes_between(wanted, there);
  if (!changes.empty()) pass_over_lost(wanted, there, changes);
  links_.compare(shown, {index, wanted.links}, {(*found)->file, there.links}, changes);
  if (unreadable) changes.push_back(std::move(*unreadable));
  if (!changes.empty()) add(Kind::kChanged, shown, codec::tar::to_string(there.type), std::move(changes));
  return {};
}

void DiskWalk::add_missing(const std::string& path, FileModel::Index index) {
  const FileModel::Node& node = model_.node(index);
  add(Kind::kRemoved, path, codec::tar::to_string(node.facts.type));
  for (const auto& [name, child] : node.children) add_missing(path + "/" + name, child);
}

Status DiskWalk::add_extra(const std::string& path, BorrowedFd dir, const std::string& name, std::size_t depth) {
  RETURN_IF_ERROR(step_(0));
  const auto info = sys::fstatat(dir, name);
  if (!info.ok()) return {};
  const auto type = type_of(info->st_mode);
  add(Kind::kAdded, path, type ? codec::tar::to_string(*type) : std::string_view("socket"));
  if (type != EntryType::kDirectory || depth >= kMaxPathDepth) return {};
  const auto inside = sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!inside.ok()) return {};
  auto names = sys::list_directory(*inside);
  if (!names.ok()) return {};
  std::ranges::sort(*names);
  for (const std::string& child : *names) RETURN_IF_ERROR(add_extra(path + "/" + child, *inside, child, depth + 1));
  return {};
}

Status DiskWalk::compare_child(const std::string& path, FileModel::Index index, BorrowedFd dir, const std::string& name,
                               std::size_t depth) {
  RETURN_IF_ERROR(compare_entry(path, index, dir, name));
  if (model_.node(index).facts.type != EntryType::kDirectory) return {};
  auto inside = sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (inside.ok()) return compare_children(path, index, *inside, depth + 1);
  switch (inside.error().errno_value()) {
    case ENOTDIR:
    case ELOOP:  // of another type, which has been told; what was in it is not there
      for (const auto& [child, child_index] : model_.node(index).children) add_missing(path + "/" + child, child_index);
      return {};
    case ENOENT:
      return {};
    default:
      if (!is_damage(inside.error())) return std::move(inside).error().with(quoted(path));
      add_unreadable(path, "directory", inside.error());
      return {};
  }
}

Status DiskWalk::compare_children(const std::string& path, FileModel::Index index, BorrowedFd dir, std::size_t depth) {
  auto listed = sys::list_directory(dir);
  if (!listed.ok()) {
    if (!is_damage(listed.error())) return std::move(listed).error().with(quoted(path.empty() ? "/" : path));
    add_unreadable(path.empty() ? "/" : path, "directory", listed.error());
    return {};
  }
  std::ranges::sort(*listed);
  const FileModel::Children& wanted = model_.node(index).children;
  auto a = wanted.begin();
  auto b = listed->begin();
  while (a != wanted.end() || b != listed->end()) {
    if (b == listed->end() || (a != wanted.end() && a->first < *b)) {
      add_missing(path + "/" + a->first, a->second);
      ++a;
    } else if (a == wanted.end() || *b < a->first) {
      RETURN_IF_ERROR(add_extra(path + "/" + *b, dir, *b, depth));
      ++b;
    } else {
      RETURN_IF_ERROR(compare_child(path + "/" + a->first, a->second, dir, *b, depth));
      ++a;
      ++b;
    }
  }
  return {};
}

}  // namespace

Result<TreeCheck> compare_with_disk(const FileModel& model, BorrowedFd rootfs, BorrowedFd tmp, const CheckStep& step) {
  return DiskWalk(model, tmp, step).run(rootfs);
}

}  // namespace cooper::image
