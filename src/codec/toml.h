// TOML 1.0 as configuration files of others have it: one tree of values, each with its line. Dates and floating numbers
// are there as what they are and no more. Hides toml++.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace cooper::codec::toml {

struct Node {
  enum class Kind { kString, kInteger, kBoolean, kArray, kTable, kOther };
  Kind kind = Kind::kTable;
  std::string text = {};
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<Node> elements = {};
  std::vector<std::pair<std::string, Node>> members = {};  // in the order of their lines
  std::size_t line = 0;                                    // from 1

  const Node* find(std::string_view name) const;
};

// A table. `what` names the text in errors: "a.conf: line 3: ...". Errc::kInvalidArgument also for what is nested too
// deep for any configuration.
Result<Node> parse(std::string_view text, std::string_view what);

}  // namespace cooper::codec::toml
