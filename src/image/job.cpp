#include "image/internal/job.h"

#include <sys/file.h>
#include <sys/random.h>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "image/internal/paths.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

std::string random_name() {
  char bytes[12] = {};
  (void)!::getrandom(bytes, sizeof bytes, 0);
  return hex_encode({bytes, sizeof bytes});
}

// False when somebody took the directory for a leftover and removed it before it was locked.
Result<bool> lock_directory(BorrowedFd store, const std::string& path, BorrowedFd fd) {
  RETURN_IF_ERROR(sys::flock(fd, LOCK_EX));
  ASSIGN_OR_RETURN(const struct stat mine, sys::fstat(fd));
  const auto there = sys::fstatat(store, path);
  return there.ok() && same_file(mine, *there);
}

}  // namespace

Result<Job> Job::create(BorrowedFd store) {
  for (int attempt = 0; attempt < 16; ++attempt) {
    const std::string path = std::string(kTmpDir) + "/" + random_name();
    if (Status made = sys::mkdirat(store, path, 0700); !made.ok()) {
      if (made.error().errno_value() == EEXIST) continue;
      return std::move(made).error().with("temporary directory of the image store");
    }
    auto fd = sys::openat(store, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd.ok()) {
      if (fd.error().errno_value() == ENOENT) continue;
      (void)sys::unlinkat(store, path, AT_REMOVEDIR);
      return std::move(fd).error();
    }
    ASSIGN_OR_RETURN(const bool locked, lock_directory(store, path, *fd));
    if (locked) return Job(store, path, std::move(*fd));
  }
  return Error(Errc::kBusy, "no temporary directory could be made in the image store");
}

Result<Job> Job::take(BorrowedFd store, const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, sys::openat(store, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  // Locked before gc can see it.
  RETURN_IF_ERROR(sys::flock(fd, LOCK_EX));
  const std::string taken = std::string(kTmpDir) + "/" + random_name();
  RETURN_IF_ERROR(sys::renameat(store, path, store, taken));
  return Job(store, taken, std::move(fd));
}

Job::Job(Job&& other) noexcept
    : store_(other.store_), path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}

Job::~Job() {
  // Failure leaves a directory that gc removes.
  if (!path_.empty()) (void)io::remove_tree(store_, path_);
}

std::uint64_t disk_usage(BorrowedFd dir, const std::string& name) {
  const auto info = sys::fstatat(dir, name);
  if (!info.ok()) return 0;
  std::uint64_t total = static_cast<std::uint64_t>(info->st_blocks) * 512;
  if (!S_ISDIR(info->st_mode)) return total / std::max<std::uint64_t>(info->st_nlink, 1);
  const auto fd = sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd.ok()) return total;
  const auto names = sys::list_directory(*fd);
  if (!names.ok()) return total;
  for (const std::string& child : *names) total += disk_usage(*fd, child);
  return total;
}

namespace {

// Calls `found(tmp, name)` for each job of a dead process, which is locked meanwhile.
template <typename F>
Status for_each_stale_job(BorrowedFd store, F found) {
  ASSIGN_OR_RETURN(const UniqueFd tmp, sys::openat(store, kTmpDir, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(tmp));
  for (const std::string& name : names) {
    const auto fd = sys::openat(tmp, name, O_RDONLY | O_NOFOLLOW);
    if (!fd.ok()) continue;
    if (!sys::flock(*fd, LOCK_EX | LOCK_NB).ok()) continue;
    RETURN_IF_ERROR(found(tmp.borrow(), name));
  }
  return {};
}

}  // namespace

Result<std::uint64_t> remove_stale_jobs(BorrowedFd store) {
  std::uint64_t freed = 0;
  Status removed = for_each_stale_job(store, [&](BorrowedFd tmp, const std::string& name) -> Status {
    const std::uint64_t bytes = disk_usage(tmp, name);
    RETURN_IF_ERROR(io::remove_tree(tmp, name));
    freed += bytes;
    return {};
  });
  RETURN_IF_ERROR(std::move(removed));
  return freed;
}

Result<std::uint64_t> stale_job_bytes(BorrowedFd store) {
  std::uint64_t bytes = 0;
  Status measured = for_each_stale_job(store, [&](BorrowedFd tmp, const std::string& name) -> Status {
    bytes += disk_usage(tmp, name);
    return {};
  });
  RETURN_IF_ERROR(std::move(measured));
  return bytes;
}

}  // namespace cooper::image
