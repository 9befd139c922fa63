// A container of the runtime is one file, <root>/<id>: its lock, and what is known of it, each part written behind the
// others when it is known. One inode and no rename is what a file system does fastest, and a creator that is killed
// leaves as much as it knew.
//
//   coop container 1
//   state 231
//   {...}
//   config 2577
//   {...}
//   state 399
//   {...}
//   exit 97
//   {...}
//
// The number is that of the bytes of the text below it. The last state holds, and the first exit. A part that is cut
// off at the end is not there: somebody was killed, or is writing it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "io/file.h"

namespace cooper::container {

struct RecordParts {
  std::string first_state;
  std::string state;  // empty: the creator has not come that far
  std::string config;
  std::optional<std::string> exit;
};

// kUnsupported: another format. kInvalidArgument: no record of ours, or damaged; `out` has what stands before the
// damage.
Status parse_record_parts(std::string_view text, std::string_view what, RecordParts& out);
// Waits for nobody. ENOENT: there is none.
Status read_record(const std::string& path, RecordParts& out);

enum class RecordPart { kState, kConfig, kExit };

class RecordFile {
 public:
  // Makes it, with the lock held. Its directory `root` is made when it is missing.
  // Errors: kAlreadyExists.
  static Result<RecordFile> create(const std::string& root, const std::string& path);
  // Waits for the lock. ENOENT: there is none, or none any more.
  static Result<RecordFile> lock(const std::string& path);
  // Somebody holds the lock.
  static Result<bool> is_locked(const std::string& path);
  BorrowedFd fd() const { return fd_; }
  Status append(RecordPart part, std::string_view text);
  // With the lock held. A file that is no record of ours stays.
  Status remove() const;

  // For whoever made it and will remove it: lets the lock go and keeps the file, without closing and opening it.
  Status unlock() const;
  enum class Since { kUnchanged, kWritten, kRemoved };
  // Waits for the lock again. What somebody has done since it was made, other than by this object.
  Result<Since> lock_again() const;

 private:
  RecordFile(UniqueFd fd, std::string path, std::uint64_t size)
      : fd_(std::move(fd)), path_(std::move(path)), size_(size) {}
  UniqueFd fd_;
  std::string path_;
  std::uint64_t size_;  // of what this object has written; 0: it has not made the file
};

// By whoever saw the end, without the lock. ENOENT: there is no record any more.
Status append_exit(const std::string& path, std::string_view text);
// A file that is no record of ours stays. One that is gone already is no error.
Status remove_record(const std::string& path);

}  // namespace cooper::container
