// Command lines: a table of flags in, checked words out. The rules are those podman and docker users know (GNU long
// options as pflag reads them): --name VALUE, --name=VALUE (also empty), -n VALUE, -nVALUE, -n=VALUE, -itd,
// --switch[=true|false], "--".
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::cli {

struct Flag {
  std::string_view name;   // without dashes
  char letter = 0;         // 0: none
  std::string_view value;  // the value's word in help; empty: a switch
  std::string_view help;   // one clause, lower case
  // What a shell completes the value with.
  enum class Complete { kNothing, kFile, kDirectory, kWords } complete = Complete::kNothing;
  std::string_view words = {};  // for kWords, separated by blanks
};

enum class Order {
  kAnywhere,         // flags and arguments mix ("rm web -f")
  kBeforeArguments,  // the first argument ends the flags: what follows belongs to the container
};

class Args {
 public:
  bool has(std::string_view flag) const { return values_.find(flag) != values_.end(); }
  // A switch; the last mention wins.
  bool enabled(std::string_view flag, bool fallback = false) const;
  // The last value given.
  std::optional<std::string> last(std::string_view flag) const;
  // Every value given, in order.
  std::vector<std::string> all(std::string_view flag) const;
  // Arguments that are no flags. A "--" that ended the flags is not among them.
  const std::vector<std::string>& positional() const { return positional_; }
  std::vector<std::string>& positional() { return positional_; }
  // True when a "--" stood between flags and arguments.
  bool ended_by_dashes() const { return ended_by_dashes_; }
  // Takes over every flag of `other`, whose mentions count as earlier.
  void merge_earlier(const Args& other);

 private:
  friend Result<Args> parse_args(std::span<const std::span<const Flag>>, std::span<const std::string>, Order);
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> positional_;
  bool ended_by_dashes_ = false;
};

using FlagTables = std::span<const std::span<const Flag>>;

// Errc::kInvalidArgument naming the flag, with a hint at the nearest known one.
Result<Args> parse_args(FlagTables tables, std::span<const std::string> words, Order order);

const Flag* find_flag(FlagTables tables, std::string_view name);
const Flag* find_flag(FlagTables tables, char letter);

// The candidate that is most like `word` (at most two letters and a third of it differ), or empty.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace cooper::cli
