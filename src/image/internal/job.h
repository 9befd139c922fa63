// A directory in tmp/ for work in progress. It is locked while its process lives, so that gc can tell what is left
// over, and removed with all in it when the job ends, however it ends.
#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::image {

class Job {
 public:
  // `store` must outlive the job.
  static Result<Job> create(BorrowedFd store);
  // Turns an existing directory of the store into a job, to be removed with it: it leaves its place by one rename,
  // which needs no space on a full disk. Errc::kNotFound when there is none.
  static Result<Job> take(BorrowedFd store, const std::string& path);
  Job(Job&& other) noexcept;
  Job& operator=(Job&&) = delete;
  ~Job();

  BorrowedFd fd() const { return fd_; }
  // Relative to the store: "tmp/<random>".
  const std::string& path() const { return path_; }

 private:
  Job(BorrowedFd store, std::string path, UniqueFd fd) : store_(store), path_(std::move(path)), fd_(std::move(fd)) {}
  BorrowedFd store_;
  std::string path_;
  UniqueFd fd_;
};

// Removes the jobs of dead processes. Returns the bytes freed.
Result<std::uint64_t> remove_stale_jobs(BorrowedFd store);
// What that would free now.
Result<std::uint64_t> stale_job_bytes(BorrowedFd store);
// Bytes of the blocks of all files below (hard links counted once each).
std::uint64_t disk_usage(BorrowedFd dir, const std::string& name);

}  // namespace cooper::image
