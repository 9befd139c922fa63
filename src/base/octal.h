// "\040" and friends: how the kernel writes space, tab, newline and backslash in tables of words (proc(5), mountinfo).
#pragma once

#include <string>
#include <string_view>

namespace cooper {

// A backslash that no three octal digits follow stays what it is.
std::string unescape_octal(std::string_view text);

}  // namespace cooper
