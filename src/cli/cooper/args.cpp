#include "cli/cooper/args.h"

#include <algorithm>

#include "base/strings.h"

namespace cooper::cli {
namespace {

// Insertions, deletions, replacements, and swaps of neighbours.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before;
  std::vector<std::size_t> above;
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before = std::move(above);
    above = row;
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({row[j - 1] + 1, above[j] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::optional<bool> parse_switch(std::string_view text) {
  const std::string word = to_lower(text);
  if (word == "true" || word == "1" || word == "t") return true;
  if (word == "false" || word == "0" || word == "f") return false;
  return std::nullopt;
}

// Flags that people know from other engines. What answers them here, or that nothing does yet.
struct ForeignFlag {
  std::string_view name;
  std::string_view hint;
};
constexpr auto kForeignFlags = std::to_array<ForeignFlag>({
    {"p", "ports are not forwarded; with --network host the app has the host's"},
    {"publish", "ports are not forwarded; with --network host the app has the host's"},
    {"expose", "ports are not forwarded; with --network host the app has the host's"},
    {"restart", "apps are not restarted; let a systemd unit run 'cooper run' in the foreground"},
    {"device", "devices come with --privileged only"},
    {"shm-size", "give /dev/shm a size with --tmpfs /dev/shm:size=SIZE"},
    {"add-host", "mount a hosts file: --volume FILE:/etc/hosts:ro"},
    {"dns", "mount a file: --volume FILE:/etc/resolv.conf:ro"},
    {"pid", "apps of one pod share their processes: cooper pod run"},
    {"ipc", "apps of one pod share their namespaces: cooper pod run"},
    {"group-add", "groups are those of the image's /etc/group"},
    {"attach", "in the foreground all streams are attached; cooper attach does it later"},
    {"health-cmd", "there are no health checks"},
    {"log-driver", "logs go to files of the pod: cooper logs"},
});

Error unknown_flag(FlagTables tables, std::string_view shown, std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& table : tables) {
    for (const Flag& flag : table) names.push_back(flag.name);
  }
  Error error(Errc::kInvalidArgument, "unknown flag " + quoted(shown));
  const std::string_view bare = name.substr(std::min(name.find_first_not_of('-'), name.size()));
  for (const ForeignFlag& foreign : kForeignFlags) {
    if (foreign.name == bare) return std::move(error).with_hint(std::string(foreign.hint));
  }
  const std::string_view near = name.size() > 1 ? nearest(name, names) : std::string_view{};
  if (near.empty()) return std::move(error).with_hint("--help lists the flags of this command");
  return std::move(error).with_hint("did you mean --" + std::string(near) + "?");
}

// Reads one table-driven command line; each step consumes whole words.
class Reader {
 public:
  using Values = std::map<std::string, std::vector<std::string>, std::less<>>;
  Reader(FlagTables tables, std::span<const std::string> words, Values& values)
      : tables_(tables), words_(words), values_(values) {}

  // "--name", "--name=value"
  Status long_flag(std::size_t& at) {
    const std::string_view body = std::string_view(words_[at]).substr(2);
    const auto pair = split_once(body, '=');
    const std::string_view name = pair ? pair->first : body;
    const Flag* flag = find_flag(tables_, name);
    if (flag == nullptr) return unknown_flag(tables_, "--" + std::string(name), name);
    if (flag->value.empty()) return set_switch(*flag, pair ? std::optional(pair->second) : std::nullopt);
    if (pair) return set(*flag, pair->second);
    return set_from_next(*flag, "--" + std::string(name), at);
  }

  // "-d", "-itd", "-eA=b", "-e=A=b", "-e" "A=b"
  Status short_flags(std::size_t& at) {
    std::string_view letters = std::string_view(words_[at]).substr(1);
    while (!letters.empty()) {
      const char letter = letters[0];
      letters.remove_prefix(1);
      const std::string shown{'-', letter};
      const Flag* flag = find_flag(tables_, letter);
      if (flag == nullptr)
        return words_[at].size() == 2 ? unknown_flag(tables_, shown, shown)
                                      : unknown_flag(tables_, shown, shown).with(quoted(words_[at]));
      if (!flag->value.empty()) {
        if (letters.empty()) return set_from_next(*flag, shown, at);
        if (letters[0] == '=') letters.remove_prefix(1);
        return set(*flag, letters);
      }
      if (!letters.empty() && letters[0] == '=') return set_switch(*flag, letters.substr(1));
      RETURN_IF_ERROR(set_switch(*flag, std::nullopt));
    }
    return {};
  }

 private:
  Status set(const Flag& flag, std::string_view value) {
    if (value.find('\0') != std::string_view::npos) {
      return Error(Errc::kInvalidArgument, "flag --" + std::string(flag.name) + ": the value holds a NUL byte");
    }
    values_[std::string(flag.name)].emplace_back(value);
    return {};
  }
  Status set_switch(const Flag& flag, std::optional<std::string_view> value) {
    if (!value) return set(flag, "true");
    const auto on = parse_switch(*value);
    if (!on) {
      return Error(Errc::kInvalidArgument,
                   "flag --" + std::string(flag.name) + " is a switch and takes true or false, not " + quoted(*value));
    }
    return set(flag, *on ? "true" : "false");
  }
  Status set_from_next(const Flag& flag, const std::string& shown, std::size_t& at) {
    if (at + 1 >= words_.size()) {
      return Error(Errc::kInvalidArgument, "flag " + shown + " needs a value (" + std::string(flag.value) + ")");
    }
    ++at;
    return set(flag, words_[at]);
  }

  FlagTables tables_;
  std::span<const std::string> words_;
  Values& values_;
};

}  // namespace

bool Args::enabled(std::string_view flag, bool fallback) const {
  const auto found = values_.find(flag);
  return found == values_.end() ? fallback : found->second.back() == "true";
}

std::optional<std::string> Args::last(std::string_view flag) const {
  const auto found = values_.find(flag);
  if (found == values_.end()) return std::nullopt;
  return found->second.back();
}

std::vector<std::string> Args::all(std::string_view flag) const {
  const auto found = values_.find(flag);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

void Args::merge_earlier(const Args& other) {
  for (const auto& [name, values] : other.values_) {
    auto& mine = values_[name];
    mine.insert(mine.begin(), values.begin(), values.end());
  }
}

const Flag* find_flag(FlagTables tables, std::string_view name) {
  for (const auto& table : tables) {
    for (const Flag& flag : table) {
      if (flag.name == name) return &flag;
    }
  }
  return nullptr;
}

const Flag* find_flag(FlagTables tables, char letter) {
  for (const auto& table : tables) {
    for (const Flag& flag : table) {
      if (flag.letter != 0 && flag.letter == letter) return &flag;
    }
  }
  return nullptr;
}

Result<Args> parse_args(FlagTables tables, std::span<const std::string> words, Order order) {
  Args args;
  Reader reader(tables, words, args.values_);
  for (std::size_t at = 0; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (word == "--") {
      args.ended_by_dashes_ = true;
      args.positional_.insert(args.positional_.end(), words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end());
      break;
    }
    // "---" stands between the apps of a pod.
    if (word.size() < 2 || word[0] != '-' || word == "---") {
      if (order == Order::kBeforeArguments) {
        args.positional_.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
        break;
      }
      args.positional_.push_back(word);
    } else if (word[1] == '-') {
      RETURN_IF_ERROR(reader.long_flag(at));
    } else {
      RETURN_IF_ERROR(reader.short_flags(at));
    }
  }
  return args;
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view best;
  std::size_t best_distance = std::min<std::size_t>(word.size() / 3, 2) + 1;
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace cooper::cli
