#include "image/internal/tree_builder.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "image/internal/whiteouts.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using codec::tar::Chunk;
using codec::tar::EntryType;

constexpr std::size_t kFewXattrBytes = 3000;   // what every file system holds that has attributes at all
constexpr std::size_t kXattrHeaderBytes = 16;  // of each, on ext4
constexpr std::uint64_t kPathOverhead = 128;   // bytes of memory that a path takes beside its own
constexpr std::uint64_t kWritebackBytes = std::uint64_t{1} << 20;

constexpr std::array<std::string_view, 2> kDroppedPrefixes = {"trusted.overlay.", "user.overlay."};
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

}  // namespace

bool keeps_xattr(std::string_view name) {
  return std::ranges::none_of(kDroppedPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); }) &&
         std::ranges::find(kDroppedNames, name) == kDroppedNames.end();
}

TreeBuilder::TreeBuilder(BorrowedFd root, TreeLimits limits)
    : root_(root), limits_(limits), stack_(root), link_stack_(root), euid_(::geteuid()), egid_(::getegid()) {
  directories_.emplace("", DirectoryMeta{.uid = euid_, .gid = egid_});
}

Status TreeBuilder::apply(codec::BlockSource& tar) {
  touched_.clear();
  touched_path_bytes_ = 0;
  codec::tar::Reader reader(tar);
  Entry entry;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, reader.next(entry));
    if (!more) break;
    if (Status applied = apply_entry(reader, entry); !applied.ok()) {
      return std::move(applied).error().with(std::string(codec::tar::to_string(entry.type)) + " " + quoted(entry.path));
    }
    ++entries_;
  }
  if (require_end_mark_ && !reader.saw_end_mark())
    return Error(Errc::kCorrupt, "tar: archive is truncated: it has no end mark");
  has_lower_ = true;
  return {};
}

Status TreeBuilder::apply_entry(codec::tar::Reader& reader, const Entry& entry) {
  ASSIGN_OR_RETURN(const std::string clean, clean_path(entry.path));
  if (clean.empty()) {
    if (entry.type != EntryType::kDirectory) return Error(Errc::kPermission, "the root can only be a directory");
    return keep_directory("", {entry.uid, entry.gid, entry.mode, entry.mtime_s, entry.mtime_ns, entry.xattrs});
  }
  const auto [parent, name] = split_parent(clean);
  if (name.starts_with(kWhiteout)) return apply_whiteout(parent, name);
  ASSIGN_OR_RETURN(const auto directory, stack_.walk(parent, DirStack::Missing::kCreate));
  RETURN_IF_ERROR(note_created(entry));
  Place place{.dir = directory->fd, .name = std::string(name), .path = {}};
  place.path = directory->path.empty() ? place.name : directory->path + "/" + place.name;
  RETURN_IF_ERROR(touch(place.path));
  switch (entry.type) {
    case EntryType::kFile:
      return make_file(reader, place, entry);
    case EntryType::kDirectory:
      return make_directory(place, entry);
    case EntryType::kHardLink:
      return make_hard_link(place, entry);
    case EntryType::kSymlink:
      return make_symlink(place, entry);
    case EntryType::kCharDevice:
    case EntryType::kBlockDevice:
    case EntryType::kFifo:
      return make_node(place, entry);
  }
  return Error(Errc::kInternal, "unknown type of entry");
}

// Directories no entry asked for.
Status TreeBuilder::note_created(const Entry& entry) {
  for (const std::string& path : stack_.take_created()) {
    RETURN_IF_ERROR(keep_directory(
        path, {.uid = euid_, .gid = egid_, .mtime_s = entry.mtime_s, .mtime_ns = entry.mtime_ns, .xattrs = {}}));
  }
  return {};
}

Status TreeBuilder::keep_directory(const std::string& path, DirectoryMeta meta) {
  std::erase_if(meta.xattrs, [](const auto& attribute) { return !keeps_xattr(attribute.first); });
  const auto [place, added] = directories_.try_emplace(path);
  if (added) directory_path_bytes_ += path.size() + kPathOverhead;
  directory_xattr_bytes_ -= xattr_bytes(place->second.xattrs);
  directory_xattr_bytes_ += xattr_bytes(meta.xattrs);
  place->second = std::move(meta);
  return check_limits();
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

Status TreeBuilder::touch(const std::string& path) {
  if (!has_lower_) return {};
  std::string_view at = path;
  while (!at.empty() && touched_.emplace(at).second) {
    touched_path_bytes_ += at.size() + kPathOverhead;
    at = split_parent(at).first;
  }
  return check_limits();
}

Status TreeBuilder::check_limits() const {
  if (directory_xattr_bytes_ > limits_.directory_xattr_bytes) {
    return Error(Errc::kLimit, "the directories of the image have extended attributes of more than " +
                                   format_bytes(limits_.directory_xattr_bytes));
  }
  if (directory_path_bytes_ + touched_path_bytes_ > limits_.path_bytes)
    return Error(Errc::kLimit, "the paths of the image take more than " + format_bytes(limits_.path_bytes));
  return {};
}

Status TreeBuilder::remove_existing(BorrowedFd dir, const std::string& name, const std::string& path) {
  if (stack_.passes_links()) stack_.invalidate();
  if (link_stack_.passes_links()) link_stack_.invalidate();
  Status removed = sys::unlinkat(dir, name);
  if (removed.ok() || removed.error().errno_value() == ENOENT) return {};
  if (removed.error().errno_value() != EISDIR && removed.error().errno_value() != EPERM) return removed;
  stack_.invalidate();
  link_stack_.invalidate();
  forget_directories(path);
  return io::remove_tree(dir, name);
}

// create() fails with EEXIST when something is there: it goes, and create() is tried again.
template <typename F>
Status TreeBuilder::create_replacing(const Place& place, F create) {
  Status made = create();
  if (made.ok() || made.error().errno_value() != EEXIST) return made;
  RETURN_IF_ERROR(remove_existing(place.dir, place.name, place.path));
  return create();
}

Status TreeBuilder::make_directory(const Place& place, const Entry& entry) {
  Status made = sys::mkdirat(place.dir, place.name, 0700);
  if (!made.ok()) {
    if (made.error().errno_value() != EEXIST) return made;
    ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(place.dir, place.name));
    if (!S_ISDIR(info.st_mode)) {
      RETURN_IF_ERROR(remove_existing(place.dir, place.name, place.path));
      RETURN_IF_ERROR(sys::mkdirat(place.dir, place.name, 0700));
    }
  }
  return keep_directory(place.path, {entry.uid, entry.gid, entry.mode, entry.mtime_s, entry.mtime_ns, entry.xattrs});
}

Status TreeBuilder::make_file(codec::tar::Reader& reader, const Place& place, const Entry& entry) {
  UniqueFd file;
  RETURN_IF_ERROR(create_replacing(place, [&]() -> Status {
    ASSIGN_OR_RETURN(file, sys::openat(place.dir, place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, entry.mode));
    return {};
  }));
  RETURN_IF_ERROR(write_data(reader, file, entry));
  const bool owner = needs_owner(entry.uid, entry.gid);
  if (owner) RETURN_IF_ERROR(sys::fchown(file, entry.uid, entry.gid));
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

Status TreeBuilder::make_hard_link(const Place& place, const Entry& entry) {
  auto clean = clean_path(entry.link_target);
  if (!clean.ok()) return std::move(clean).error().with("hard link to " + quoted(entry.link_target));
  const auto [parent, name] = split_parent(*clean);
  if (name.empty()) return Error(Errc::kPermission, "a hard link cannot lead to the root");
  ASSIGN_OR_RETURN(const auto directory, link_stack_.walk(parent, DirStack::Missing::kFail));
  const auto missing = [&] { return Error(Errc::kCorrupt, "target " + quoted(entry.link_target) + " does not exist"); };
  if (!directory) return missing();
  const std::string target(name);
  const std::string target_path = directory->path.empty() ? target : directory->path + "/" + target;
  if (target_path == place.path) return Error(Errc::kCorrupt, "a hard link to itself");
  if (place.path.starts_with(target_path + "/")) return Error(Errc::kCorrupt, "a hard link to a directory");
  if (target_path.starts_with(place.path + "/"))
    return Error(Errc::kCorrupt, "a hard link would replace the directory of its target");
  Status linked = create_replacing(place, [&] { return sys::linkat(directory->fd, target, place.dir, place.name); });
  if (linked.ok()) return linked;
  if (linked.error().errno_value() == ENOENT) return missing();
  if (linked.error().errno_value() == EPERM)
    return Error(Errc::kCorrupt, "target " + quoted(entry.link_target) + " is a directory", EPERM);
  return linked;
}

Status TreeBuilder::make_symlink(const Place& place, const Entry& entry) {
  if (entry.link_target.empty()) return Error(Errc::kCorrupt, "symbolic link without a target");
  if (entry.link_target.find('\0') != std::string::npos) return Error(Errc::kCorrupt, "target holds a NUL byte");
  RETURN_IF_ERROR(create_replacing(place, [&] { return sys::symlinkat(entry.link_target, place.dir, place.name); }));
  return set_node_metadata(place, entry);
}

Status TreeBuilder::make_node(const Place& place, const Entry& entry) {
  const mode_t type = entry.type == EntryType::kFifo         ? S_IFIFO
                      : entry.type == EntryType::kCharDevice ? S_IFCHR
                                                             : S_IFBLK;
  // The kernel's device numbers have 12 and 20 bits.
  if (entry.device_major > 0xfff || entry.device_minor > 0xfffff)
    return Error(Errc::kCorrupt, "device number is out of range");
  const dev_t device = entry.type == EntryType::kFifo ? 0 : makedev(entry.device_major, entry.device_minor);
  RETURN_IF_ERROR(
      create_replacing(place, [&] { return sys::mknodat(place.dir, place.name, type | entry.mode, device); }));
  return set_node_metadata(place, entry);
}

// Links and nodes, by name: nobody else can put something there meanwhile.
Status TreeBuilder::set_node_metadata(const Place& place, const Entry& entry) {
  if (needs_owner(entry.uid, entry.gid)) RETURN_IF_ERROR(sys::fchownat(place.dir, place.name, entry.uid, entry.gid));
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

Status TreeBuilder::apply_whiteout(std::string_view parent, std::string_view name) {
  const std::string_view hidden = name.substr(kWhiteout.size());
  const bool opaque = name == kOpaque;
  if (!opaque && name.starts_with(kWhiteoutMeta)) return {};
  if (hidden.empty() || hidden == "." || hidden == "..") return Error(Errc::kPermission, "whiteout of no file");
  if (!has_lower_) return {};
  ASSIGN_OR_RETURN(const auto directory, stack_.walk(parent, DirStack::Missing::kFail));
  if (!directory) return {};
  if (opaque) {
    RETURN_IF_ERROR(touch(directory->path));
    return make_opaque(directory->fd, directory->path);
  }
  const std::string victim(hidden);
  const std::string path = directory->path.empty() ? victim : directory->path + "/" + victim;
  if (!is_touched(path)) return remove_existing(directory->fd, victim, path);
  // This layer has brought it: only what came from below goes.
  auto inside = sys::openat(directory->fd, victim, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (inside.ok()) return make_opaque(*inside, path);
  const int e = inside.error().errno_value();
  return e == ENOENT || e == ENOTDIR || e == ELOOP ? ok_status() : Status(std::move(inside).error());
}

// Removes from a directory what this layer did not bring.
Status TreeBuilder::make_opaque(BorrowedFd dir, const std::string& path) {
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(dir));
  for (const std::string& name : names) {
    const std::string child = path.empty() ? name : path + "/" + name;
    if (!is_touched(child)) {
      RETURN_IF_ERROR(remove_existing(dir, name, child));
      continue;
    }
    auto inside = sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (inside.ok()) {
      RETURN_IF_ERROR(make_opaque(*inside, child));
    } else if (inside.error().errno_value() != ENOTDIR && inside.error().errno_value() != ELOOP) {
      return std::move(inside).error();
    }
  }
  return {};
}

Status TreeBuilder::set_directory(BorrowedFd dir, const DirectoryMeta& meta) {
  RETURN_IF_ERROR(sys::fchown(dir, meta.uid, meta.gid));
  RETURN_IF_ERROR(sys::fchmod(dir, meta.mode));
  RETURN_IF_ERROR(set_xattrs(meta.xattrs, [&](const std::string& name, const std::string& value) {
    return sys::fsetxattr(dir, name, value);
  }));
  struct timespec times[2];
  set_times(times, meta.mtime_s, meta.mtime_ns);
  return sys::futimens(dir, times);
}

Status TreeBuilder::finish() {
  for (const auto& [path, meta] : directories_) {
    auto directory = stack_.walk(path, DirStack::Missing::kFail);
    Status set = !directory.ok() ? Status(std::move(directory).error())
                 : !*directory   ? Status(Error(Errc::kInternal, "directory is missing"))
                                 : set_directory((*directory)->fd, meta);
    if (!set.ok()) return std::move(set).error().with("directory " + quoted(path.empty() ? "/" : path));
  }
  return {};
}

}  // namespace cooper::image
