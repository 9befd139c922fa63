// Opens a namespace that a configuration names by its path.
#pragma once

#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::container {

// `type` is the specification's word. Never waits, whatever the file is; kInvalidArgument (EINVAL) when it is not a
// namespace of that type.
Result<UniqueFd> open_namespace(const std::string& type, const std::string& path);

}  // namespace cooper::container
