// What of a directory does not go into an image: patterns as .dockerignore and .containerignore have them.
//
//   *            any characters but a slash          ?  one of them          [a-z] [!a-z]  one of some
//   **           any number of directories           \x  x, whatever it is
//   !PATTERN     takes back what patterns before it have left out
//
// A pattern is about the whole path, below the directory; a slash at its beginning or end says nothing. What matches
// goes with everything in it. The last pattern that matches decides.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::image {

inline constexpr std::size_t kMaxIgnoreBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxPatterns = 10'000;

class IgnoreRules {
 public:
  // Errc::kInvalidArgument when it is none.
  Status add(std::string_view pattern);
  // A pattern a line; empty ones and those that begin with # say nothing. Errors have the line's number.
  Status add_lines(std::string_view text);

  bool empty() const { return patterns_.empty(); }
  // "etc/passwd"
  bool excludes(std::string_view path) const;
  // Something in a directory that is left out may be taken back.
  bool takes_back() const { return takes_back_; }

 private:
  struct Pattern {
    std::vector<std::string> parts;  // "**" among them
    bool takes_back = false;
  };
  static bool matches(const Pattern& pattern, const std::vector<std::string_view>& path);

  std::vector<Pattern> patterns_;
  bool takes_back_ = false;
};

}  // namespace cooper::image
