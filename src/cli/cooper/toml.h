// A strict subset of TOML 1.0 for cooper.toml: tables, bare keys, basic and literal strings of one line, integers,
// booleans and arrays of those. Everything else, a key given twice, or a value of the wrong type is an error with its
// line.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace cooper::cli::toml {

using Scalar = std::variant<std::string, std::int64_t, bool>;
struct Value {
  std::variant<std::string, std::int64_t, bool, std::vector<Scalar>> data;
  int line = 0;
};

// "table.key" -> value; keys before the first table have no prefix.
using Document = std::map<std::string, Value>;

// `what` names the text in errors.
Result<Document> parse(std::string_view text, std::string_view what);

}  // namespace cooper::cli::toml
