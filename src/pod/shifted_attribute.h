// Extended attributes that name ids, for copies whose owners are mapped.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "stage1/flavor.h"

namespace cooper::pod {

// File capabilities become those of the namespace's root (version 3, kernel 4.14: those of the host's root mean nothing
// there); users and groups of access control lists are mapped. Everything else stays. nullopt: an id is not mapped, and
// the attribute would say something else without it.
std::optional<std::string> shift_attribute(std::string_view name, std::string value, const stage1::IdMaps& maps);

}  // namespace cooper::pod
