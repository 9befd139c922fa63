// Small files of the cgroup file systems, by path.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::cgroup {

// Where paths of control groups are looked up from: /sys/fs/cgroup, which the owner of the descriptor holds open, or
// nothing. From there a look-up does not pass /sys and /sys/fs, where it would wait for every network namespace that is
// made or taken down: these write to that file system, and hold its lock. Paths stay absolute, in errors too.
class Base {
 public:
  Base() = default;
  explicit Base(BorrowedFd fd) : fd_(fd) {}
  // O_PATH; nothing when there is no such directory.
  static UniqueFd open();

  Result<UniqueFd> openat(const std::string& path, int flags) const;
  Status mkdir(const std::string& path) const;
  Status rmdir(const std::string& path) const;

 private:
  // The rest of a path below it; empty for any other path.
  std::string rest(const std::string& path) const;

  BorrowedFd fd_{-1};
};

// Whole content, at most 1 MiB.
Result<std::string> read_control(const std::string& path);
// A file that holds one short value (at most 4 KiB): open, one read, close. Trimmed.
Result<std::string> read_value(const std::string& path, Base base = {});
// open, one write, close. The error names value and path and keeps the errno.
Status write_control(const std::string& path, std::string_view value, Base base = {});
// Names of the directories below `path` (child groups); empty when it does not exist.
Result<std::vector<std::string>> child_groups(const std::string& path);
// Process ids of one cgroup.procs; ids of other pid namespaces (shown as 0) are left out.
Result<std::vector<pid_t>> read_processes(const std::string& directory);
// The same with all child groups, sorted, each once. A directory that does not exist has none.
Result<std::vector<pid_t>> read_processes_recursive(const std::string& directory);

// "/a//b/" -> "/a/b". Errc::kInvalidArgument unless absolute, below the root, without "." and "..".
Result<std::string> normalize_path(std::string_view path);
// Host directory of a group path in a hierarchy whose mount may show a part of the tree only.
std::string directory_of(std::string_view mount_point, std::string_view mount_root, std::string_view path);

// True for the errors that mean "not allowed to".
bool is_permission(int errno_value);

// Milliseconds left until a deadline.
class Deadline {
 public:
  explicit Deadline(int timeout_ms);
  bool passed() const { return left_ms() <= 0; }
  int left_ms() const;

 private:
  std::int64_t end_ms_;
};
// Sleeps for the next, longer step of a short-then-patient wait: 50 us first, doubling up to 10 ms.
class Backoff {
 public:
  void sleep();

 private:
  std::int64_t us_ = 50;
};

}  // namespace cooper::cgroup
