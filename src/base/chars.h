// Classes of single characters: ASCII alone, whatever the locale says.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

namespace cooper {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
constexpr bool is_letter(char c) {
  return is_lower(c) || is_upper(c);
}
constexpr bool is_alnum(char c) {
  return is_letter(c) || is_digit(c);
}
constexpr bool is_lower_alnum(char c) {
  return is_lower(c) || is_digit(c);
}
constexpr bool is_lower_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f');
}
constexpr bool is_hex(char c) {
  return is_lower_hex(c) || (c >= 'A' && c <= 'F');
}

constexpr char to_upper(char c) {
  return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c;
}
constexpr char to_lower(char c) {
  return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}
// Of a hexadecimal digit; nullopt when it is none.
constexpr std::optional<unsigned> hex_value(char c) {
  if (!is_hex(c)) return std::nullopt;
  return static_cast<unsigned>(is_digit(c) ? c - '0' : to_lower(c) - 'a' + 10);
}

// As in digests, ids and fingerprints: true of no characters at all, too.
constexpr bool all_lower_hex(std::string_view text) {
  return std::ranges::all_of(text, is_lower_hex);
}

}  // namespace cooper
