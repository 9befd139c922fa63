// Shared by the parse*.cpp files of this room.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"
#include "spec/libcontainer/types.h"

namespace cooper::spec::libcontainer::internal {

using codec::json::Cursor;

// What has been seen so far, besides the values.
struct Notes {
  std::map<std::string, std::string>* unknown = nullptr;
  bool numeric = false;  // a member of the numeric generation
  bool named = false;    // a member of the other one
};

using Names = std::initializer_list<std::string_view>;
// Lists members that are not among `names`.
inline void note_unknown(const Cursor& object, Names names, Notes& notes) {
  (void)!object
      .for_each_member([&](std::string_view name, const Cursor& member) -> Status {
        for (const std::string_view known : names) {
          if (known == name) return {};
        }
        notes.unknown->emplace(member.pointer(), "is no member of this format");
        return {};
      })
      .ok();
}

template <typename T, typename Value>
struct Member {
  std::string_view name;
  Value T::*value;
};
template <typename T, typename Value>
Member(std::string_view, Value T::*) -> Member<T, Value>;
// An object of these members and no others.
template <typename T, typename... Values>
Status read_members(const Cursor& object, T& out, Notes& notes, Member<T, Values>... members) {
  note_unknown(object, {members.name...}, notes);
  Status done;
  (void)((done = object.read(members.name, out.*members.value)).ok() && ...);
  return done;
}

// Optional array of objects; read_one(object, value, notes).
template <typename T>
Status read_list(const Cursor& object, std::string_view name, std::vector<T>& out, Notes& notes,
                 Status (*read_one)(const Cursor&, T&, Notes&)) {
  const auto list = object.get(name);
  if (!list) return {};
  out.clear();
  return list->for_each([&](const Cursor& element) -> Status {
    RETURN_IF_ERROR(element.expect_object());
    return read_one(element, out.emplace_back(), notes);
  });
}

Status read_cgroup(const Cursor& object, Cgroup& out, Notes& notes);
Status read_seccomp(const Cursor& object, Seccomp& out, Notes& notes);
Status read_device(const Cursor& object, Device& out, Notes& notes);

}  // namespace cooper::spec::libcontainer::internal
