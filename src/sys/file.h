// Thin wrappers of the file system calls: same name, Result instead of -1/errno, EINTR retried where the manual allows.
// Every descriptor they return is close-on-exec. `dir` may be kCwd. Paths must not contain NUL bytes.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::sys {

inline constexpr BorrowedFd kCwd{AT_FDCWD};

Result<UniqueFd> openat(BorrowedFd dir, const std::string& path, int flags, mode_t mode = 0);
// resolve: RESOLVE_* of linux/openat2.h. Kernel 5.6. EAGAIN (a racing rename) is retried a bounded number of times.
Result<UniqueFd> openat2(BorrowedFd dir, const std::string& path, int flags, mode_t mode, std::uint64_t resolve);
// Re-opens what `fd` refers to with other flags through /proc/self/fd (works on O_PATH descriptors).
Result<UniqueFd> reopen(BorrowedFd fd, int flags);
Result<UniqueFd> dup_cloexec(BorrowedFd fd, int lowest = 3);

Status mkdirat(BorrowedFd dir, const std::string& path, mode_t mode);
Status mknodat(BorrowedFd dir, const std::string& path, mode_t mode, dev_t device);
Status unlinkat(BorrowedFd dir, const std::string& path, int flags = 0);
Status symlinkat(const std::string& target, BorrowedFd dir, const std::string& path);
Status linkat(BorrowedFd from_dir, const std::string& from, BorrowedFd to_dir, const std::string& to, int flags = 0);
Status renameat(BorrowedFd from_dir, const std::string& from, BorrowedFd to_dir, const std::string& to);
Status renameat2(BorrowedFd from_dir, const std::string& from, BorrowedFd to_dir, const std::string& to,
                 unsigned flags);
Result<std::string> readlinkat(BorrowedFd dir, const std::string& path);
// What /proc/self/fd says it is: of a file or directory its path now, followed by " (deleted)" when it has none any
// more.
Result<std::string> path_of(BorrowedFd fd);
Status fchown(BorrowedFd fd, uid_t uid, gid_t gid);
Status fchownat(BorrowedFd dir, const std::string& path, uid_t uid, gid_t gid, int flags = AT_SYMLINK_NOFOLLOW);
Status fchmod(BorrowedFd fd, mode_t mode);
Status fchmodat(BorrowedFd dir, const std::string& path, mode_t mode);
Status utimensat(BorrowedFd dir, const std::string& path, const struct timespec (&times)[2], int flags);
Result<struct stat> fstat(BorrowedFd fd);
Result<struct stat> fstatat(BorrowedFd dir, const std::string& path, int flags = AT_SYMLINK_NOFOLLOW);
Result<struct statfs> fstatfs(BorrowedFd fd);
Status fsync(BorrowedFd fd);
Status fdatasync(BorrowedFd fd);
Status ftruncate(BorrowedFd fd, off_t size);
Status flock(BorrowedFd fd, int operation);
Result<std::size_t> read(BorrowedFd fd, std::span<char> buffer);
Result<std::size_t> write(BorrowedFd fd, std::string_view data);
Result<std::size_t> pread(BorrowedFd fd, std::span<char> buffer, off_t offset);
Status write_all(BorrowedFd fd, std::string_view data);
Status lsetxattr_at(BorrowedFd dir, const std::string& path, const std::string& name, std::string_view value);
Status fcntl_setfl(BorrowedFd fd, int flags);
Result<int> fcntl_getfl(BorrowedFd fd);
Status set_cloexec(BorrowedFd fd, bool on);
struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
Result<Pipe> pipe2(int flags = O_CLOEXEC);
Result<UniqueFd> memfd_create(const std::string& name, unsigned flags);
// Everything of the file system `fd` is on reaches the disk; kernel 5.8 reports write-back errors.
Status syncfs(BorrowedFd fd);
// Starts writing dirty pages of the file without waiting (sync_file_range(2)); a hint, so failure is no error.
void start_writeback(BorrowedFd fd);
Status pwrite_all(BorrowedFd fd, std::string_view data, off_t offset);
// Access and modification time of an open file.
Status futimens(BorrowedFd fd, const struct timespec (&times)[2]);
Status fsetxattr(BorrowedFd fd, const std::string& name, std::string_view value);
// Names of the extended attributes; a file system without any has none.
Result<std::vector<std::string>> flistxattr(BorrowedFd fd);
Result<std::string> fgetxattr(BorrowedFd fd, const std::string& name);

// Names in the directory, without "." and "..", unsorted.
Result<std::vector<std::string>> list_directory(BorrowedFd dir);

}  // namespace cooper::sys
