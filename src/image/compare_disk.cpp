#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "image/internal/compare.h"
#include "image/internal/disk_file.h"
#include "image/internal/layer_path.h"
#include "image/internal/tree_builder.h"
#include "sys/file.h"
#include "sys/xattr.h"

namespace cooper::image {
namespace {

using codec::tar::EntryType;
using Kind = PathChange::Kind;

constexpr std::size_t kReadBytes = std::size_t{256} << 10;
constexpr const char* kAccessList = "system.posix_acl_access";

// What a disk that is failing says, and a driver to a file system that it cannot read: a finding, not the end of the
// search for others.
bool is_damage(const Error& error, Medium medium) {
  constexpr std::array<int, 5> kDamage = {EIO, EUCLEAN, EBADMSG, ENXIO, EOVERFLOW};
  constexpr std::array<int, 4> kLackOfSense = {EOPNOTSUPP, EINVAL, ENAMETOOLONG, ELOOP};
  const int number = error.errno_value();
  return std::ranges::find(kDamage, number) != kDamage.end() ||
         (medium == Medium::kImage && std::ranges::find(kLackOfSense, number) != kLackOfSense.end());
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
  DiskWalk(const FileModel& model, BorrowedFd tmp, Medium medium, const CheckStep& step)
      : model_(model), keeper_(tmp), medium_(medium), step_(step), buffer_(kReadBytes) {}

  Result<TreeCheck> run(BorrowedFd rootfs) {
    RETURN_IF_ERROR(compare_entry("", FileModel::kRoot, rootfs, "."));
    RETURN_IF_ERROR(compare_children("", FileModel::kRoot, rootfs, 0));
    return std::move(out_);
  }

 private:
  void add(Kind kind, const std::string& path, std::string_view type, std::vector<AspectChange> aspects = {}) {
    out_.changes.push_back({.kind = kind, .path = path, .type = type, .aspects = std::move(aspects)});
  }
  void add_unreadable(const std::string& path, std::string_view type, const Error& error) {
    add(Kind::kChanged, path, type, {{Aspect::kUnreadable, std::nullopt, error.message()}});
  }

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
  Medium medium_;
  const CheckStep& step_;
  std::vector<char> buffer_;
  LinkGroups<FileModel::Index, std::pair<dev_t, ino_t>> links_;
  TreeCheck out_;
};

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
  auto found = look_at(dir, name);
  if (!found.ok()) {
    if (!is_damage(found.error(), medium_)) return std::move(found).error().with(quoted(shown));
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
    auto hash = content_of(dir, name, buffer_, step_);
    if (hash.ok()) {
      there.text = std::move(*hash);
    } else if (is_damage(hash.error(), medium_)) {
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
      if (!is_damage(inside.error(), medium_)) return std::move(inside).error().with(quoted(path));
      add_unreadable(path, "directory", inside.error());
      return {};
  }
}

Status DiskWalk::compare_children(const std::string& path, FileModel::Index index, BorrowedFd dir, std::size_t depth) {
  auto listed = sys::list_directory(dir);
  if (!listed.ok()) {
    if (!is_damage(listed.error(), medium_)) return std::move(listed).error().with(quoted(path.empty() ? "/" : path));
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

Result<TreeCheck> compare_with_disk(const FileModel& model, BorrowedFd rootfs, BorrowedFd tmp, Medium medium,
                                    const CheckStep& step) {
  return DiskWalk(model, tmp, medium, step).run(rootfs);
}

}  // namespace cooper::image
