// JSON objects that must be exactly as they should be: what is signed, or decides about signatures, is not guessed at.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "codec/json.h"

namespace cooper::policy {

// f(std::string_view name, const Cursor&) -> Status; a name that is there twice is an error.
template <typename F>
Status each_member_once(const codec::json::Cursor& at, F f) {
  std::set<std::string, std::less<>> seen;
  return at.for_each_member([&](std::string_view name, const codec::json::Cursor& value) -> Status {
    if (!seen.emplace(name).second) return at.error("member " + quoted(name) + " is there twice");
    return f(name, value);
  });
}

struct Member {
  std::string_view name;
  std::string* text = nullptr;  // where it goes; none: whatever it is
};
// An object with these members, all of them and no others.
inline Status read_exactly(const codec::json::Cursor& at, const std::vector<Member>& members) {
  std::size_t found = 0;
  RETURN_IF_ERROR(each_member_once(at, [&](std::string_view name, const codec::json::Cursor& value) -> Status {
    const auto member = std::ranges::find(members, name, &Member::name);
    if (member == members.end()) return at.error("unknown member " + quoted(name));
    ++found;
    if (member->text == nullptr) return {};
    ASSIGN_OR_RETURN(*member->text, value.string());
    return {};
  }));
  if (found == members.size()) return {};
  for (const Member& member : members) RETURN_IF_ERROR(at.require(member.name));
  return at.error("has a member that is null");
}

}  // namespace cooper::policy
