#include "cli/coop/arguments.h"

#include "base/strings.h"

namespace cooper::cli::coop {
std::optional<bool> parse_bool(std::string_view text) {
  for (const std::string_view yes : {"true", "1", "t", "T", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"false", "0", "f", "F", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

namespace {

const Flag* find_flag(std::span<const Flag> flags, std::string_view name) {
  for (const Flag& flag : flags) {
    if (flag.name == name || (!flag.short_name.empty() && flag.short_name == name)) return &flag;
  }
  return nullptr;
}

std::string_view without_dashes(std::string_view word) {
  return word.substr(word.starts_with("--") ? 2 : 1);
}

std::size_t value_count(const Flag& flag) {
  switch (flag.type) {
    case FlagType::kValue:
    case FlagType::kList:
      return 1;
    case FlagType::kTwoValues:
      return 2;
    case FlagType::kThreeValues:
      return 3;
    case FlagType::kBool:
    case FlagType::kOptionalValue:
      break;
  }
  return 0;
}

// The values of a flag: what is behind its "=", or the words after it, which `i` passes.
Result<std::vector<std::string>> take_values(const Flag& flag, const std::optional<std::string_view>& attached,
                                             std::span<char* const> words, std::size_t& i) {
  const std::size_t wanted = value_count(flag);
  if (attached) {
    if (wanted <= 1) return std::vector<std::string>{std::string(*attached)};
    return Error(Errc::kInvalidArgument, "flag --" + std::string(flag.name) + " takes " + std::to_string(wanted) +
                                             " arguments, as words of their own");
  }
  std::vector<std::string> out;
  for (std::size_t n = 0; n < wanted; ++n) {
    if (++i >= words.size()) {
      return Error(Errc::kInvalidArgument, (wanted == 1 ? "flag needs an argument: --"
                                                        : "flag needs " + std::to_string(wanted) + " arguments: --") +
                                               std::string(flag.name));
    }
    out.emplace_back(words[i]);
  }
  if (wanted == 0) out.emplace_back(flag.type == FlagType::kBool ? "true" : "");
  return out;
}

}  // namespace

std::size_t values_after(std::span<const Flag> flags, std::string_view word) {
  if (word.size() < 2 || word[0] != '-') return 0;
  const Flag* flag = find_flag(flags, without_dashes(word));
  return flag != nullptr ? value_count(*flag) : 0;
}

Result<Arguments> Arguments::parse(std::span<char* const> words, std::span<const Flag> flags, Stop stop) {
  Arguments out;
  std::size_t i = 0;
  for (; i < words.size(); ++i) {
    const std::string_view word(words[i]);
    if (word == "--") {
      for (++i; i < words.size(); ++i) out.positional_.emplace_back(words[i]);
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      if (stop == Stop::kFirstArgument) {
        for (; i < words.size(); ++i) out.positional_.emplace_back(words[i]);
        break;
      }
      out.positional_.emplace_back(word);
      continue;
    }
    const std::string_view body = without_dashes(word);
    const auto pair = split_once(body, '=');
    const std::string_view name = pair ? pair->first : body;
    const Flag* flag = find_flag(flags, name);
    if (flag == nullptr)
      return Error(Errc::kInvalidArgument, "flag provided but not defined: " + quoted(word.substr(0, word.find('='))));
    ASSIGN_OR_RETURN(auto values, take_values(*flag, pair ? std::optional(pair->second) : std::nullopt, words, i));
    if (flag->type == FlagType::kBool && !parse_bool(values[0])) {
      return Error(Errc::kInvalidArgument, "invalid value " + quoted(values[0]) + " for the flag --" +
                                               std::string(flag->name) + ": not true or false");
    }
    out.values_.push_back({flag->name, std::move(values)});
  }
  return out;
}

const std::string* Arguments::find(std::string_view name) const {
  for (auto it = values_.rbegin(); it != values_.rend(); ++it) {
    if (it->name == name) return it->values.data();
  }
  return nullptr;
}

bool Arguments::flag(std::string_view name) const {
  const std::string* value = find(name);
  return value != nullptr && parse_bool(*value).value_or(false);
}

std::string Arguments::value(std::string_view name, std::string_view fallback) const {
  const std::string* value = find(name);
  return value != nullptr ? *value : std::string(fallback);
}

std::vector<std::string> Arguments::list(std::string_view name) const {
  std::vector<std::string> out;
  for (const Given& given : values_) {
    if (given.name == name) out.push_back(given.values[0]);
  }
  return out;
}

template <typename T>
Result<std::optional<T>> Arguments::number(std::string_view name) const {
  const std::string* text = find(name);
  if (text == nullptr) return std::optional<T>();
  const auto value = parse_number<T>(*text);
  if (!value)
    return Error(Errc::kInvalidArgument,
                 "invalid value " + quoted(*text) + " for the flag --" + std::string(name) + ": not a number in range");
  return std::optional<T>(*value);
}

template Result<std::optional<int>> Arguments::number<int>(std::string_view) const;
template Result<std::optional<std::int64_t>> Arguments::number<std::int64_t>(std::string_view) const;
template Result<std::optional<std::uint64_t>> Arguments::number<std::uint64_t>(std::string_view) const;
template Result<std::optional<std::uint16_t>> Arguments::number<std::uint16_t>(std::string_view) const;

std::string describe_flags(std::span<const Flag> flags) {
  std::vector<std::pair<std::string, std::string_view>> lines;
  std::size_t width = 0;
  for (const Flag& flag : flags) {
    if (flag.hidden) continue;
    std::string left = "   --" + std::string(flag.name);
    if (flag.type == FlagType::kOptionalValue) {
      left += "[=" + std::string(flag.metavar) + "]";
    } else if (flag.type != FlagType::kBool) {
      left += " " + std::string(flag.metavar);
    }
    if (!flag.short_name.empty()) left += ", -" + std::string(flag.short_name);
    width = std::max(width, left.size());
    lines.emplace_back(std::move(left), flag.help);
  }
  std::string out;
  for (const auto& [left, help] : lines) {
    out += left;
    out.append(width + 2 - left.size(), ' ');
    out += help;
    out += '\n';
  }
  return out;
}

}  // namespace cooper::cli::coop
