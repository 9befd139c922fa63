// A file that the user has named for what a verb prints.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::cli {

// A regular file is replaced as a whole, also where a symbolic link names it; the link stays. A device or a FIFO is
// written to.
Status write_output_file(const std::string& path, std::string_view text);

}  // namespace cooper::cli
