#include "cli/cooper/detach_keys.h"

#include "base/chars.h"
#include "base/strings.h"

namespace cooper::cli {

Result<std::string> parse_detach_keys(std::string_view text) {
  std::string keys;
  if (text.empty()) return keys;
  for (const std::string_view key : split(text, ',')) {
    if (key.size() == 1) {
      keys += key[0];
      continue;
    }
    const std::string lower = to_lower(key);
    if (lower.size() == 6 && lower.starts_with("ctrl-")) {
      const char c = lower[5];
      constexpr std::string_view kSymbols = "@[\\]^_";
      if (is_lower(c) || kSymbols.find(c) != std::string_view::npos) {
        keys += static_cast<char>(c & 0x1f);
        continue;
      }
    }
    return Error(Errc::kInvalidArgument,
                 "detach key " + quoted(key) + " is neither one character nor ctrl- and a letter or one of @[\\]^_");
  }
  return keys;
}

DetachWatch::Outcome DetachWatch::feed(std::string_view typed) {
  Outcome out;
  if (keys_.empty()) {
    out.forward = typed;
    return out;
  }
  for (const char c : typed) {
    // A broken sequence: what was held back is passed on, except the longest end of it that starts the sequence again.
    while (matched_ > 0 && c != keys_[matched_]) {
      std::size_t shorter = matched_ - 1;
      while (shorter > 0 && keys_.compare(0, shorter, keys_, matched_ - shorter, shorter) != 0) --shorter;
      out.forward.append(keys_, 0, matched_ - shorter);
      matched_ = shorter;
    }
    if (c != keys_[matched_]) {
      out.forward += c;
      continue;
    }
    if (++matched_ == keys_.size()) {
      out.detached = true;
      return out;
    }
  }
  return out;
}

}  // namespace cooper::cli
