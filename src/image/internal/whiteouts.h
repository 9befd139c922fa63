// Names by which a layer hides what the layers below it have.
#pragma once

#include <string_view>

namespace cooper::image {

inline constexpr std::string_view kWhiteout = ".wh.";          // .wh.NAME hides NAME
inline constexpr std::string_view kOpaque = ".wh..wh..opq";    // hides all that lower layers have in its directory
inline constexpr std::string_view kWhiteoutMeta = ".wh..wh.";  // other names that begin so are aufs's own

}  // namespace cooper::image
