#include "io/mountinfo.h"

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

}  // namespace cooper::io
