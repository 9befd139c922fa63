// Patterns and a path, as arbitrary bytes: no crash, an end in time, and a path is left out when its directory is and
// nothing is taken back.
#include <cstdint>
#include <string_view>

#include "image/internal/ignore_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // The first line is the path.
  const std::string_view path = text.substr(0, text.find('\n'));
  cooper::image::IgnoreRules rules;
  if (!rules.add_lines(text.size() > path.size() ? text.substr(path.size() + 1) : std::string_view()).ok()) return 0;
  const bool excluded = rules.excludes(path);
  const std::size_t slash = path.rfind('/');
  if (slash != std::string_view::npos && !rules.takes_back() && rules.excludes(path.substr(0, slash)))
    COOPER_ASSERT(excluded);
  return 0;
}
