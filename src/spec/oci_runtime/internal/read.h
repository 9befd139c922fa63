// Shared by the parse_*.cpp files of this room: JSON objects -> parts of the configuration.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"
#include "spec/oci_runtime/types.h"

namespace cooper::spec::oci_runtime::internal {

using codec::json::Cursor;

// Each reads the members of one object into `out`; the cursor must be an object (checked).
Status read_process(const Cursor& object, Process& out);
Status read_linux(const Cursor& object, Linux& out);
Status read_resources(const Cursor& object, Resources& out);
Status read_seccomp(const Cursor& object, Seccomp& out);
Status read_id_mapping(const Cursor& object, IdMapping& out);

// A member that must be there.
template <typename T>
Status require(const Cursor& object, std::string_view name, T& out) {
  ASSIGN_OR_RETURN([[maybe_unused]] const Cursor member, object.require(name));
  return object.read(name, out);
}

// Optional array of objects; absent leaves `out` untouched.
template <typename T>
Status read_list(const Cursor& object, std::string_view name, std::vector<T>& out,
                 Status (*read_one)(const Cursor&, T&)) {
  const auto list = object.get(name);
  if (!list) return {};
  RETURN_IF_ERROR(list->expect_array());
  const std::size_t size = list->value().size();
  out.clear();
  out.reserve(size);
  for (std::size_t i = 0; i < size; ++i) {
    const Cursor element = list->at(i);
    RETURN_IF_ERROR(element.expect_object());
    RETURN_IF_ERROR(read_one(element, out.emplace_back()));
  }
  return {};
}

// Optional array of strings. The path of every name of a seccomp profile: no cursor is made for elements that are as
// they should be.
inline Status read_texts(const Cursor& object, std::string_view name, std::vector<std::string>& out) {
  const auto list = object.get(name);
  if (!list) return {};
  RETURN_IF_ERROR(list->expect_array());
  const std::size_t size = list->value().size();
  out.clear();
  out.reserve(size);
  for (std::size_t i = 0; i < size; ++i) {
    const codec::json::Value element = list->value().element(i);
    const std::string_view text = element.as_string();
    if ((text.empty() && element.type() != codec::json::Type::kString) || text.find('\0') != std::string_view::npos) {
      return std::move(list->at(i).string()).error();
    }
    out.emplace_back(text);
  }
  return {};
}

inline Status require_texts(const Cursor& object, std::string_view name, std::vector<std::string>& out) {
  ASSIGN_OR_RETURN([[maybe_unused]] const Cursor member, object.require(name));
  return read_texts(object, name, out);
}

// Optional object.
template <typename T>
Status read_part(const Cursor& object, std::string_view name, std::optional<T>& out,
                 Status (*read_one)(const Cursor&, T&)) {
  const auto part = object.get(name);
  if (!part) return {};
  RETURN_IF_ERROR(part->expect_object());
  return read_one(*part, out.emplace());
}

// Optional object whose members are objects (or strings) under free names.
template <typename T>
Status read_map(const Cursor& object, std::string_view name, std::map<std::string, T>& out,
                Status (*read_one)(const Cursor&, T&)) {
  const auto map = object.get(name);
  if (!map) return {};
  return map->for_each_member([&](std::string_view key, const Cursor& member) -> Status {
    if (key.find('\0') != std::string_view::npos) return member.error("member name must not contain a NUL character");
    T value{};
    RETURN_IF_ERROR(read_one(member, value));
    out.insert_or_assign(std::string(key), std::move(value));
    return {};
  });
}

inline Status read_text(const Cursor& member, std::string& out) {
  ASSIGN_OR_RETURN(out, member.string());
  return {};
}

}  // namespace cooper::spec::oci_runtime::internal
