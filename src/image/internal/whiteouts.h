// Names by which a layer hides what the layers below it have.
#pragma once

#include <string_view>

namespace cooper::image {

inline constexpr std::string_view kWhiteout = ".wh.";          // .wh.NAME hides NAME
inline constexpr std::string_view kOpaque = ".wh..wh..opq";    // hides all that lower layers have in its directory
inline constexpr std::string_view kWhiteoutMeta = ".wh..wh.";  // other names that begin so are aufs's own

// Whether a component of the path is such a name.
inline bool has_whiteout(std::string_view path) {
  return path.starts_with(kWhiteout) || path.find("/.wh.") != std::string_view::npos;
}

}  // namespace cooper::image
