// Ids of a user namespace, and the ids outside that they stand for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spec/oci_runtime/types.h"

namespace cooper::spec::oci_runtime {

// Whether linux.uidMappings and linux.gidMappings are about anything: without a user namespace they map nothing.
bool maps_ids(const Config& config);

// The id outside; nullopt: it is not mapped.
std::optional<std::uint32_t> host_id(const std::vector<IdMapping>& mappings, std::uint32_t id);
// Those of a container's user or group; the id itself where it is not mapped.
std::uint32_t host_uid(const Config& config, std::uint32_t uid);
std::uint32_t host_gid(const Config& config, std::uint32_t gid);

// Ids first, first + 1, ... of the host; at least one, and none of them 4294967295, which is no id.
struct IdRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  bool operator==(const IdRange&) const = default;
};

// "OWNER:FIRST:COUNT" lines of subuid(5) and subgid(5): the ranges of `owner`, or of everybody. What is no such line is
// left out, as newuidmap does.
std::vector<IdRange> parse_subids(std::string_view text, std::optional<std::string_view> owner);

// The lines of /proc/PID/uid_map, as the kernel shows them to who reads; what is no such line is left out.
std::vector<IdMapping> parse_id_map(std::string_view text);

// As /proc/PID/uid_map takes them: "INSIDE OUTSIDE COUNT" lines.
std::string id_map_text(const std::vector<IdMapping>& mappings);

}  // namespace cooper::spec::oci_runtime
