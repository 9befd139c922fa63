// Ids of a user namespace, and the ids outside that they stand for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "spec/oci_runtime/types.h"

namespace cooper::spec::oci_runtime {

// The id outside; nullopt: it is not mapped.
std::optional<std::uint32_t> host_id(const std::vector<IdMapping>& mappings, std::uint32_t id);

// As /proc/PID/uid_map takes them: "INSIDE OUTSIDE COUNT" lines.
std::string id_map_text(const std::vector<IdMapping>& mappings);

}  // namespace cooper::spec::oci_runtime
