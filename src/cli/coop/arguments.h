// Flags and arguments the way runc's callers write them: "--flag value", "--flag=value", "-flag value" (one dash before
// a long name is the same), booleans also as "--flag=false"; flags may stand before and after the arguments except
// where a command says otherwise; "--" ends them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::cli::coop {

enum class FlagType {
  kBool,           // --flag, --flag=true, --flag=false
  kValue,          // the last one counts
  kList,           // may be repeated
  kOptionalValue,  // --flag or --flag=value
  kTwoValues,      // --flag value value; in order with the others
  kThreeValues,
};

struct Flag {
  std::string_view name;        // without dashes
  std::string_view short_name;  // one letter, or empty
  FlagType type = FlagType::kBool;
  std::string_view metavar;  // of the value, for help
  std::string_view help;
  bool hidden = false;  // accepted for old callers, not shown
};

// How many words after this one are values of it, when it is one of the flags.
std::size_t values_after(std::span<const Flag> flags, std::string_view word);

// What a command line holds, checked against a list of flags.
class Arguments {
 public:
  // Where parsing of flags ends.
  enum class Stop {
    kNever,          // flags may follow arguments
    kFirstArgument,  // the rest is somebody else's (a command to run, ps options)
  };
  static Result<Arguments> parse(std::span<char* const> words, std::span<const Flag> flags, Stop stop);

  bool has(std::string_view name) const { return find(name) != nullptr; }
  // Errc::kInvalidArgument is impossible after parse(): booleans are checked there.
  bool flag(std::string_view name) const;
  std::string value(std::string_view name, std::string_view fallback = {}) const;
  std::vector<std::string> list(std::string_view name) const;
  // A number; Errc::kInvalidArgument names the flag.
  template <typename T>
  Result<std::optional<T>> number(std::string_view name) const;

  // Every flag given, in order: its name without dashes and its values (one, empty, for a flag without).
  struct Given {
    std::string_view name;
    std::vector<std::string> values;
  };
  const std::vector<Given>& given() const { return values_; }

  const std::vector<std::string>& positional() const { return positional_; }
  // Words not looked at (kFirstArgument): everything after the first argument.
  std::size_t consumed() const { return consumed_; }

 private:
  const std::string* find(std::string_view name) const;
  std::vector<Given> values_;
  std::vector<std::string> positional_;
  std::size_t consumed_ = 0;
};

// "true", "1", "t" ..., "false", "0", "f" ...: the words of runc's flags.
std::optional<bool> parse_bool(std::string_view text);

// One line a flag, aligned, for help.
std::string describe_flags(std::span<const Flag> flags);

}  // namespace cooper::cli::coop
