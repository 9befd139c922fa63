#include "image/internal/tree_builder.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/strings.h"
#include "image/internal/dir_stack.h"
#include "image/internal/layer_walk.h"
#include "io/file.h"
#include "sys/file.h"
#include "userns/enter.h"

namespace cooper::image {
namespace {

using codec::tar::Chunk;
using codec::tar::EntryType;

constexpr std::size_t kFewXattrBytes = 3000;   // what every file system holds that has attributes at all
constexpr std::size_t kXattrHeaderBytes = 16;  // of each, on ext4
constexpr std::uint64_t kWritebackBytes = std::uint64_t{1} << 20;

constexpr std::array<std::string_view, 4> kDroppedPrefixes = {"trusted.overlay.", "user.overlay.", "trusted.cooper.",
                                                              "user.cooper."};
constexpr std::array<std::string_view, 4> kDroppedNames = {"security.selinux", "security.ima", "security.evm",
                                                           "security.apparmor"};

void set_times(struct timespec (&times)[2], std::int64_t seconds, std::uint32_t nanoseconds) {
  times[0] = {.tv_sec = static_cast<time_t>(seconds), .tv_nsec = static_cast<long>(nanoseconds)};
  times[1] = times[0];
}

// What a file system or a kind of file cannot hold is left out.
Status tolerate_xattr(Status set, const std::string& name) {
  if (set.ok()) return set;
  const int e = set.error().errno_value();
  if (e == EOPNOTSUPP) return {};
  if (e == EPERM && name.starts_with("user.")) return {};  // links and devices have no user attributes
  return set;
}

// "No space" is then about the file, whatever room there is on the disk.
Error explain_full(Error error, std::size_t count, std::size_t bytes) {
  if (error.errno_value() != ENOSPC || bytes + count * kXattrHeaderBytes < kFewXattrBytes) return error;
  return std::move(error)
      .with("the file has " + std::to_string(count) + " attributes of " + std::to_string(bytes) + " bytes")
      .with_hint(
          "the file system keeps less for a file (ext4 about 4 KB), its disk need not be full; a --root on xfs or "
          "btrfs takes more");
}

template <typename F>
Status set_xattrs(const std::vector<std::pair<std::string, std::string>>& xattrs, F set) {
  std::size_t bytes = 0;
  std::size_t count = 0;
  for (const auto& [name, value] : xattrs) {
    if (!keeps_xattr(name)) continue;
    bytes += name.size() + value.size();
    if (Status done = tolerate_xattr(set(name, value), name); !done.ok())
      return explain_full(std::move(done).error(), count + 1, bytes);
    ++count;
  }
  return {};
}

std::uint64_t xattr_bytes(const std::vector<std::pair<std::string, std::string>>& xattrs) {
  std::uint64_t total = 0;
  for (const auto& [name, value] : xattrs) total += name.size() + value.size() + kPathOverhead;
  return total;
}

mode_t node_type(EntryType type) {
  return type == EntryType::kFifo ? S_IFIFO : type == EntryType::kCharDevice ? S_IFCHR : S_IFBLK;
}

}  // namespace

bool keeps_xattr(std::string_view name) {
  // xattr(7): trusted.* is for CAP_SYS_ADMIN over the machine, of security.* this one alone is for root of a namespace.
  const bool machines =
      name.starts_with("trusted.") || (name.starts_with("security.") && name != "security.capability");
  if (machines && userns::is_inside()) return false;
  return std::ranges::none_of(kDroppedPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); }) &&
         std::ranges::find(kDroppedNames, name) == kDroppedNames.end();
}

TreeBuilder::TreeBuilder(BorrowedFd root, TreeLimits limits)
    : root_(root), limits_(limits), euid_(::geteuid()), egid_(::getegid()) {
  // A directory of another group may hand it down: by its set-group-id bit, or by an option of its mount.
  const auto info = sys::fstat(root_);
  group_is_ours_ = info.ok() && info->st_gid == egid_;
  directories_.emplace("", DirectoryMeta{.uid = euid_, .gid = egid_});
}

Status TreeBuilder::apply(codec::BlockSource& tar) {
  LayerWalk<TreeBuilder> walk(*this, rules_);
  Status applied = walk.apply(tar);
  entries_ += walk.entries();
  rules_.has_lower = true;
  return applied;
}

Result<UniqueFd> TreeBuilder::root_handle() const {
  return sys::dup_cloexec(root_);
}

Result<Found<UniqueFd>> TreeBuilder::find(Dir dir, const std::string& name) const {
  auto opened = sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (opened.ok()) return Found<UniqueFd>{.kind = FoundKind::kDirectory, .directory = std::move(*opened)};
  const int why = opened.error().errno_value();
  if (why == ENOENT) return Found<UniqueFd>{};
  if (why != ENOTDIR && why != ELOOP) return std::move(opened).error();
  auto target = sys::readlinkat(dir, name);
  if (target.ok()) return Found<UniqueFd>{.kind = FoundKind::kLink, .target = std::move(*target)};
  if (target.error().errno_value() != EINVAL) return std::move(target).error();
  return Found<UniqueFd>{.kind = FoundKind::kOther};
}

Result<UniqueFd> TreeBuilder::make_missing(Dir dir, const std::string& name, const std::string& path,
                                           const Entry& made_for) {
  RETURN_IF_ERROR(sys::mkdirat(dir, name, 0700));
  keep_directory(path,
                 DirectoryMeta{.uid = euid_, .gid = egid_, .mtime_s = made_for.mtime_s, .mtime_ns = made_for.mtime_ns});
  return sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

void TreeBuilder::keep_directory(const std::string& path, const Entry& entry) {
  keep_directory(path, DirectoryMeta{entry.uid, entry.gid, entry.mode, entry.mtime_s, entry.mtime_ns, entry.xattrs});
}

void TreeBuilder::keep_directory(const std::string& path, DirectoryMeta meta) {
  std::erase_if(meta.xattrs, [](const auto& attribute) { return !keeps_xattr(attribute.first); });
  const auto [place, added] = directories_.try_emplace(path);
  if (added) directory_path_bytes_ += path.size() + kPathOverhead;
  directory_xattr_bytes_ -= xattr_bytes(place->second.xattrs);
  directory_xattr_bytes_ += xattr_bytes(meta.xattrs);
  place->second = std::move(meta);
}

// The directory and those inside.
void TreeBuilder::forget_directories(const std::string& path) {
  const std::string inside = path + "/";
  const auto forget = [&](auto place) {
    directory_path_bytes_ -= place->first.size() + kPathOverhead;
    directory_xattr_bytes_ -= xattr_bytes(place->second.xattrs);
    return directories_.erase(place);
  };
  if (const auto own = directories_.find(path); own != directories_.end()) forget(own);
  auto first = directories_.lower_bound(inside);
  while (first != directories_.end() && first->first.starts_with(inside)) first = forget(first);
}

Status TreeBuilder::check_limits(std::uint64_t walk_bytes) const {
  if (directory_xattr_bytes_ > limits_.directory_xattr_bytes) {
    return Error(Errc::kLimit, "the directories of the image have extended attributes of more than " +
                                   format_bytes(limits_.directory_xattr_bytes));
  }
  if (directory_path_bytes_ + walk_bytes > limits_.path_bytes)
    return Error(Errc::kLimit, "the paths of the image take more than " + format_bytes(limits_.path_bytes));
  return {};
}

Result<std::vector<std::string>> TreeBuilder::names(Dir dir) {
  return sys::list_directory(dir);
}

Result<bool> TreeBuilder::remove(Dir dir, const std::string& name, const std::string& path) {
  Status removed = sys::unlinkat(dir, name);
  if (removed.ok() || removed.error().errno_value() == ENOENT) return false;
  if (removed.error().errno_value() != EISDIR && removed.error().errno_value() != EPERM)
    return std::move(removed).error();
  forget_directories(path);
  RETURN_IF_ERROR(io::remove_tree(dir, name));
  return true;
}

Result<UniqueFd> TreeBuilder::create(const Place& place, const Entry& entry) {
  switch (entry.type) {
    case EntryType::kFile:
      return sys::openat(place.dir, place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, entry.mode);
    case EntryType::kDirectory:
      RETURN_IF_ERROR(sys::mkdirat(place.dir, place.name, 0700));
      return UniqueFd();
    case EntryType::kSymlink:
      RETURN_IF_ERROR(sys::symlinkat(entry.link_target, place.dir, place.name));
      return UniqueFd();
    case EntryType::kCharDevice:
    case EntryType::kBlockDevice:
    case EntryType::kFifo:
      RETURN_IF_ERROR(make_node(place, entry));
      return UniqueFd();
    case EntryType::kHardLink:
      break;
  }
  return Error(Errc::kInternal, "no type of entry that is created");
}

// Asked for each of them.
bool TreeBuilder::leaves_out_devices() {
  if (!userns::is_inside()) return false;
  ++left_out_;
  return true;
}

Status TreeBuilder::make_node(const Place& place, const Entry& entry) {
  const bool pipe = entry.type == EntryType::kFifo;
  const dev_t device = pipe ? 0 : makedev(entry.device_major, entry.device_minor);
  return sys::mknodat(place.dir, place.name, node_type(entry.type) | entry.mode, device);
}

Status TreeBuilder::explain_owner(Status given, std::uint32_t uid, std::uint32_t gid) {
  if (given.ok()) return given;
  const int why = given.error().errno_value();
  if ((why != EINVAL && why != EPERM) || !userns::is_inside()) return given;
  if (why == EPERM)
    return std::move(given).error().with_hint(
        "a user namespace has no such rights where AppArmor withholds them: sysctl "
        "kernel.apparmor_restrict_unprivileged_userns");
  lacks_owner_ = true;
  return Error(Errc::kPermission,
               "it belongs to user " + std::to_string(uid) + " and group " + std::to_string(gid) +
                   " of the image, and this user has no ids for both",
               EINVAL)
      .with_hint(userns::kMoreIdsHint);
}

Status TreeBuilder::fill(const Made& file, codec::tar::Reader& reader, const Place& place, const Entry& entry) {
  return entry.type == EntryType::kFile ? fill_file(file, reader, entry) : set_node_metadata(place, entry);
}

Status TreeBuilder::fill_file(BorrowedFd file, codec::tar::Reader& reader, const Entry& entry) {
  RETURN_IF_ERROR(write_data(reader, file, entry));
  if (needs_owner(entry.uid, entry.gid))
    RETURN_IF_ERROR(explain_owner(sys::fchown(file, entry.uid, entry.gid), entry.uid, entry.gid));
  // A change of owner, and the write of an unprivileged user, clear these bits.
  if ((entry.mode & 06000) != 0) RETURN_IF_ERROR(sys::fchmod(file, entry.mode));
  if (!entry.xattrs.empty()) {
    RETURN_IF_ERROR(set_xattrs(entry.xattrs, [&](const std::string& name, const std::string& value) {
      return sys::fsetxattr(file, name, value);
    }));
  }
  struct timespec times[2];
  set_times(times, entry.mtime_s, entry.mtime_ns);
  return sys::futimens(file, times);
}

Status TreeBuilder::write_data(codec::tar::Reader& reader, BorrowedFd file, const Entry& entry) {
  std::uint64_t written = 0;
  while (true) {
    ASSIGN_OR_RETURN(const Chunk chunk, reader.read());
    if (chunk.bytes.empty()) break;
    if (entry.sparse) {
      RETURN_IF_ERROR(sys::pwrite_all(file, chunk.bytes, static_cast<off_t>(chunk.offset)));
    } else {
      RETURN_IF_ERROR(sys::write_all(file, chunk.bytes));
    }
    written += chunk.bytes.size();
  }
  if (entry.sparse) RETURN_IF_ERROR(sys::ftruncate(file, static_cast<off_t>(entry.size_bytes)));
  // The disk works while we do, and the final syncfs finds less to wait for.
  if (written >= kWritebackBytes) sys::start_writeback(file);
  bytes_ += written;
  return {};
}

Status TreeBuilder::link(Dir dir, const std::string& target, const Place& place) {
  return sys::linkat(dir, target, place.dir, place.name);
}

// Links and nodes, by name: nobody else can put something there meanwhile.
Status TreeBuilder::set_node_metadata(const Place& place, const Entry& entry) {
  if (needs_owner(entry.uid, entry.gid)) {
    RETURN_IF_ERROR(explain_owner(sys::fchownat(place.dir, place.name, entry.uid, entry.gid), entry.uid, entry.gid));
  }
  if (entry.type != EntryType::kSymlink && (entry.mode & 06000) != 0) {
    RETURN_IF_ERROR(sys::fchmodat(place.dir, place.name, entry.mode));
  }
  RETURN_IF_ERROR(set_xattrs(entry.xattrs, [&](const std::string& name, const std::string& value) {
    return sys::lsetxattr_at(place.dir, place.name, name, value);
  }));
  struct timespec times[2];
  set_times(times, entry.mtime_s, entry.mtime_ns);
  return sys::utimensat(place.dir, place.name, times, AT_SYMLINK_NOFOLLOW);
}

Status TreeBuilder::set_metadata(BorrowedFd dir, const DirectoryMeta& meta) {
  RETURN_IF_ERROR(explain_owner(sys::fchown(dir, meta.uid, meta.gid), meta.uid, meta.gid));
  RETURN_IF_ERROR(sys::fchmod(dir, meta.mode));
  RETURN_IF_ERROR(set_xattrs(meta.xattrs, [&](const std::string& name, const std::string& value) {
    return sys::fsetxattr(dir, name, value);
  }));
  struct timespec times[2];
  set_times(times, meta.mtime_s, meta.mtime_ns);
  return sys::futimens(dir, times);
}

Status TreeBuilder::finish() {
  Lookups lookups(std::numeric_limits<std::uint64_t>::max());
  DirStack<TreeBuilder> stack(*this, lookups);
  for (const auto& [path, meta] : directories_) {
    auto directory = stack.walk(path, nullptr);
    Status set = !directory.ok() ? Status(std::move(directory).error())
                 : !*directory   ? Status(Error(Errc::kInternal, "directory is missing"))
                                 : set_metadata((*directory)->dir, meta);
    if (!set.ok()) return std::move(set).error().with("directory " + quoted(path.empty() ? "/" : path));
  }
  return {};
}

}  // namespace cooper::image
