#include "codec/toml.h"

#include <algorithm>

// Its errors are values then, and only its reader is there.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 16
// What it asserts, or tells the compiler to take for granted, does not hold: "[(" is a header of a table without a key.
// It finds that itself a few lines later.
#define TOML_ASSERT(expression) static_cast<void>(0)
#pragma push_macro("NDEBUG")
#undef NDEBUG
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include "base/strings.h"

namespace cooper::codec::toml {
namespace {

// The library counts nested values, and not the tables that a dotted key makes; it frees both by recursion.
constexpr std::ptrdiff_t kMaxDots = 64;

Error error_at(std::string_view what, std::size_t line, std::string_view message) {
  return Error(Errc::kInvalidArgument,
               std::string(what) + ": line " + std::to_string(line) + ": " + std::string(message));
}

Status check_depth(std::string_view text, std::string_view what) {
  std::size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    if (trim(line).starts_with('#') || std::ranges::count(line, '.') <= kMaxDots) continue;
    return error_at(what, number, "has more than " + std::to_string(kMaxDots) + " dots");
  }
  return {};
}

Node convert(const ::toml::node& from) {
  Node out{.kind = Node::Kind::kOther, .line = from.source().begin.line};
  if (const auto* text = from.as_string()) {
    out.kind = Node::Kind::kString;
    out.text = text->get();
  } else if (const auto* integer = from.as_integer()) {
    out.kind = Node::Kind::kInteger;
    out.integer = integer->get();
  } else if (const auto* boolean = from.as_boolean()) {
    out.kind = Node::Kind::kBoolean;
    out.boolean = boolean->get();
  } else if (const auto* array = from.as_array()) {
    out.kind = Node::Kind::kArray;
    for (const ::toml::node& element : *array) out.elements.push_back(convert(element));
  } else if (const auto* table = from.as_table()) {
    out.kind = Node::Kind::kTable;
    for (const auto& [key, value] : *table) out.members.emplace_back(std::string(key.str()), convert(value));
    std::ranges::stable_sort(out.members, {}, [](const auto& member) { return member.second.line; });
  }
  return out;
}

}  // namespace

const Node* Node::find(std::string_view name) const {
  const auto found =
      std::ranges::find(members, name, [](const auto& member) { return std::string_view(member.first); });
  return found == members.end() ? nullptr : &found->second;
}

Result<Node> parse(std::string_view text, std::string_view what) {
  RETURN_IF_ERROR(check_depth(text, what));
  const ::toml::parse_result parsed = ::toml::parse(text);
  if (!parsed) return error_at(what, parsed.error().source().begin.line, parsed.error().description());
  return convert(parsed.table());
}

}  // namespace cooper::codec::toml
