#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cooper::io {

// A path as mountinfo(5) has it, where blank, tab, newline and backslash are a backslash and three octal digits
// ("\040"). What is not such a sequence is taken as it is.
std::string unescape_mount(std::string_view text);

// One line of /proc/PID/mountinfo.
struct MountLine {
  std::uint64_t id = 0;
  std::string point;
  std::uint64_t parent = 0;  // id of the mount it is on
  std::string root = {};     // what of the file system it shows
  std::string fstype = {};
  bool shared = false;  // what is mounted on it shows on its peers
};
// Lines of another form are left out.
std::vector<MountLine> parse_mount_lines(std::string_view mountinfo);

}  // namespace cooper::io
