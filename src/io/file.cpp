#include "io/file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/random.h>

#include "base/scope_exit.h"
#include "base/strings.h"

namespace cooper::io {
namespace {

std::string random_suffix() {
  char bytes[8] = {};
  (void)!::getrandom(bytes, sizeof bytes, 0);
  return hex_encode({bytes, sizeof bytes});
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

Result<std::string> read_all(BorrowedFd fd, std::size_t max_bytes) {
  std::string out;
  std::size_t chunk = 4096;
  while (true) {
    const std::size_t before = out.size();
    out.resize(before + chunk);
    ASSIGN_OR_RETURN(const std::size_t n, sys::read(fd, std::span(out.data() + before, chunk)));
    out.resize(before + n);
    if (n == 0) return out;
    if (out.size() > max_bytes)
      return Error(Errc::kLimit, "file is larger than " + std::to_string(max_bytes) + " bytes", EFBIG);
    if (chunk < (std::size_t{1} << 20)) chunk *= 2;
  }
}

Result<std::string> read_file(BorrowedFd dir, const std::string& path, std::size_t max_bytes) {
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(dir, path, O_RDONLY));
  auto data = read_all(fd, max_bytes);
  if (!data.ok()) return std::move(data).error().with("read " + quoted(path));
  return data;
}

Result<std::string> read_regular_file(const std::string& path, std::size_t max_bytes) {
  // O_NONBLOCK: opening a fifo must not wait for a writer.
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(sys::kCwd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(fd));
  if (!S_ISREG(info.st_mode)) return Error(Errc::kInvalidArgument, quoted(path) + " is not a regular file");
  auto data = read_all(fd, max_bytes);
  if (!data.ok()) return std::move(data).error().with("read " + quoted(path));
  return data;
}

Status write_file_atomic(BorrowedFd dir, const std::string& path, std::string_view data, mode_t mode,
                         Durability durability) {
  const auto [parent, name] = split_path(path);
  const std::string temporary = parent + "/." + name + "." + random_suffix();
  ASSIGN_OR_RETURN(UniqueFd fd, sys::openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  ScopeExit remove([&] { (void)!sys::unlinkat(dir, temporary).ok(); });
  const auto context = [&](Error error) { return std::move(error).with("write " + quoted(path)); };
  if (Status s = sys::write_all(fd, data); !s.ok()) return context(std::move(s).error());
  if (durability == Durability::kFsync) {
    if (Status s = sys::fsync(fd); !s.ok()) return context(std::move(s).error());
  }
  RETURN_IF_ERROR(sys::renameat(dir, temporary, dir, path));
  remove.dismiss();
  if (durability == Durability::kFsync) {
    ASSIGN_OR_RETURN(const UniqueFd parent_fd, sys::openat(dir, parent, O_RDONLY | O_DIRECTORY));
    RETURN_IF_ERROR(sys::fsync(parent_fd));
  }
  return {};
}

Status write_existing(BorrowedFd dir, const std::string& path, std::string_view data) {
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(dir, path, O_WRONLY));
  return write_once(fd, data, path);
}

Status write_once(BorrowedFd fd, std::string_view data, const std::string& path) {
  auto written = sys::write(fd, data);
  if (!written.ok()) return std::move(written).error().with("write " + quoted(data) + " to " + quoted(path));
  if (*written != data.size()) return Error(Errc::kSystem, "short write to " + quoted(path), EIO);
  return {};
}

Status make_directories(const std::string& path, mode_t mode) {
  if (path.empty()) return Error(Errc::kInvalidArgument, "empty directory path", EINVAL);
  for (std::size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string prefix = path.substr(0, at);
    if (Status made = sys::mkdirat(sys::kCwd, prefix, mode); !made.ok()) {
      if (made.error().errno_value() == EEXIST) continue;
      // A read-only or foreign parent that exists answers EROFS or EACCES before EEXIST.
      if (sys::fstatat(sys::kCwd, prefix, 0).ok()) continue;
      return std::move(made).error();
    }
  }
  ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(sys::kCwd, path, 0));
  if (!S_ISDIR(info.st_mode)) return Error(Errc::kInvalidArgument, quoted(path) + " is not a directory", ENOTDIR);
  return {};
}

namespace {

// A container may nest directories deeper than we have descriptors (or stack) for: what lies so deep is moved up first.
constexpr int kMaxDepth = 64;

// Not one that something is mounted on: what is in there is somebody else's.
Result<UniqueFd> open_own(BorrowedFd dir, const std::string& name) {
  auto opened = sys::openat2(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_NO_XDEV);
  if (opened.ok() || opened.error().errno_value() != EXDEV) return opened;
  return Error(Errc::kBusy, "something is mounted on " + quoted(name), EBUSY);
}

class TreeRemover {
 public:
  explicit TreeRemover(BorrowedFd top) : top_(top) {}

  // Everything in `dir`. False: something was moved up to the top, which has to be looked at again.
  Result<bool> empty(BorrowedFd dir, int depth) {
    bool complete = true;
    ASSIGN_OR_RETURN(const auto names, sys::list_directory(dir));
    for (const std::string& name : names) {
      Status removed = sys::unlinkat(dir, name);
      if (removed.ok() || removed.error().errno_value() == ENOENT) continue;
      const int e = removed.error().errno_value();
      if (e != EISDIR && e != EPERM) return std::move(removed).error();
      if (depth >= kMaxDepth) {
        RETURN_IF_ERROR(move_up(dir, name));
        complete = false;
        continue;
      }
      ASSIGN_OR_RETURN(const bool whole, remove_directory(dir, name, depth));
      complete = complete && whole;
    }
    return complete;
  }

 private:
  Result<bool> remove_directory(BorrowedFd dir, const std::string& name, int depth) {
    auto opened = open_own(dir, name);
    if (!opened.ok()) {
      if (opened.error().errno_value() == ENOENT) return true;
      return std::move(opened).error();
    }
    ASSIGN_OR_RETURN(const bool complete, empty(*opened, depth + 1));
    opened->reset();
    Status removed = sys::unlinkat(dir, name, AT_REMOVEDIR);
    if (!removed.ok() && removed.error().errno_value() != ENOENT) return std::move(removed).error();
    return complete;
  }

  Status move_up(BorrowedFd dir, const std::string& name) {
    while (true) {
      const std::string free = ".deep-" + std::to_string(moved_++);
      if (sys::fstatat(top_, free).ok()) continue;
      return sys::renameat(dir, name, top_, free);
    }
  }

  BorrowedFd top_;
  std::uint64_t moved_ = 0;
};

}  // namespace

Status remove_tree(BorrowedFd dir, const std::string& name) {
  const auto [parent, last] = split_path(name);
  auto above = sys::openat(dir, parent, O_PATH | O_DIRECTORY);
  if (!above.ok()) return above.error().errno_value() == ENOENT ? Status() : Status(std::move(above).error());
  auto opened = open_own(*above, last);
  if (!opened.ok()) {
    const int e = opened.error().errno_value();
    if (e == ENOENT) return {};
    if (e == ENOTDIR || e == ELOOP) return sys::unlinkat(dir, name);
    return std::move(opened).error();
  }
  TreeRemover remover(*opened);
  while (true) {
    ASSIGN_OR_RETURN(const bool complete, remover.empty(*opened, 0));
    if (complete) break;
  }
  opened->reset();
  Status removed = sys::unlinkat(dir, name, AT_REMOVEDIR);
  if (!removed.ok() && removed.error().errno_value() != ENOENT) return removed;
  return {};
}

void survive_file_size_limit() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  (void)::sigaction(SIGXFSZ, &action, nullptr);
}

void take_back_children() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  (void)::sigaction(SIGCHLD, &action, nullptr);
}

Status occupy_standard_streams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    const int null = ::open("/dev/null", O_RDWR);  // the lowest free number
    if (null != fd) return Error::from_errno(errno, "open /dev/null in place of a closed standard stream");
  }
  return {};
}

Result<FileLock> FileLock::lock(BorrowedFd dir, const std::string& path, int operation) {
  ASSIGN_OR_RETURN(UniqueFd fd, sys::openat(dir, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (Status locked = sys::flock(fd, operation); !locked.ok()) {
    if (locked.error().errno_value() == EWOULDBLOCK)
      return Error(Errc::kBusy, quoted(path) + " is locked by another process", EWOULDBLOCK);
    return std::move(locked).error().with(quoted(path));
  }
  return FileLock(std::move(fd));
}

Result<FileLock> FileLock::acquire(BorrowedFd dir, const std::string& path, Mode mode) {
  return lock(dir, path, mode == Mode::kShared ? LOCK_SH : LOCK_EX);
}

Result<FileLock> FileLock::try_acquire(BorrowedFd dir, const std::string& path, Mode mode) {
  return lock(dir, path, (mode == Mode::kShared ? LOCK_SH : LOCK_EX) | LOCK_NB);
}

}  // namespace cooper::io
