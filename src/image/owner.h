// Whose an image store is.
#pragma once

#include <string>

#include "base/error.h"

namespace cooper::image {

// Errc::kPermission for the store of another user than the caller: what came into it would be of use to neither. What
// is no store is nobody's.
Status check_store_owner(const std::string& dir);

}  // namespace cooper::image
