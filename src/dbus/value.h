// A value of D-Bus as a plain tree, with its type written as in the specification's signatures: "s", "au", "a(sv)".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace cooper::dbus {

struct Value {
  // Signature of one complete type.
  std::string type;
  // y b n q i u x t: the bits of the number, sign extended. d: a double. s o g: text. a ( {: the parts. v: one part.
  std::variant<std::uint64_t, double, std::string, std::vector<Value>> data = std::uint64_t{0};

  bool operator==(const Value&) const = default;

  std::uint64_t number() const;     // 0 for what is none
  const std::string& text() const;  // "" for what is none
  const std::vector<Value>& parts() const;

  static Value boolean(bool value) { return {"b", std::uint64_t{value ? 1U : 0U}}; }
  static Value u32(std::uint32_t value) { return {"u", std::uint64_t{value}}; }
  static Value i32(std::int32_t value) { return {"i", static_cast<std::uint64_t>(std::int64_t{value})}; }
  static Value u64(std::uint64_t value) { return {"t", value}; }
  static Value string(std::string value) { return {"s", std::move(value)}; }
  static Value object_path(std::string value) { return {"o", std::move(value)}; }
  static Value bytes(const std::vector<std::uint8_t>& value);   // ay
  static Value strings(const std::vector<std::string>& value);  // as
  static Value array(std::string element_type, std::vector<Value> parts);
  static Value structure(std::vector<Value> parts);
  static Value variant(Value inner);
};

// Depth of containers that is written and read; the specification's limits are 32 arrays and 32 structures.
inline constexpr int kMaxDepth = 32;

// Length of the first complete type of a signature, 0 when there is none (empty, unknown letter, unbalanced, too deep).
std::size_t complete_type_length(std::string_view signature);
// A sequence of complete types.
bool is_signature(std::string_view signature);
bool is_object_path(std::string_view path);

// GVariant's text form, as people write it in a configuration: 'text', true, 5, uint32 5, @t 5, [1, 2], (1, 'a'),
// {'k': <1>}, b'bytes'. Whole numbers without a type are "i" and numbers with a point "d". Errc::kInvalidArgument says
// where it is wrong.
Result<Value> parse_text(std::string_view text);
// The same form; what is printed is parsed to an equal value.
std::string print_text(const Value& value);

}  // namespace cooper::dbus
