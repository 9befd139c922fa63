// YAML as far as configuration files need it: one document of mappings, sequences and scalars that are taken as text.
// Anchors, aliases, merge keys and tags are refused, and keys that are there twice. Hides libyaml.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace cooper::codec::yaml {

struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMapping };
  Kind kind = Kind::kNull;
  std::string text = {};
  std::vector<Node> elements = {};
  std::vector<std::pair<std::string, Node>> members = {};
  std::size_t line = 0;  // from 1

  const Node* find(std::string_view name) const;
};

// `what` names the text in errors: "a.yaml: line 3: ...". An empty text is kNull.
Result<Node> parse(std::string_view text, std::string_view what);

}  // namespace cooper::codec::yaml
