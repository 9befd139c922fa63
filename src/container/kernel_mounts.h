// The kernel's file systems on /proc and /sys as they were mounted. What is covered in them is looked up from here: who
// shares the root file system can rename their mount points between the mount and the masks.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "io/root_dir.h"

namespace cooper::container {

class KernelMounts {
 public:
  // The newest mount on `destination`, whatever it is: only a proc or sysfs in its own place is kept.
  Status note(std::string_view destination, BorrowedFd top);
  void forget(std::string_view destination);
  // When copies have taken the places of all mounts.
  Status find_copies(const io::RootDir& root);
  struct Place {
    const io::RootDir* root = nullptr;
    std::string path;
  };
  Place find(const std::string& path, const io::RootDir& root) const;

 private:
  std::optional<io::RootDir>* of(std::string_view destination);
  std::optional<io::RootDir> proc_, sys_;
};

// Of a place that is not what it was.
Error exchanged(std::string_view place);

}  // namespace cooper::container
