#include "cli/cooper/mount_words.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "container/mount_options.h"

namespace cooper::cli {
namespace {

using container::OptionKind;
using container::OptionWord;

// What the engine itself understands, beside the words of the runtime.
constexpr std::array<std::string_view, 3> kBindWords = {"z", "Z", "U"};

constexpr std::array<std::string_view, 10> kTmpfsKeys = {"size",      "mode", "uid",  "gid",     "nr_inodes",
                                                         "nr_blocks", "huge", "mpol", "inode32", "inode64"};

const OptionWord* find_word(std::string_view word) {
  const auto all = container::mount_option_words();
  const auto found = std::ranges::find(all, word, &OptionWord::word);
  return found == all.end() ? nullptr : &*found;
}

// A bind mount shares the file system's own settings with the host, so they are no options of it; a new tmpfs has
// nothing below it.
bool fits(OptionKind kind, MountSort sort) {
  switch (kind) {
    case OptionKind::kAttrSet:
    case OptionKind::kAttrClear:
    case OptionKind::kAtime:
    case OptionKind::kNotAtime:
    case OptionKind::kPropagation:
    case OptionKind::kIgnored:
      return true;
    case OptionKind::kRecAttrSet:
    case OptionKind::kRecAttrClear:
    case OptionKind::kRecAtime:
    case OptionKind::kRecNotAtime:
    case OptionKind::kBind:
    case OptionKind::kIdmap:
      return sort == MountSort::kBind;
    case OptionKind::kSuperblockSet:
    case OptionKind::kSuperblockClear:
    case OptionKind::kCopyUp:
      return sort == MountSort::kTmpfs;
    case OptionKind::kRemount:
      return false;
  }
  return false;
}

// Words of one group exclude each other: the first is its name.
using Group = std::pair<int, std::uint64_t>;

std::optional<Group> group_of(std::string_view word) {
  if (word == "z" || word == "Z") return Group{-1, 0};
  if (word == "tmpcopyup" || word == "notmpcopyup") return Group{-2, 0};
  if (container::is_idmap_word(word)) return Group{-3, 0};
  const OptionWord* known = find_word(word);
  if (known == nullptr) return std::nullopt;
  switch (known->kind) {
    case OptionKind::kAttrSet:
    case OptionKind::kAttrClear:
      return Group{static_cast<int>(OptionKind::kAttrSet), known->value};
    case OptionKind::kRecAttrSet:
    case OptionKind::kRecAttrClear:
      return Group{static_cast<int>(OptionKind::kRecAttrSet), known->value};
    case OptionKind::kSuperblockSet:
    case OptionKind::kSuperblockClear:
      return Group{static_cast<int>(OptionKind::kSuperblockSet), known->value};
    case OptionKind::kAtime:
    case OptionKind::kRecAtime:
    case OptionKind::kPropagation:
    case OptionKind::kBind:
      return Group{static_cast<int>(known->kind), 0};
    default:
      return std::nullopt;
  }
}

bool all_of(std::string_view text, std::string_view characters) {
  return !text.empty() && text.find_first_not_of(characters) == std::string_view::npos;
}

// What is wrong with the value of a tmpfs option; empty: nothing.
std::string wrong_value(std::string_view key, std::optional<std::string_view> value) {
  if (key == "inode32" || key == "inode64") return value ? "takes no value" : "";
  if (!value || value->empty()) return "needs a value";
  if (key == "mode") return all_of(*value, "01234567") && value->size() <= 5 ? "" : "must be an octal number";
  if (key == "huge" || key == "mpol") return "";
  if (key == "uid" || key == "gid") return parse_number<std::uint32_t>(*value) ? "" : "must be a number";
  std::string_view digits = *value;
  if (key == "size" && digits.ends_with('%')) {
    digits.remove_suffix(1);
  } else if (std::string_view("kKmMgG").find(digits.back()) != std::string_view::npos) {
    digits.remove_suffix(1);
  }
  return parse_number<std::uint64_t>(digits) ? "" : "must be a number, or one with k, m or g";
}

std::string known_words(MountSort sort) {
  std::string out;
  const auto add = [&](std::string_view word) {
    if (!out.empty()) out += ' ';
    out += word;
  };
  for (const OptionWord& word : container::mount_option_words()) {
    const bool recursive = word.kind == OptionKind::kRecAttrSet || word.kind == OptionKind::kRecAttrClear ||
                           word.kind == OptionKind::kRecAtime;
    if (fits(word.kind, sort) && !recursive) add(word.word);
  }
  if (sort == MountSort::kBind) {
    for (const std::string_view word : kBindWords) add(word);
    return "known are " + out + ", and rro and so on for all that is mounted below";
  }
  add("notmpcopyup");
  for (const std::string_view key : kTmpfsKeys) add(std::string(key) + (key.starts_with("inode") ? "" : "="));
  return "known are " + out;
}

}  // namespace

Status check_mount_words(const std::vector<std::string>& words, MountSort sort, std::string_view flag,
                         std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return Error(Errc::kInvalidArgument, "--" + std::string(flag) + " " + quoted(text) + ": " + why);
  };
  std::vector<std::pair<Group, std::string_view>> seen;
  for (const std::string& word : words) {
    const auto pair = split_once(word, '=');
    const std::string_view key = pair ? pair->first : std::string_view(word);
    const OptionWord* known = find_word(word);
    bool accepted = known != nullptr && fits(known->kind, sort);
    if (sort == MountSort::kBind) {
      accepted = accepted || std::ranges::find(kBindWords, word) != kBindWords.end();
      if (pair && container::is_idmap_word(word)) {
        const auto mappings = container::parse_idmap_words(pair->second);
        if (!mappings.ok()) return bad(mappings.error().message()).with_hint(mappings.error().hint());
        accepted = true;
      }
    } else if (std::ranges::find(kTmpfsKeys, key) != kTmpfsKeys.end()) {
      const std::string wrong = wrong_value(key, pair ? std::optional(pair->second) : std::nullopt);
      if (!wrong.empty()) return bad("option " + quoted(word) + " " + wrong);
      accepted = true;
    }
    if (!accepted && !(sort == MountSort::kTmpfs && word == "notmpcopyup"))
      return bad("unknown option " + quoted(word)).with_hint(known_words(sort));
    const auto group = group_of(word);
    if (!group) continue;
    for (const auto& [other, before] : seen) {
      if (other == *group && before != word)
        return bad("options " + quoted(before) + " and " + quoted(word) + " exclude each other");
    }
    seen.emplace_back(*group, word);
  }
  return {};
}

}  // namespace cooper::cli
