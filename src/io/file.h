// Whole-file reading and crash-safe writing on the host's own trees (never below a container's root: that is
// RootDir's).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "sys/file.h"

namespace cooper::io {

// Reads all of a (regular or /proc) file; Errc::kLimit beyond max_bytes.
Result<std::string> read_file(BorrowedFd dir, const std::string& path, std::size_t max_bytes = std::size_t{64} << 20);
inline Result<std::string> read_file(const std::string& path, std::size_t max_bytes = std::size_t{64} << 20) {
  return read_file(sys::kCwd, path, max_bytes);
}
Result<std::string> read_all(BorrowedFd fd, std::size_t max_bytes);
// The same for files that others may have exchanged: Errc::kInvalidArgument for what is no regular file, never a wait.
Result<std::string> read_regular_file(const std::string& path, std::size_t max_bytes);

enum class Durability {
  kNone,   // readers see old or new; a power cut may lose it (state on tmpfs)
  kFsync,  // file and directory are flushed
};
// Readers see the old bytes or all of the new ones: written to a temporary name in the same directory, then renamed.
// A failure leaves the old file and no temporary one.
Status write_file_atomic(BorrowedFd dir, const std::string& path, std::string_view data, mode_t mode = 0644,
                         Durability durability = Durability::kNone);
inline Status write_file_atomic(const std::string& path, std::string_view data, mode_t mode = 0644,
                                Durability durability = Durability::kNone) {
  return write_file_atomic(sys::kCwd, path, data, mode, durability);
}
// One write(2) to an existing kernel or plain file (cgroup, proc): O_WRONLY, no creation; a short write is an error.
Status write_existing(BorrowedFd dir, const std::string& path, std::string_view data);
// The same with the file open; errors call it `path`.
Status write_once(BorrowedFd fd, std::string_view data, const std::string& path);
// Creates all missing parents; existing directories are fine.
Status make_directories(const std::string& path, mode_t mode = 0755);
// Removes the directory and all in it, never following links or crossing into another mount. A missing one is fine.
Status remove_tree(BorrowedFd dir, const std::string& name);

// Opens /dev/null for each of descriptors 0, 1 and 2 that the caller had closed, kept across exec, so that nothing else
// takes their places. For the first lines of a program.
Status occupy_standard_streams();
// Writing beyond the caller's file size limit becomes EFBIG instead of the end of this program. Programs executed from
// here on have the default again.
void survive_file_size_limit();
// Who started us may have SIGCHLD ignored, which execve(2) keeps: the kernel would reap our children before we can ask
// how they ended.
void take_back_children();

// An flock(2) lock on a file (created 0600). Released when destroyed or when the process dies.
class FileLock {
 public:
  enum class Mode { kShared, kExclusive };
  // Blocks. The lock file is never removed by this class.
  static Result<FileLock> acquire(BorrowedFd dir, const std::string& path, Mode mode);
  // Errc::kBusy when somebody else holds it.
  static Result<FileLock> try_acquire(BorrowedFd dir, const std::string& path, Mode mode);
  BorrowedFd fd() const { return fd_; }
  UniqueFd release() { return std::move(fd_); }

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  static Result<FileLock> lock(BorrowedFd dir, const std::string& path, int operation);
  UniqueFd fd_;
};

}  // namespace cooper::io
