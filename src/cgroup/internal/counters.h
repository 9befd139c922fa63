// Reading counters: a controller the host lacks, or a group that is going away, counts nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/strings.h"
#include "cgroup/internal/files.h"

namespace cooper::cgroup {

inline std::string read_or_empty(const std::string& path) {
  auto text = read_control(path);
  return text.ok() ? std::move(*text) : std::string();
}

inline std::uint64_t read_number(const std::string& path) {
  return parse_number<std::uint64_t>(trim(read_or_empty(path))).value_or(0);
}

// f(name, value) for lines of "name value".
template <typename F>
void for_each_pair(const std::string& text, F f) {
  for (const auto line : split(text, '\n')) {
    const auto pair = split_once(line, ' ');
    if (!pair) continue;
    if (const auto n = parse_number<std::uint64_t>(trim(pair->second))) f(pair->first, *n);
  }
}

}  // namespace cooper::cgroup
