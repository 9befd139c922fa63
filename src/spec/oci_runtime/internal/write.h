// Shared by the print_*.cpp files of this room.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"
#include "spec/oci_runtime/types.h"

namespace cooper::spec::oci_runtime::internal {

using codec::json::Writer;

void write_linux(Writer& out, const Linux& linux);
void write_seccomp(Writer& out, const Seccomp& seccomp);

inline void text(Writer& out, std::string_view name, const std::string& value) {
  if (!value.empty()) out.field(name, value);
}

inline void texts(Writer& out, std::string_view name, const std::vector<std::string>& values) {
  if (!values.empty()) out.field(name, values);
}

inline void map(Writer& out, std::string_view name, const std::map<std::string, std::string>& values) {
  if (values.empty()) return;
  out.key(name).begin_object();
  for (const auto& [key, value] : values) out.field(key, value);
  out.end_object();
}

template <typename T>
void list(Writer& out, std::string_view name, const std::vector<T>& values, void (*write_one)(Writer&, const T&)) {
  if (values.empty()) return;
  out.key(name).begin_array();
  for (const T& value : values) write_one(out, value);
  out.end_array();
}

}  // namespace cooper::spec::oci_runtime::internal
