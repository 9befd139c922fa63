#pragma once

#include <string>
#include <string_view>

namespace cooper::io {

// A path as mountinfo(5) has it, where blank, tab, newline and backslash are a backslash and three octal digits
// ("\040"). What is not such a sequence is taken as it is.
std::string unescape_mount(std::string_view text);

}  // namespace cooper::io
