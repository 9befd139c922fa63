// Extended attributes of a name, whose last component is not followed; what else there is for open files is in
// sys/file.h.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::sys {

// A file system without any has none.
Result<std::vector<std::string>> llistxattr_at(BorrowedFd dir, const std::string& path);
Result<std::string> lgetxattr_at(BorrowedFd dir, const std::string& path, const std::string& name);
Status fremovexattr(BorrowedFd fd, const std::string& name);

}  // namespace cooper::sys
