#include "io/mountinfo.h"

#include "base/strings.h"

namespace cooper::io {
namespace {

// The value of "040"; -1 when these are not three octal digits of one byte.
int octal_byte(std::string_view digits) {
  if (digits.size() != 3 || digits[0] > '3') return -1;
  int value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '7') return -1;
    value = value * 8 + (c - '0');
  }
  return value;
}

}  // namespace

std::string unescape_mount(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int byte = text[i] == '\\' ? octal_byte(text.substr(i + 1, 3)) : -1;
    if (byte < 0) {
      out += text[i];
    } else {
      out += static_cast<char>(byte);
      i += 3;
    }
  }
  return out;
}

std::vector<MountLine> parse_mount_lines(std::string_view mountinfo) {
  std::vector<MountLine> out;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 5) continue;
    const auto id = parse_number<std::uint64_t>(words[0]);
    const auto parent = parse_number<std::uint64_t>(words[1]);
    if (!id || !parent) continue;
    MountLine entry{*id, unescape_mount(words[4]), *parent, unescape_mount(words[3])};
    std::size_t next = 6;
    for (; next < words.size() && words[next] != "-"; ++next)
      entry.shared = entry.shared || words[next].starts_with("shared:");
    if (next + 1 < words.size()) entry.fstype = words[next + 1];
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace cooper::io
