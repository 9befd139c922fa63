#include "image/internal/ignore_rules.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"

namespace cooper::image {
namespace {

constexpr std::string_view kAnyDirectories = "**";
constexpr std::size_t kMaxPatternBytes = 4096;

// One character of a pattern, or a class of them.
struct Atom {
  std::size_t size;  // in the pattern
  bool matches;
};

// `at` is behind the bracket; nullopt: it is not closed.
std::optional<Atom> match_class(std::string_view pattern, std::size_t at, unsigned char c) {
  const std::size_t begin = at;
  const bool inverted = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
  if (inverted) ++at;
  bool found = false;
  const auto literal = [&]() -> std::optional<unsigned char> {
    if (at < pattern.size() && pattern[at] == '\\') ++at;
    if (at >= pattern.size()) return std::nullopt;
    return static_cast<unsigned char>(pattern[at++]);
  };
  for (bool first = true; at < pattern.size(); first = false) {
    if (pattern[at] == ']' && !first) return Atom{at + 1 - begin, found != inverted};
    const auto low = literal();
    auto high = low;
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      ++at;
      high = literal();
    }
    if (!low || !high) return std::nullopt;
    found = found || (*low <= c && c <= *high);
  }
  return std::nullopt;
}

// What the pattern says at `at`, which is no star; nullopt: it is broken there.
std::optional<Atom> match_one(std::string_view pattern, std::size_t at, unsigned char c) {
  if (pattern[at] == '?') return Atom{1, true};
  if (pattern[at] == '[') {
    auto atom = match_class(pattern, at + 1, c);
    if (atom) ++atom->size;
    return atom;
  }
  if (pattern[at] != '\\') return Atom{1, static_cast<unsigned char>(pattern[at]) == c};
  if (at + 1 == pattern.size()) return std::nullopt;
  return Atom{2, static_cast<unsigned char>(pattern[at + 1]) == c};
}

bool is_well_formed(std::string_view part) {
  for (std::size_t at = 0; at < part.size();) {
    const auto atom = part[at] == '*' ? Atom{1, true} : match_one(part, at, 'x');
    if (!atom) return false;
    at += atom->size;
  }
  return true;
}

// Only the last star is ever gone back to: time is the product of the lengths at most.
bool match_part(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::optional<std::pair<std::size_t, std::size_t>> star;  // behind it, and the name where it was tried last
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = {++p, n};
      continue;
    }
    const auto atom =
        p < pattern.size() ? match_one(pattern, p, static_cast<unsigned char>(name[n])) : std::optional<Atom>();
    if (atom && atom->matches) {
      p += atom->size;
      ++n;
    } else if (star) {
      p = star->first;
      n = ++star->second;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

Error bad(std::string_view pattern, std::string_view why) {
  return Error(Errc::kInvalidArgument, "pattern " + quoted(pattern) + " " + std::string(why));
}

}  // namespace

Status IgnoreRules::add(std::string_view pattern) {
  if (patterns_.size() == kMaxPatterns)
    return Error(Errc::kLimit, "there are more than " + std::to_string(kMaxPatterns) + " patterns");
  if (pattern.size() > kMaxPatternBytes) return bad(utf8_prefix(pattern, 40), "is too long");
  std::string_view rest = trim(pattern);
  Pattern out;
  if (rest.starts_with('!')) {
    out.takes_back = true;
    rest = trim(rest.substr(1));
  }
  for (const std::string_view part : split(rest, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return bad(pattern, "leads out of the directory");
    if (!is_well_formed(part)) return bad(pattern, "has a bracket that is not closed, or ends with a backslash");
    out.parts.emplace_back(part);
  }
  if (out.parts.empty()) return bad(pattern, "names nothing in the directory");
  takes_back_ = takes_back_ || out.takes_back;
  patterns_.push_back(std::move(out));
  return {};
}

Status IgnoreRules::add_lines(std::string_view text) {
  std::size_t number = 0;
  for (const std::string_view raw : split(text, '\n')) {
    ++number;
    const std::string_view line = trim(raw);
    if (line.empty() || line.starts_with('#')) continue;
    if (Status added = add(line); !added.ok()) return std::move(added).error().with("line " + std::to_string(number));
  }
  return {};
}

// Keeps where in the pattern one may be: time is the product of the numbers of parts.
bool IgnoreRules::matches(const Pattern& pattern, const std::vector<std::string_view>& path) {
  const std::size_t end = pattern.parts.size();
  std::vector<bool> places(end + 1, false);
  const auto enter = [&](std::vector<bool>& into, std::size_t place) {
    into[place] = true;
    // No directory at all is any number of them, but not the whole of a pattern.
    while (place + 1 < end && pattern.parts[place] == kAnyDirectories) into[++place] = true;
  };
  enter(places, 0);
  for (const std::string_view name : path) {
    std::vector<bool> next(end + 1, false);
    for (std::size_t place = 0; place < end; ++place) {
      if (!places[place]) continue;
      if (pattern.parts[place] == kAnyDirectories) {
        enter(next, place);
        if (place + 1 == end) next[end] = true;
      } else if (match_part(pattern.parts[place], name)) {
        enter(next, place + 1);
      }
    }
    if (next[end]) return true;
    places = std::move(next);
  }
  return false;
}

bool IgnoreRules::excludes(std::string_view path) const {
  const std::vector<std::string_view> parts = split(path, '/');
  // The last one that matches decides: from the end, the first.
  const auto decides = [&](const Pattern& pattern) { return matches(pattern, parts); };
  const auto last = std::find_if(patterns_.rbegin(), patterns_.rend(), decides);
  return last != patterns_.rend() && !last->takes_back;
}

}  // namespace cooper::image
