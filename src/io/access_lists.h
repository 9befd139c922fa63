// Access lists of a directory, which what is made in it gets: files of an image, say, would have other modes than the
// image says, and lists that it does not have.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::io {

struct AccessLists {
  mode_t mode = 0;                                         // of the directory, which goes with them
  std::vector<std::pair<std::string, std::string>> lists;  // by the names of their attributes
};

// Takes them from the directory.
Result<AccessLists> take_access_lists(BorrowedFd directory);
// Those that were taken, when the directory shall be what it was. What cannot be is left.
void give_back(BorrowedFd directory, const AccessLists& taken);

}  // namespace cooper::io
