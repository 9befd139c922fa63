// Files and directories that take long to write: they appear under their name whole, or not at all. Until then a file
// has no name where the file system can do that (a kill leaves nothing), otherwise a hidden one beside the final one
// (.cooper-new-*). What goes into a directory is in a hidden one meanwhile: beside it when it is new, in it when it is
// there. Unless publish() succeeds the hidden one is removed with what it holds.
#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::io {

// Asked when all is on the disk and nothing is left that takes long: an error ends it there.
using LastWord = std::function<Status()>;

// Of what is not complete: ".cooper-new-" and random digits.
std::string hidden_name();

class NewFile {
 public:
  // What is at `path` is replaced by publish() and must be a regular file (Errc::kInvalidArgument), whose mode and
  // owner are kept; links are followed and must lead somewhere.
  static Result<NewFile> create(const std::string& path, mode_t mode = 0644);
  // The same for an entry of a directory that is open. A link there is no file.
  static Result<NewFile> create_in(UniqueFd directory, std::string name, mode_t mode = 0644);
  NewFile(NewFile&& other) noexcept = default;
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile();

  BorrowedFd fd() const { return file_; }
  // On disk, then in its place.
  Status publish(const LastWord& last_word = {});

 private:
  NewFile() = default;
  UniqueFd directory_;
  UniqueFd file_;
  std::string name_;
  std::string hidden_;  // empty: it has no name yet
};

class NewDirectory {
 public:
  // What is at `path` must be an empty directory (Errc::kAlreadyExists), which stays what it is: a mount, somebody's
  // working directory.
  static Result<NewDirectory> create(const std::string& path, mode_t mode = 0755);
  NewDirectory(NewDirectory&& other) noexcept = default;
  NewDirectory& operator=(NewDirectory&&) = delete;
  ~NewDirectory();

  BorrowedFd fd() const { return directory_; }
  // The entry `last` appears when all others are there.
  Status publish(const std::string& last, const LastWord& last_word = {});

 private:
  NewDirectory() = default;
  Status move_up(const std::string& last);

  UniqueFd parent_;     // or the directory that is there
  UniqueFd directory_;  // the hidden one
  std::string name_;    // empty: it is there
  std::string hidden_;
};

}  // namespace cooper::io
