// Files and directories that take long to write: they appear under their name whole, or not at all. Until then a file
// has no name where the file system can do that (a kill leaves nothing), and otherwise, as a directory always, a hidden
// one beside the final one, which is removed with what it holds unless publish() was called.
#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::io {

class NewFile {
 public:
  // What is at `path` is replaced by publish() and must be a regular file (Errc::kInvalidArgument); links to it are
  // followed.
  static Result<NewFile> create(const std::string& path, mode_t mode = 0644);
  NewFile(NewFile&& other) noexcept = default;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  BorrowedFd fd() const { return file_; }
  // On disk, then in its place.
  Status publish();

 private:
  NewFile() = default;
  UniqueFd directory_;
  UniqueFd file_;
  std::string name_;
  std::string hidden_;  // empty: it has no name yet
};

class NewDirectory {
 public:
  // What is at `path` must be an empty directory (Errc::kAlreadyExists), whose mode and owner are kept.
  static Result<NewDirectory> create(const std::string& path, mode_t mode = 0755);
  NewDirectory(NewDirectory&& other) noexcept = default;
  NewDirectory& operator=(NewDirectory&&) = delete;
  ~NewDirectory();

  BorrowedFd fd() const { return directory_; }
  Status publish();

 private:
  NewDirectory() = default;
  UniqueFd parent_;
  UniqueFd directory_;
  std::string name_;
  std::string hidden_;
};

}  // namespace cooper::io
