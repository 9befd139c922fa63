#include "base/strings.h"

#include <algorithm>

#include <array>
#include <cmath>
#include "base/chars.h"

namespace cooper {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  std::size_t start = 0;
  while (true) {
    const std::size_t end = text.find(separator, start);
    if (end == std::string_view::npos) break;
    parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  parts.push_back(text.substr(start));
  return parts;
}

std::optional<std::pair<std::string_view, std::string_view>> split_once(std::string_view text, char separator) {
  const std::size_t at = text.find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  return std::pair{text.substr(0, at), text.substr(at + 1)};
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = to_lower(c);
  return out;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != 0) out += separator;
    out += parts[i];
  }
  return out;
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bad = [&] {
    return Error(Errc::kInvalidArgument,
                 "size " + quoted(text) + " is not a number with an optional unit (b, k, m, g, t, p; or as Mi, MiB)");
  };
  std::size_t digits = 0;
  bool dot = false;
  while (digits < text.size() && (is_digit(text[digits]) || (text[digits] == '.' && !dot))) {
    dot = dot || text[digits] == '.';
    ++digits;
  }
  const std::string_view number = text.substr(0, digits);
  std::string unit = to_lower(text.substr(digits));
  if (number.empty() || number == ".") return bad();
  if (unit.ends_with("ib") || unit.ends_with("i")) {
    unit.resize(unit.rfind('i'));
    if (unit.empty() || unit == "b") return bad();
  } else if (unit.size() > 1 && unit.ends_with('b')) {
    unit.resize(unit.size() - 1);
  }
  constexpr std::string_view kUnits = "bkmgtp";
  std::uint64_t scale = 1;
  if (!unit.empty()) {
    const std::size_t at = unit.size() == 1 ? kUnits.find(unit[0]) : std::string_view::npos;
    if (at == std::string_view::npos) return bad();
    scale = std::uint64_t{1} << (10 * at);
  }
  if (!dot) {
    const auto whole = parse_number<std::uint64_t>(number);
    if (!whole || (*whole != 0 && *whole > UINT64_MAX / scale)) return bad();
    return *whole * scale;
  }
  double value = 0;
  const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (ec != std::errc{} || end != number.data() + number.size()) return bad();
  value *= static_cast<double>(scale);
  if (value >= 9.2e18) return bad();
  return static_cast<std::uint64_t>(std::llround(value));
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 6> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  double value = static_cast<double>(bytes);
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> buffer{};
  const auto end = unit == 0 ? std::to_chars(buffer.data(), buffer.data() + buffer.size(), bytes).ptr
                             : std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                             std::chars_format::fixed, value < 10 ? 2 : 1)
                                   .ptr;
  return std::string(buffer.data(), end) + " " + kUnits[unit];
}

std::string format_bytes_exactly(std::uint64_t bytes) {
  return format_bytes(bytes) + " (" + std::to_string(bytes) + " bytes)";
}

std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xc2 && first < 0xe0   ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) || (first == 0xf0 && byte(1) < 0x90) ||
      (first == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return length;
}

namespace {

// Ends of lines and paragraphs, and what turns the order of the letters behind it around: U+2028 to U+202E, U+2066 to
// U+2069. Text with these looks like another one.
bool moves_others(unsigned char first, unsigned char second, unsigned char third) {
  return first == 0xe2 &&
         ((second == 0x80 && third >= 0xa8 && third <= 0xae) || (second == 0x81 && third >= 0xa6 && third <= 0xa9));
}

// Takes the first character off `text`. What a terminal would take for a command is written \xNN, byte by byte.
void append_printable(std::string& out, std::string_view& text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = utf8_length(text);
  // U+0080 to U+009F are control characters too.
  const bool control =
      length == 1 ? byte(0) < 0x20 || byte(0) == 0x7f : length == 2 && byte(0) == 0xc2 && byte(1) < 0xa0;
  const bool mover = length == 3 && moves_others(byte(0), byte(1), byte(2));
  const std::size_t taken = std::max<std::size_t>(length, 1);
  if (length != 0 && !control && !mover) {
    out += text.substr(0, taken);
  } else {
    for (std::size_t i = 0; i < taken; ++i) {
      out += "\\x";
      out += kHex[byte(i) >> 4];
      out += kHex[byte(i) & 15];
    }
  }
  text.remove_prefix(taken);
}

// Most texts are nothing else: they are taken as a whole. One pass without a branch is what compilers make fast.
bool is_printable_ascii(std::string_view text) {
  bool plain = true;
  for (const char c : text) plain &= c >= 0x20 && c < 0x7f;
  return plain;
}

}  // namespace

std::string printable(std::string_view text) {
  if (is_printable_ascii(text)) return std::string(text);
  std::string out;
  while (!text.empty()) append_printable(out, text);
  return out;
}

std::string_view utf8_prefix(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  text = text.substr(0, max_bytes);
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.remove_suffix(1);
  if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.remove_suffix(1);
  return text;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kMost = 4096;  // a path is shown whole
  std::string out = "'";
  const std::size_t size = text.size();
  text = utf8_prefix(text, kMost);
  while (!text.empty()) {
    if (text.front() == '\'' || text.front() == '\\') out += '\\';
    append_printable(out, text);
  }
  out += '\'';
  if (size > kMost) out += "... (" + std::to_string(size) + " bytes)";
  return out;
}

std::string hex_encode(std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

}  // namespace cooper
