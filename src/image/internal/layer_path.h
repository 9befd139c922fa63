// Names of archive members as paths below the root of an image.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace cooper::image {

inline constexpr std::size_t kMaxPathDepth = 400;

// "" for the root itself: no leading slash, no empty, "." or ".." components. Errc::kPermission when ".." climbs above
// the root, Errc::kLimit when deeper than kMaxPathDepth.
Result<std::string> clean_path(std::string_view raw);
// ("a/b", "c") of "a/b/c"; ("", "a") of "a".
std::pair<std::string_view, std::string_view> split_parent(std::string_view clean);
// "a/b" of "a" and "b"; "b" of "" and "b".
std::string join_path(std::string_view parent, std::string_view name);

}  // namespace cooper::image
