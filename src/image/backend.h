// How the files of an image become the root file system of a container.
#pragma once

#include <string_view>

#include "base/error.h"

namespace cooper::image {

enum class Backend {
  kOverlay,  // a tree of the store (or the image's file) below, what the container writes above
  kCopy,     // a copy of all files, the container's own
  kErofs,    // as kOverlay, with an erofs image that was made of the tree once
};
inline constexpr std::string_view kBackendWords = "overlay copy erofs";

// Errc::kInvalidArgument names the words there are.
Result<Backend> backend_from_string(std::string_view word);

}  // namespace cooper::image
