#pragma once

#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "io/root_dir.h"

namespace cooper::io {

// A regular file below a root, for reading. Anything else is refused (EINVAL) without being opened: to open a fifo may
// wait, and to open a device acts on it, whoever has put it there.
Result<UniqueFd> open_regular(const RootDir& root, std::string_view path);

}  // namespace cooper::io
