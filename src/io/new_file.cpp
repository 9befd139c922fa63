#include "io/new_file.h"

#include <sys/random.h>

#include <array>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::io {
namespace {

std::string hidden_name() {
  std::array<char, 8> bytes{};
  (void)!::getrandom(bytes.data(), bytes.size(), 0);
  return ".cooper-new-" + hex_encode({bytes.data(), bytes.size()});
}

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
    ASSIGN_OR_RETURN(path, sys::readlinkat(sys::kCwd, "/proc/self/fd/" + std::to_string(there->get())));
  } else if (there.error().errno_value() != ENOENT) {
    return std::move(there).error();
  }
  const std::size_t slash = path.rfind('/');
  place.directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  place.name = slash == std::string::npos ? path : path.substr(slash + 1);
  return place;
}

bool has_no_unnamed_files(const Error& error) {
  return error.errno_value() == EOPNOTSUPP || error.errno_value() == EISDIR || error.errno_value() == EINVAL;
}

}  // namespace

Result<NewFile> NewFile::create(const std::string& path, mode_t mode) {
  ASSIGN_OR_RETURN(Place place, place_of(path));
  if (place.there && S_ISDIR(place.there->st_mode))
    return Error(Errc::kInvalidArgument, quoted(path) + " is a directory", EISDIR);
  if (place.there && !S_ISREG(place.there->st_mode))
    return Error(Errc::kInvalidArgument, quoted(path) + " is not a regular file");
  NewFile out;
  out.name_ = std::move(place.name);
  ASSIGN_OR_RETURN(out.directory_, sys::openat(sys::kCwd, place.directory, O_RDONLY | O_DIRECTORY));
  auto file = sys::openat(out.directory_, ".", O_WRONLY | O_TMPFILE, mode);
  if (!file.ok()) {
    if (!has_no_unnamed_files(file.error())) return std::move(file).error().with(quoted(path));
    std::string hidden = hidden_name();
    ASSIGN_OR_RETURN(out.file_, sys::openat(out.directory_, hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
    out.hidden_ = std::move(hidden);
    return out;
  }
  out.file_ = std::move(*file);
  return out;
}

NewFile::~NewFile() {
  if (directory_ && !hidden_.empty()) (void)!sys::unlinkat(directory_, hidden_).ok();
}

Status NewFile::publish() {
  RETURN_IF_ERROR(sys::fsync(file_));
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
  out.name_ = std::move(place.name);
  ASSIGN_OR_RETURN(out.parent_, sys::openat(sys::kCwd, place.directory, O_RDONLY | O_DIRECTORY));
  if (place.there) {
    ASSIGN_OR_RETURN(const UniqueFd there, sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(const auto names, sys::list_directory(there));
    if (!names.empty()) return Error(Errc::kAlreadyExists, "directory " + quoted(path) + " is not empty", ENOTEMPTY);
    ASSIGN_OR_RETURN(const struct stat parent, sys::fstat(out.parent_));
    if (out.name_.empty() || parent.st_dev != place.there->st_dev)
      return Error(Errc::kBusy, "directory " + quoted(path) + " is a mount point and cannot be replaced", EBUSY);
  }
  std::string hidden = hidden_name();
  RETURN_IF_ERROR(sys::mkdirat(out.parent_, hidden, mode));
  out.hidden_ = std::move(hidden);
  ASSIGN_OR_RETURN(out.directory_, sys::openat(out.parent_, out.hidden_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (place.there) {
    RETURN_IF_ERROR(sys::fchown(out.directory_, place.there->st_uid, place.there->st_gid));
    RETURN_IF_ERROR(sys::fchmod(out.directory_, place.there->st_mode & 07777));
  }
  return out;
}

NewDirectory::~NewDirectory() {
  if (parent_ && !hidden_.empty()) (void)!remove_tree(parent_, hidden_).ok();
}

Status NewDirectory::publish() {
  RETURN_IF_ERROR(sys::syncfs(directory_));
  Status moved = sys::renameat(parent_, hidden_, parent_, name_);
  if (!moved.ok()) {
    const int why = moved.error().errno_value();
    if (why == ENOTEMPTY || why == EEXIST)
      return Error(Errc::kAlreadyExists, "directory " + quoted(name_) + " is not empty any more", why);
    return moved;
  }
  hidden_.clear();
  return sys::fsync(parent_);
}

}  // namespace cooper::io
