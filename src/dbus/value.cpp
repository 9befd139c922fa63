#include "dbus/value.h"
#include "base/chars.h"

namespace cooper::dbus {
namespace {

constexpr std::string_view kBasicTypes = "ybnqiuxtdsogh";

std::size_t type_length(std::string_view signature, int depth);

// "(...)": at least one member.
std::size_t struct_length(std::string_view signature, int depth) {
  std::size_t at = 1;
  while (at < signature.size() && signature[at] != ')') {
    const std::size_t length = type_length(signature.substr(at), depth + 1);
    if (length == 0) return 0;
    at += length;
  }
  return at < signature.size() && at > 1 ? at + 1 : 0;
}

// "a{kv}": a basic key and one value.
std::size_t entry_length(std::string_view signature, int depth) {
  if (signature.size() < 4 || kBasicTypes.find(signature[1]) == std::string_view::npos) return 0;
  const std::size_t length = type_length(signature.substr(2), depth + 1);
  if (length == 0 || 2 + length >= signature.size() || signature[2 + length] != '}') return 0;
  return 2 + length + 1;
}

std::size_t type_length(std::string_view signature, int depth) {
  if (signature.empty() || depth > kMaxDepth) return 0;
  const char first = signature[0];
  if (first == 'v' || kBasicTypes.find(first) != std::string_view::npos) return 1;
  if (first == '(') return struct_length(signature, depth);
  if (first != 'a' || signature.size() < 2) return 0;
  const std::size_t element =
      signature[1] == '{' ? entry_length(signature.substr(1), depth + 1) : type_length(signature.substr(1), depth + 1);
  return element == 0 ? 0 : element + 1;
}

}  // namespace

std::size_t complete_type_length(std::string_view signature) {
  return signature.size() > 255 ? 0 : type_length(signature, 0);
}

bool is_signature(std::string_view signature) {
  if (signature.size() > 255) return false;
  while (!signature.empty()) {
    const std::size_t length = type_length(signature, 0);
    if (length == 0) return false;
    signature.remove_prefix(length);
  }
  return true;
}

bool is_object_path(std::string_view path) {
  if (path == "/") return true;
  if (path.empty() || path[0] != '/' || path.back() == '/') return false;
  char before = 'x';
  for (const char c : path) {
    const bool word = is_alnum(c) || c == '_';
    if (!word && (c != '/' || before == '/')) return false;
    before = c;
  }
  return true;
}

std::uint64_t Value::number() const {
  const auto* value = std::get_if<std::uint64_t>(&data);
  return value == nullptr ? 0 : *value;
}

const std::string& Value::text() const {
  static const std::string none;
  const auto* value = std::get_if<std::string>(&data);
  return value == nullptr ? none : *value;
}

const std::vector<Value>& Value::parts() const {
  static const std::vector<Value> none;
  const auto* value = std::get_if<std::vector<Value>>(&data);
  return value == nullptr ? none : *value;
}

Value Value::bytes(const std::vector<std::uint8_t>& value) {
  std::vector<Value> parts;
  parts.reserve(value.size());
  for (const std::uint8_t byte : value) parts.push_back({"y", std::uint64_t{byte}});
  return array("y", std::move(parts));
}

Value Value::strings(const std::vector<std::string>& value) {
  std::vector<Value> parts;
  parts.reserve(value.size());
  for (const std::string& text : value) parts.push_back(string(text));
  return array("s", std::move(parts));
}

Value Value::array(std::string element_type, std::vector<Value> parts) {
  return {"a" + std::move(element_type), std::move(parts)};
}

Value Value::structure(std::vector<Value> parts) {
  std::string type = "(";
  for (const Value& part : parts) type += part.type;
  return {type + ")", std::move(parts)};
}

Value Value::variant(Value inner) {
  std::vector<Value> parts;
  parts.push_back(std::move(inner));
  return {"v", std::move(parts)};
}

}  // namespace cooper::dbus
