#include "image/internal/tree_writer.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "image/internal/dir_stack.h"
#include "image/internal/tree_builder.h"
#include "image/internal/whiteouts.h"
#include "sys/file.h"
#include "sys/lseek.h"
#include "sys/xattr.h"

namespace cooper::image {
namespace {

using codec::tar::Entry;
using codec::tar::EntryType;
using codec::tar::SparsePart;

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxParts = 60'000;  // what readers of archives take, ours among them
constexpr std::size_t kMaxPathBytes = 4095;
constexpr std::uint64_t kBlockBytes = 512;
// Whatever it is by the time it is opened, opening it waits for nobody.
constexpr int kOpenFile = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

bool is_same_state(const struct stat& a, const struct stat& b) {
  const auto same = [](const struct timespec& x, const struct timespec& y) {
    return x.tv_sec == y.tv_sec && x.tv_nsec == y.tv_nsec;
  };
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_mode == b.st_mode && a.st_size == b.st_size &&
         same(a.st_mtim, b.st_mtim) && same(a.st_ctim, b.st_ctim);
}

Error changed_error() {
  return Error(Errc::kBusy, "it changed while it was read").with_hint("stop what writes there, or work on a copy");
}

class TreeWriter {
 public:
  TreeWriter(const TreeWriteOptions& options, codec::tar::Writer& writer) : options_(options), writer_(writer) {}

  Result<TreeWritten> run(BorrowedFd root) {
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(root));
    Status written = options_.with_root ? directory_entry(root, "", info) : Status();
    if (written.ok()) written = children(root, "", info, {.depth = 0});
    RETURN_IF_ERROR(std::move(written));
    return out_;
  }

 private:
  struct Place {
    std::size_t depth = 0;
    bool excluded = false;
    // Directories that are left out but for something in them, and have no entry yet: outermost first.
    std::vector<std::pair<BorrowedFd, std::string>> pending = {};
  };
  Status child(BorrowedFd dir, const std::string& name, const std::string& path, Place& place);
  Status write_child(BorrowedFd dir, const std::string& name, const std::string& path, const struct stat& info);
  Status directory(BorrowedFd dir, const std::string& name, const std::string& path, const struct stat& info,
                   Place& place, bool excluded);
  Status children(BorrowedFd dir, const std::string& path, const struct stat& info, Place place);
  Status write_pending(Place& place);
  Status directory_entry(BorrowedFd dir, const std::string& path, const struct stat& info);
  Status file(BorrowedFd dir, const std::string& name, Entry& entry, const struct stat& info);
  Status copy(BorrowedFd file, const SparsePart& part);
  Status check_name(const std::string& name, const struct stat& info) const;
  Entry entry_of(const std::string& path, const struct stat& info);
  std::string name_in_archive(const std::string& path) const {
    return options_.prefix.empty() ? path : path.empty() ? options_.prefix : options_.prefix + "/" + path;
  }

  const TreeWriteOptions& options_;
  codec::tar::Writer& writer_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::vector<char> buffer_ = std::vector<char>(kBufferBytes);
  TreeWritten out_;
};

Entry TreeWriter::entry_of(const std::string& path, const struct stat& info) {
  Entry entry;
  entry.path = name_in_archive(path);
  entry.mode = info.st_mode & 07777;
  entry.uid = options_.owner ? options_.owner->first : info.st_uid;
  entry.gid = options_.owner ? options_.owner->second : info.st_gid;
  entry.mtime_s = info.st_mtim.tv_sec;
  entry.mtime_ns = static_cast<std::uint32_t>(info.st_mtim.tv_nsec);
  if (options_.newest_s && entry.mtime_s >= *options_.newest_s) {
    entry.mtime_s = *options_.newest_s;
    entry.mtime_ns = 0;
  }
  out_.newest_s = std::max(out_.newest_s, entry.mtime_s);
  if (!path.empty()) ++out_.entries;
  return entry;
}

// Of an open file or directory.
Status add_xattrs(BorrowedFd file, Entry& entry) {
  ASSIGN_OR_RETURN(auto names, sys::flistxattr(file));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    if (!keeps_xattr(name)) continue;
    ASSIGN_OR_RETURN(std::string value, sys::fgetxattr(file, name));
    entry.xattrs.emplace_back(name, std::move(value));
  }
  return {};
}

// Of what is not opened: links, devices, pipes.
Status add_xattrs_at(BorrowedFd dir, const std::string& file, Entry& entry) {
  ASSIGN_OR_RETURN(auto names, sys::llistxattr_at(dir, file));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    if (!keeps_xattr(name)) continue;
    ASSIGN_OR_RETURN(std::string value, sys::lgetxattr_at(dir, file, name));
    entry.xattrs.emplace_back(name, std::move(value));
  }
  return {};
}

// Where a file has data; empty when it has no holes worth it, or too many.
Result<std::vector<SparsePart>> data_parts(BorrowedFd file, std::uint64_t size_bytes) {
  std::vector<SparsePart> parts;
  const auto size = static_cast<off_t>(size_bytes);
  for (off_t at = 0; at < size;) {
    auto data = sys::lseek(file, at, SEEK_DATA);
    if (!data.ok() && data.error().errno_value() == ENXIO) break;
    if (!data.ok()) return std::move(data).error();
    ASSIGN_OR_RETURN(at, sys::lseek(file, *data, SEEK_HOLE));
    if (parts.size() == kMaxParts || (*data == 0 && at >= size)) return std::vector<SparsePart>();
    parts.push_back({static_cast<std::uint64_t>(*data), static_cast<std::uint64_t>(std::min(at, size) - *data)});
  }
  parts.push_back({size_bytes, 0});
  return parts;
}

Status TreeWriter::copy(BorrowedFd file, const SparsePart& part) {
  codec::RangeSource source(file, part.offset, part.size);
  while (true) {
    auto n = source.read(buffer_);
    // Cut meanwhile.
    if (!n.ok()) return n.error().code() == Errc::kCorrupt ? changed_error() : std::move(n).error();
    if (*n == 0) return {};
    RETURN_IF_ERROR(writer_.data({buffer_.data(), *n}));
  }
}

Status TreeWriter::file(BorrowedFd dir, const std::string& name, Entry& entry, const struct stat& info) {
  ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(dir, name, kOpenFile));
  ASSIGN_OR_RETURN(const struct stat before, sys::fstat(file));
  if (!is_same_state(info, before)) return changed_error();
  RETURN_IF_ERROR(add_xattrs(file, entry));
  entry.size_bytes = static_cast<std::uint64_t>(before.st_size);
  if (static_cast<std::uint64_t>(before.st_blocks) * kBlockBytes < entry.size_bytes) {
    ASSIGN_OR_RETURN(auto parts, data_parts(file, entry.size_bytes));
    if (!parts.empty()) entry.sparse = std::move(parts);
  }
  RETURN_IF_ERROR(writer_.begin(entry));
  for (const SparsePart& part : entry.sparse.value_or(std::vector<SparsePart>{{0, entry.size_bytes}}))
    RETURN_IF_ERROR(copy(file, part));
  ASSIGN_OR_RETURN(const struct stat after, sys::fstat(file));
  if (!is_same_state(before, after)) return changed_error();
  return writer_.end_data();
}

Status TreeWriter::check_name(const std::string& name, const struct stat& info) const {
  if (!options_.for_a_layer) return {};
  if (name.starts_with(kWhiteout))
    return Error(Errc::kUnsupported, "its name would be read as a mark that a file is removed")
        .with_hint("rename it, or leave it out with --exclude");
  if (S_ISCHR(info.st_mode) && info.st_rdev == 0)
    return Error(Errc::kUnsupported, "it is the mark of overlayfs that a file is removed, not a file")
        .with_hint("take the merged directory of the overlay, not its upper one");
  return {};
}

Status TreeWriter::write_child(BorrowedFd dir, const std::string& name, const std::string& path,
                               const struct stat& info) {
  Entry entry = entry_of(path, info);
  if (info.st_nlink > 1) {
    const auto [first, is_new] = links_.try_emplace({info.st_dev, info.st_ino}, entry.path);
    if (!is_new) {
      entry.type = EntryType::kHardLink;
      entry.link_target = first->second;
      return writer_.begin(entry);
    }
  }
  if (S_ISREG(info.st_mode)) return file(dir, name, entry, info);
  RETURN_IF_ERROR(add_xattrs_at(dir, name, entry));
  if (S_ISLNK(info.st_mode)) {
    entry.type = EntryType::kSymlink;
    entry.mode = 0777;
    ASSIGN_OR_RETURN(entry.link_target, sys::readlinkat(dir, name));
  } else if (S_ISFIFO(info.st_mode)) {
    entry.type = EntryType::kFifo;
  } else {
    entry.type = S_ISCHR(info.st_mode) ? EntryType::kCharDevice : EntryType::kBlockDevice;
    entry.device_major = major(info.st_rdev);
    entry.device_minor = minor(info.st_rdev);
  }
  ASSIGN_OR_RETURN(const struct stat after, sys::fstatat(dir, name));
  if (!is_same_state(info, after)) return changed_error();
  return writer_.begin(entry);
}

Status TreeWriter::directory_entry(BorrowedFd dir, const std::string& path, const struct stat& info) {
  Entry entry = entry_of(path, info);
  entry.path = entry.path.empty() ? "./" : entry.path + "/";
  entry.type = EntryType::kDirectory;
  RETURN_IF_ERROR(add_xattrs(dir, entry));
  return writer_.begin(entry);
}

Status TreeWriter::write_pending(Place& place) {
  for (const auto& [dir, path] : place.pending) {
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(dir));
    RETURN_IF_ERROR(directory_entry(dir, path, info));
  }
  place.pending.clear();
  return {};
}

Status TreeWriter::directory(BorrowedFd dir, const std::string& name, const std::string& path, const struct stat& info,
                             Place& place, bool excluded) {
  if (place.depth >= kMaxPathDepth)
    return Error(Errc::kLimit, "directories are nested more than " + std::to_string(kMaxPathDepth) + " deep");
  ASSIGN_OR_RETURN(const UniqueFd inside, sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  ASSIGN_OR_RETURN(const struct stat opened, sys::fstat(inside));
  if (!is_same_state(info, opened)) return changed_error();
  Place below{.depth = place.depth + 1, .excluded = excluded, .pending = {}};
  if (!excluded) {
    RETURN_IF_ERROR(write_pending(place));
    RETURN_IF_ERROR(directory_entry(inside, path, info));
    return children(inside, path, info, std::move(below));
  }
  below.pending = place.pending;
  below.pending.emplace_back(inside, path);
  const std::size_t before = out_.entries;
  RETURN_IF_ERROR(children(inside, path, info, std::move(below)));
  // Something in it was taken back, and brought those around it.
  if (out_.entries != before) place.pending.clear();
  return {};
}

Status TreeWriter::child(BorrowedFd dir, const std::string& name, const std::string& path, Place& place) {
  ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(dir, name));
  const bool excluded = options_.rules != nullptr && options_.rules->excludes(path);
  if (excluded && !(S_ISDIR(info.st_mode) && options_.rules->takes_back())) return {};
  if (path == options_.leave_out) return {};
  if (path.size() > kMaxPathBytes)
    return Error(Errc::kLimit, "its path is longer than " + std::to_string(kMaxPathBytes) + " bytes");
  if (S_ISDIR(info.st_mode)) {
    RETURN_IF_ERROR(check_name(name, info));
    return directory(dir, name, path, info, place, excluded);
  }
  if (S_ISSOCK(info.st_mode)) {
    if (options_.skipped) options_.skipped(path, "a socket, which no image can hold");
    return {};
  }
  RETURN_IF_ERROR(check_name(name, info));
  RETURN_IF_ERROR(write_pending(place));
  return write_child(dir, name, path, info);
}

Status TreeWriter::children(BorrowedFd dir, const std::string& path, const struct stat& info, Place place) {
  ASSIGN_OR_RETURN(auto names, sys::list_directory(dir));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    const std::string child_path = path.empty() ? name : path + "/" + name;
    Status written = child(dir, name, child_path, place);
    if (written.ok()) continue;
    Error error = std::move(written).error();
    if (error.code() == Errc::kCancelled) return error;
    // Listed, and gone.
    if (error.errno_value() == ENOENT) error = changed_error();
    // Named by the innermost.
    return error.message().starts_with('\'') ? std::move(error) : std::move(error).with(quoted(child_path));
  }
  ASSIGN_OR_RETURN(const struct stat after, sys::fstat(dir));
  if (!is_same_state(info, after)) return changed_error().with(quoted(path.empty() ? "." : path));
  return {};
}

}  // namespace

Result<TreeWritten> write_tree(BorrowedFd root, const TreeWriteOptions& options, codec::tar::Writer& writer) {
  return TreeWriter(options, writer).run(root);
}

}  // namespace cooper::image
