// paths.d: where images of the App Container kind are by the administrator's word.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "spec/appc/image_paths.h"

namespace cooper::cli {

// *.json of all directories, in the order of their names; of two of one name that of the first directory.
Result<std::vector<appc::ImagePaths>> read_image_paths(const std::vector<std::string>& directories);

}  // namespace cooper::cli
