// The child that becomes criu.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::criu {

struct Service {
  std::string program;
  std::string mount_from, mount_at;
  std::string mount_below;               // mount point of the file system that mount_at is on
  std::vector<std::string> directories;  // opened by the child
  std::vector<int> passed;
  // To the parent: first its end of criu's socket, with no words; then, if there is a failure before the execve, its
  // errno and what failed. Close-on-exec.
  BorrowedFd parent{-1};
};

// Does not return. The socket becomes 3 of criu, the directories 4 ..., what is passed follows.
[[noreturn]] void serve(Service service);

}  // namespace cooper::criu
