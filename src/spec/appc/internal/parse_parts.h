// The pieces a manifest is read with.
#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "codec/json.h"
#include "spec/appc/types.h"

namespace cooper::spec::appc {

// f(const Cursor&) -> Status for each element of an array that may be missing.
template <typename F>
Status for_each_of(const codec::json::Cursor& parent, std::string_view name, F f) {
  const auto array = parent.get(name);
  return array ? array->for_each(f) : ok_status();
}

// A member that must be there and not empty.
Result<std::string> required_text(const codec::json::Cursor& object, std::string_view name);
// The same, of letters that `is_valid` takes; `rule` says which.
Result<std::string> required_name(const codec::json::Cursor& object, std::string_view name,
                                  bool (*is_valid)(std::string_view), std::string_view rule);
// [{"name":..., "value":...}] with each name once. `is_valid` null: any name but an empty one.
Status read_name_values(const codec::json::Cursor& parent, std::string_view name, bool (*is_valid)(std::string_view),
                        std::vector<NameValue>& out);
// Absolute, and no part of it is "..".
Status check_absolute(const codec::json::Cursor& cursor, std::string_view path);

inline constexpr std::string_view kNameRule = "must be lower-case letters and digits joined by single dashes";
inline constexpr std::string_view kIdentifierRule = "must be lower-case letters and digits joined by one of - . _ ~ /";

Result<App> read_app(const codec::json::Cursor& cursor);

}  // namespace cooper::spec::appc
