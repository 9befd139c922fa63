#include "sys/file.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "base/strings.h"
#include "sys/retry.h"

namespace cooper::sys {
namespace {

Error fail(std::string_view call, const std::string& path) {
  const int saved = errno;
  return Error::from_errno(saved, std::string(call) + " " + quoted(path));
}

}  // namespace

Result<UniqueFd> openat(BorrowedFd dir, const std::string& path, int flags, mode_t mode) {
  const int fd = retry([&] { return ::openat(dir.get(), path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return fail("open", path);
  return UniqueFd(fd);
}

Result<UniqueFd> openat2(BorrowedFd dir, const std::string& path, int flags, mode_t mode, std::uint64_t resolve) {
  struct open_how how = {};
  how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags)) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  for (int attempt = 0;; ++attempt) {
    const long fd = ::syscall(SYS_openat2, dir.get(), path.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno == EINTR || (errno == EAGAIN && attempt < 128)) continue;
    return fail("open", path);
  }
}

Result<UniqueFd> reopen(BorrowedFd fd, int flags) {
  return openat(kCwd, "/proc/self/fd/" + std::to_string(fd.get()), flags);
}

Result<UniqueFd> dup_cloexec(BorrowedFd fd, int lowest) {
  const int copy = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, lowest);
  if (copy < 0) return Error::from_errno(errno, "duplicate file descriptor " + std::to_string(fd.get()));
  return UniqueFd(copy);
}

Status mkdirat(BorrowedFd dir, const std::string& path, mode_t mode) {
  if (::mkdirat(dir.get(), path.c_str(), mode) != 0) return fail("create directory", path);
  return {};
}

Status mknodat(BorrowedFd dir, const std::string& path, mode_t mode, dev_t device) {
  if (::mknodat(dir.get(), path.c_str(), mode, device) != 0) return fail("create node", path);
  return {};
}

Status unlinkat(BorrowedFd dir, const std::string& path, int flags) {
  if (::unlinkat(dir.get(), path.c_str(), flags) != 0) return fail("remove", path);
  return {};
}

Status symlinkat(const std::string& target, BorrowedFd dir, const std::string& path) {
  if (::symlinkat(target.c_str(), dir.get(), path.c_str()) != 0) return fail("create symlink", path);
  return {};
}

Status linkat(BorrowedFd from_dir, const std::string& from, BorrowedFd to_dir, const std::string& to, int flags) {
  if (::linkat(from_dir.get(), from.c_str(), to_dir.get(), to.c_str(), flags) != 0)
    return fail("link " + quoted(from) + " to", to);
  return {};
}

Status renameat(BorrowedFd from_dir, const std::string& from, BorrowedFd to_dir, const std::string& to) {
  if (::renameat(from_dir.get(), from.c_str(), to_dir.get(), to.c_str()) != 0)
    return fail("rename " + quoted(from) + " to", to);
  return {};
}

Status renameat2(BorrowedFd from_dir, const std::string& from, BorrowedFd to_dir, const std::string& to,
                 unsigned flags) {
  if (::renameat2(from_dir.get(), from.c_str(), to_dir.get(), to.c_str(), flags) != 0) {
    return fail("rename " + quoted(from) + " to", to);
  }
  return {};
}

Result<std::string> readlinkat(BorrowedFd dir, const std::string& path) {
  std::array<char, 4097> buffer{};
  const ssize_t n = ::readlinkat(dir.get(), path.c_str(), buffer.data(), buffer.size());
  if (n < 0) return fail("read link", path);
  return std::string(buffer.data(), static_cast<std::size_t>(n));
}

Result<std::string> path_of(BorrowedFd fd) {
  return readlinkat(kCwd, "/proc/self/fd/" + std::to_string(fd.get()));
}

Status fchown(BorrowedFd fd, uid_t uid, gid_t gid) {
  if (::fchownat(fd.get(), "", uid, gid, AT_EMPTY_PATH) != 0) return Error::from_errno(errno, "change owner");
  return {};
}

Status fchownat(BorrowedFd dir, const std::string& path, uid_t uid, gid_t gid, int flags) {
  if (::fchownat(dir.get(), path.c_str(), uid, gid, flags) != 0) return fail("change owner of", path);
  return {};
}

Status fchmod(BorrowedFd fd, mode_t mode) {
  if (::fchmod(fd.get(), mode) != 0) return Error::from_errno(errno, "change mode");
  return {};
}

Status fchmodat(BorrowedFd dir, const std::string& path, mode_t mode) {
  if (::fchmodat(dir.get(), path.c_str(), mode, 0) != 0) return fail("change mode of", path);
  return {};
}

Status utimensat(BorrowedFd dir, const std::string& path, const struct timespec (&times)[2], int flags) {
  if (::utimensat(dir.get(), path.c_str(), times, flags) != 0) return fail("set times of", path);
  return {};
}

Result<struct stat> fstat(BorrowedFd fd) {
  struct stat out = {};
  if (::fstat(fd.get(), &out) != 0) return Error::from_errno(errno, "stat file descriptor");
  return out;
}

Result<struct stat> fstatat(BorrowedFd dir, const std::string& path, int flags) {
  struct stat out = {};
  if (::fstatat(dir.get(), path.c_str(), &out, flags) != 0) return fail("stat", path);
  return out;
}

Result<struct statfs> fstatfs(BorrowedFd fd) {
  struct statfs out = {};
  if (retry([&] { return ::fstatfs(fd.get(), &out); }) != 0) return Error::from_errno(errno, "statfs");
  return out;
}

Status fsync(BorrowedFd fd) {
  if (retry([&] { return ::fsync(fd.get()); }) != 0) return Error::from_errno(errno, "fsync");
  return {};
}

Status fdatasync(BorrowedFd fd) {
  if (retry([&] { return ::fdatasync(fd.get()); }) != 0) return Error::from_errno(errno, "fdatasync");
  return {};
}

Status ftruncate(BorrowedFd fd, off_t size) {
  if (retry([&] { return ::ftruncate(fd.get(), size); }) != 0) return Error::from_errno(errno, "truncate");
  return {};
}

Status flock(BorrowedFd fd, int operation) {
  if (retry([&] { return ::flock(fd.get(), operation); }) != 0) return Error::from_errno(errno, "lock");
  return {};
}

Result<std::size_t> read(BorrowedFd fd, std::span<char> buffer) {
  const ssize_t n = retry([&] { return ::read(fd.get(), buffer.data(), buffer.size()); });
  if (n < 0) return Error::from_errno(errno, "read");
  return static_cast<std::size_t>(n);
}

Result<std::size_t> write(BorrowedFd fd, std::string_view data) {
  const ssize_t n = retry([&] { return ::write(fd.get(), data.data(), data.size()); });
  if (n < 0) return Error::from_errno(errno, "write");
  return static_cast<std::size_t>(n);
}

Result<std::size_t> pread(BorrowedFd fd, std::span<char> buffer, off_t offset) {
  const ssize_t n = retry([&] { return ::pread(fd.get(), buffer.data(), buffer.size(), offset); });
  if (n < 0) return Error::from_errno(errno, "read");
  return static_cast<std::size_t>(n);
}

Status write_all(BorrowedFd fd, std::string_view data) {
  while (!data.empty()) {
    ASSIGN_OR_RETURN(const std::size_t n, write(fd, data));
    data.remove_prefix(n);
  }
  return {};
}

Status lsetxattr_at(BorrowedFd dir, const std::string& path, const std::string& name, std::string_view value) {
  // There is no setxattrat before 6.13: go through the directory's descriptor, never following the last component.
  const std::string full =
      path.empty() || path[0] == '/' ? path : "/proc/self/fd/" + std::to_string(dir.get()) + "/" + path;
  if (::lsetxattr(full.c_str(), name.c_str(), value.data(), value.size(), 0) != 0)
    return fail("set xattr " + name + " on", path);
  return {};
}

Status fcntl_setfl(BorrowedFd fd, int flags) {
  if (::fcntl(fd.get(), F_SETFL, flags) != 0) return Error::from_errno(errno, "set file status flags");
  return {};
}

Result<int> fcntl_getfl(BorrowedFd fd) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0) return Error::from_errno(errno, "get file status flags");
  return flags;
}

Status set_cloexec(BorrowedFd fd, bool on) {
  if (::fcntl(fd.get(), F_SETFD, on ? FD_CLOEXEC : 0) != 0) return Error::from_errno(errno, "set close-on-exec");
  return {};
}

Result<Pipe> pipe2(int flags) {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), flags | O_CLOEXEC) != 0) return Error::from_errno(errno, "create pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<UniqueFd> memfd_create(const std::string& name, unsigned flags) {
  const int fd = ::memfd_create(name.c_str(), flags | MFD_CLOEXEC);
  if (fd < 0) return fail("memfd_create", name);
  return UniqueFd(fd);
}

Status syncfs(BorrowedFd fd) {
  if (::syncfs(fd.get()) != 0) return Error::from_errno(errno, "sync file system");
  return {};
}

void start_writeback(BorrowedFd fd) {
  (void)!::sync_file_range(fd.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
}

Status pwrite_all(BorrowedFd fd, std::string_view data, off_t offset) {
  while (!data.empty()) {
    const ssize_t n = retry([&] { return ::pwrite(fd.get(), data.data(), data.size(), offset); });
    if (n < 0) return Error::from_errno(errno, "write");
    data.remove_prefix(static_cast<std::size_t>(n));
    offset += n;
  }
  return {};
}

Status futimens(BorrowedFd fd, const struct timespec (&times)[2]) {
  if (::futimens(fd.get(), times) != 0) return Error::from_errno(errno, "set times");
  return {};
}

Result<std::vector<std::string>> flistxattr(BorrowedFd fd) {
  std::string names(65536, '\0');  // the kernel's own limit
  const ssize_t n = ::flistxattr(fd.get(), names.data(), names.size());
  if (n < 0) {
    if (errno == ENOTSUP) return std::vector<std::string>();
    return Error::from_errno(errno, "list xattrs");
  }
  std::vector<std::string> out;
  for (const char* at = names.data(); at < names.data() + n; at += out.back().size() + 1) out.emplace_back(at);
  return out;
}

Result<std::string> fgetxattr(BorrowedFd fd, const std::string& name) {
  std::string value(65536, '\0');
  const ssize_t n = ::fgetxattr(fd.get(), name.c_str(), value.data(), value.size());
  if (n < 0) return Error::from_errno(errno, "get xattr " + name);
  value.resize(static_cast<std::size_t>(n));
  return value;
}

Status fsetxattr(BorrowedFd fd, const std::string& name, std::string_view value) {
  if (::fsetxattr(fd.get(), name.c_str(), value.data(), value.size(), 0) != 0) {
    return Error::from_errno(errno, "set extended attribute " + quoted(name));
  }
  return {};
}

Result<std::vector<std::string>> list_directory(BorrowedFd dir) {
  // A second descriptor: the caller's offset must not move, and dir may be O_PATH.
  ASSIGN_OR_RETURN(UniqueFd fd, openat(dir, ".", O_RDONLY | O_DIRECTORY));
  std::vector<std::string> names;
  alignas(struct dirent64) std::array<char, 16384> buffer;
  while (true) {
    const long n = ::syscall(SYS_getdents64, fd.get(), buffer.data(), buffer.size());
    if (n < 0) return Error::from_errno(errno, "read directory");
    if (n == 0) return names;
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const struct dirent64*>(buffer.data() + at);
      const std::string_view name(entry->d_name);
      if (name != "." && name != "..") names.emplace_back(name);
      at += entry->d_reclen;
    }
  }
}

}  // namespace cooper::sys
