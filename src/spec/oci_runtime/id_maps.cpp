#include "spec/oci_runtime/id_maps.h"

namespace cooper::spec::oci_runtime {

std::optional<std::uint32_t> host_id(const std::vector<IdMapping>& mappings, std::uint32_t id) {
  for (const IdMapping& m : mappings) {
    if (id >= m.container_id && id - m.container_id < m.size) return m.host_id + (id - m.container_id);
  }
  return std::nullopt;
}

std::string id_map_text(const std::vector<IdMapping>& mappings) {
  std::string out;
  for (const IdMapping& m : mappings) {
    out += std::to_string(m.container_id) + " " + std::to_string(m.host_id) + " " + std::to_string(m.size) + "\n";
  }
  return out;
}

}  // namespace cooper::spec::oci_runtime
