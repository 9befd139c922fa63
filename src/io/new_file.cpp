#include "io/new_file.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::io {
namespace {

struct Place {
  std::string directory;
  std::string name;
  std::optional<struct stat> there = {};
};

// Where `path` really is. What is there is named by its own path, so that replacing it replaces no link to it.
Result<Place> place_of(std::string path) {
  if (path.empty()) return Error(Errc::kInvalidArgument, "an empty path names no file");
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  Place place;
  auto there = sys::openat(sys::kCwd, path, O_PATH);
  if (there.ok()) {
    ASSIGN_OR_RETURN(place.there, sys::fstat(*there));
    ASSIGN_OR_RETURN(path, sys::path_of(*there));
  } else if (there.error().errno_value() != ENOENT) {
    return std::move(there).error();
  } else if (const auto link = sys::readlinkat(sys::kCwd, path); link.ok()) {
    return Error(Errc::kInvalidArgument, quoted(path) + " is a symbolic link to nothing: " + quoted(*link));
  }
  const std::size_t slash = path.rfind('/');
  place.directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  place.name = slash == std::string::npos ? path : path.substr(slash + 1);
  return place;
}

bool has_no_unnamed_files(const Error& error) {
  return error.errno_value() == EOPNOTSUPP || error.errno_value() == EISDIR || error.errno_value() == EINVAL;
}

// Of a file that takes the place of another.
Status keep_mode_and_owner(BorrowedFd file, const struct stat& there) {
  ASSIGN_OR_RETURN(const struct stat now, sys::fstat(file));
  if (now.st_uid != there.st_uid || now.st_gid != there.st_gid)
    RETURN_IF_ERROR(sys::fchown(file, there.st_uid, there.st_gid));
  return sys::fchmod(file, there.st_mode & 0777);
}

Status rename_new(BorrowedFd from, BorrowedFd to, const std::string& name) {
  Status moved = sys::renameat2(from, name, to, name, RENAME_NOREPLACE);
  // Not every file system can do it.
  if (moved.ok() || moved.error().errno_value() != EINVAL) return moved;
  if (sys::fstatat(to, name).ok()) return Error(Errc::kAlreadyExists, quoted(name) + " is there", EEXIST);
  return sys::renameat(from, name, to, name);
}

}  // namespace

std::string hidden_name() {
  std::array<char, 8> bytes{};
  (void)!::getrandom(bytes.data(), bytes.size(), 0);
  return ".cooper-new-" + hex_encode({bytes.data(), bytes.size()});
}

Result<NewFile> NewFile::create(const std::string& path, mode_t mode) {
  ASSIGN_OR_RETURN(Place place, place_of(path));
  if (place.there && S_ISDIR(place.there->st_mode))
    return Error(Errc::kInvalidArgument, quoted(path) + " is a directory", EISDIR);
  if (place.there && !S_ISREG(place.there->st_mode))
    return Error(Errc::kInvalidArgument, quoted(path) + " is not a regular file");
  ASSIGN_OR_RETURN(UniqueFd directory, sys::openat(sys::kCwd, place.directory, O_RDONLY | O_DIRECTORY));
  auto created = create_in(std::move(directory), std::move(place.name), mode);
  if (!created.ok()) return std::move(created).error().with(quoted(path));
  return created;
}

Result<NewFile> NewFile::create_in(UniqueFd directory, std::string name, mode_t mode) {
  const auto there = sys::fstatat(directory, name, AT_SYMLINK_NOFOLLOW);
  if (there.ok() && !S_ISREG(there->st_mode)) return Error(Errc::kInvalidArgument, "it is not a regular file");
  // Not open to more people while it is written either.
  if (there.ok()) mode = there->st_mode & 0777;
  NewFile out;
  out.directory_ = std::move(directory);
  out.name_ = std::move(name);
  auto file = sys::openat(out.directory_, ".", O_WRONLY | O_TMPFILE, mode);
  if (file.ok()) {
    out.file_ = std::move(*file);
  } else {
    if (!has_no_unnamed_files(file.error())) return std::move(file).error();
    std::string hidden = hidden_name();
    ASSIGN_OR_RETURN(out.file_, sys::openat(out.directory_, hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
    out.hidden_ = std::move(hidden);
  }
  if (there.ok()) {
    if (Status kept = keep_mode_and_owner(out.file_, *there); !kept.ok())
      return std::move(kept).error().with("keep mode and owner");
  }
  return out;
}

NewFile::~NewFile() {
  if (directory_ && !hidden_.empty()) (void)!sys::unlinkat(directory_, hidden_).ok();
}

Status NewFile::publish(const LastWord& last_word) {
  RETURN_IF_ERROR(sys::fsync(file_));
  if (last_word) RETURN_IF_ERROR(last_word());
  if (hidden_.empty()) {
    std::string hidden = hidden_name();
    RETURN_IF_ERROR(
        sys::linkat(sys::kCwd, "/proc/self/fd/" + std::to_string(file_.get()), directory_, hidden, AT_SYMLINK_FOLLOW));
    hidden_ = std::move(hidden);
  }
  RETURN_IF_ERROR(sys::renameat(directory_, hidden_, directory_, name_));
  hidden_.clear();
  return sys::fsync(directory_);
}

Result<NewDirectory> NewDirectory::create(const std::string& path, mode_t mode) {
  ASSIGN_OR_RETURN(Place place, place_of(path));
  if (place.there && !S_ISDIR(place.there->st_mode))
    return Error(Errc::kAlreadyExists, quoted(path) + " is there and is not a directory", ENOTDIR);
  NewDirectory out;
  if (place.there) {
    ASSIGN_OR_RETURN(out.parent_, sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(const auto names, sys::list_directory(out.parent_));
    if (!names.empty()) return Error(Errc::kAlreadyExists, "directory " + quoted(path) + " is not empty", ENOTEMPTY);
  } else {
    out.name_ = std::move(place.name);
    ASSIGN_OR_RETURN(out.parent_, sys::openat(sys::kCwd, place.directory, O_RDONLY | O_DIRECTORY));
  }
  std::string hidden = hidden_name();
  RETURN_IF_ERROR(sys::mkdirat(out.parent_, hidden, mode));
  out.hidden_ = std::move(hidden);
  ASSIGN_OR_RETURN(out.directory_, sys::openat(out.parent_, out.hidden_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return out;
}

NewDirectory::~NewDirectory() {
  if (parent_ && !hidden_.empty()) (void)!remove_tree(parent_, hidden_).ok();
}

// All of what is in the hidden directory, or nothing.
Status NewDirectory::move_up(const std::string& last) {
  ASSIGN_OR_RETURN(const auto there, sys::list_directory(parent_));
  if (there.size() != 1) return Error(Errc::kAlreadyExists, "others have put files there", ENOTEMPTY);
  ASSIGN_OR_RETURN(auto names, sys::list_directory(directory_));
  std::ranges::stable_partition(names, [&](const std::string& name) { return name != last; });
  std::size_t done = 0;
  Status moved;
  while (moved.ok() && done < names.size()) {
    moved = rename_new(directory_, parent_, names[done]);
    if (moved.ok()) ++done;
  }
  if (moved.ok()) moved = sys::unlinkat(parent_, hidden_, AT_REMOVEDIR);
  while (!moved.ok() && done-- > 0) (void)!sys::renameat(parent_, names[done], directory_, names[done]).ok();
  return moved;
}

Status NewDirectory::publish(const std::string& last, const LastWord& last_word) {
  RETURN_IF_ERROR(sys::syncfs(directory_));
  if (last_word) RETURN_IF_ERROR(last_word());
  Status moved = name_.empty() ? move_up(last) : sys::renameat(parent_, hidden_, parent_, name_);
  if (!moved.ok()) {
    const int why = moved.error().errno_value();
    if (why == ENOTEMPTY || why == EEXIST)
      return Error(Errc::kAlreadyExists, "the directory is not empty any more", why);
    return moved;
  }
  hidden_.clear();
  return sys::fsync(parent_);
}

}  // namespace cooper::io
