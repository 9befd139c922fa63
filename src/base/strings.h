// String helpers without locale, allocation-light, strict about what they accept.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper {

std::vector<std::string_view> split(std::string_view text, char separator);
// Splits at the first separator; nullopt when there is none.
std::optional<std::pair<std::string_view, std::string_view>> split_once(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);
std::string join(const std::vector<std::string>& parts, std::string_view separator);

// The whole text must be a decimal number in range: no sign for unsigned types, no spaces, no prefix, no trailing
// bytes.
template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// "512", "64k", "1.5g", "2GiB", "-1" is refused. Powers of 1024. Units of podman and runc.
Result<std::uint64_t> parse_bytes(std::string_view text);
// "1.5 MiB" for people.
std::string format_bytes(std::uint64_t bytes);
// "1.50 MiB (1572864 bytes)".
std::string format_bytes_exactly(std::uint64_t bytes);
// 'name' with control characters, quotes and backslashes escaped, for messages and logs: cut after 4096 bytes.
std::string quoted(std::string_view text);
// For a terminal or a log: control characters, turns of direction, and bytes that are no UTF-8, as \xNN.
std::string printable(std::string_view text);
// Length in bytes of the valid UTF-8 sequence that `text`, which is not empty, begins with; 0: there is none.
std::size_t utf8_length(std::string_view text);
// The first `max_bytes` of it at most; a character that does not fit whole is left out.
std::string_view utf8_prefix(std::string_view text, std::size_t max_bytes);
std::string hex_encode(std::string_view bytes);

}  // namespace cooper
