// Zone S: what is made in the root file system beside its mounts, and file systems in memory that only hold something
// else together.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "container/extras.h"
#include "io/root_dir.h"

namespace cooper::container {

Status make_entry(const RootEntry& entry, const io::RootDir& root);

// A file system in memory that is nobody's mount: attached for as long as this lives, because the kernel takes binds
// and layers of overlays from mounts of the own namespace only (before 6.15), and gone with the last use of its files.
class ScratchMount {
 public:
  static Result<ScratchMount> make();
  ScratchMount(ScratchMount&&) noexcept = default;
  ScratchMount& operator=(ScratchMount&&) = delete;
  ~ScratchMount();
  BorrowedFd top() const { return top_; }

 private:
  explicit ScratchMount(UniqueFd top) : top_(std::move(top)) {}
  UniqueFd top_;
};

// The upper and the work directory of an overlay.
class ScratchLayers {
 public:
  static Result<ScratchLayers> make();
  void add_to(std::vector<std::string>& mount_options) const;
  void add_to(std::vector<std::pair<std::string, std::string>>& options) const;

 private:
  explicit ScratchLayers(ScratchMount mount) : mount_(std::move(mount)) {}
  std::string path(const char* name) const;
  ScratchMount mount_;
};

}  // namespace cooper::container
