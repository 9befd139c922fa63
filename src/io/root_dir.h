// RootDir: the only way to touch paths inside a container's root file system (or an image tree being unpacked).
//
// Every path is taken as seen from inside: absolute paths, ".." and symbolic links (also in the middle of the path)
// resolve within the root and can never leave it, whatever another process renames meanwhile (openat2 RESOLVE_IN_ROOT,
// kernel 5.6; a component walk over directory descriptors where openat2 is missing). Magic links of /proc are never
// followed. Results are descriptors: use them, never the path again.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::io {

class RootDir {
 public:
  // The root itself: the last component may not be a symbolic link.
  static Result<RootDir> open(const std::string& host_path);
  static RootDir adopt(UniqueFd fd) { return RootDir(std::move(fd)); }

  BorrowedFd fd() const { return fd_; }
  UniqueFd release() { return std::move(fd_); }

  // Opens an existing file or directory (or creates it with O_CREAT|O_EXCL). A final symbolic link is followed inside
  // the root unless flags has O_NOFOLLOW.
  Result<UniqueFd> open_at(std::string_view path, int flags, mode_t mode = 0) const;
  // O_PATH descriptor of the directory `path`, created with its parents (mode, owned by uid:gid) where missing, also
  // behind dangling links. Errc::kInvalidArgument when a component exists and is not a directory.
  Result<UniqueFd> make_directories(std::string_view path, mode_t mode = 0755, uid_t uid = 0, gid_t gid = 0) const;
  // The same for a place that nobody else may choose: the last component is no symbolic link (ELOOP), made where it is
  // missing; looked at and opened in one step.
  Result<UniqueFd> make_real_directory(std::string_view path, mode_t mode = 0755) const;
  // O_PATH descriptor of the file `path`; an empty regular file is created (with parents) when nothing is there.
  // An existing directory is an error.
  Result<UniqueFd> make_file(std::string_view path, mode_t mode = 0644) const;
  // Parent directory of `path` (created when `create`), and the last component: for mknodat, symlinkat, unlinkat,
  // renameat. The last component is never "", "." or "..".
  struct Parent {
    UniqueFd dir;
    std::string name;
  };
  Result<Parent> parent_of(std::string_view path, bool create = true) const;
  // Status of `path` itself (final link not followed); Errc::kNotFound when missing.
  Result<struct stat> stat_at(std::string_view path) const;
  Result<std::string> read_file(std::string_view path, std::size_t max_bytes) const;

 private:
  explicit RootDir(UniqueFd fd) : fd_(std::move(fd)) {}
  enum class Missing { kFail, kMakeDirectory, kMakeFile };
  struct WalkOptions {
    Missing missing = Missing::kFail;
    mode_t mode = 0755;
    uid_t uid = 0;
    gid_t gid = 0;
    bool follow_last = true;
  };
  Result<UniqueFd> make_last(std::string_view path, mode_t mode) const;
  Result<UniqueFd> walk(std::string_view path, const WalkOptions& options) const;
  UniqueFd fd_;
};

}  // namespace cooper::io
