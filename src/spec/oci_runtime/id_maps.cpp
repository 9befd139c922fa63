#include "spec/oci_runtime/id_maps.h"

#include <algorithm>

#include "base/strings.h"

namespace cooper::spec::oci_runtime {

bool maps_ids(const Config& config) {
  return config.linux &&
         std::ranges::find(config.linux->namespaces, "user", &Namespace::type) != config.linux->namespaces.end();
}

std::optional<std::uint32_t> host_id(const std::vector<IdMapping>& mappings, std::uint32_t id) {
  for (const IdMapping& m : mappings) {
    if (id >= m.container_id && id - m.container_id < m.size) return m.host_id + (id - m.container_id);
  }
  return std::nullopt;
}

std::uint32_t host_uid(const Config& config, std::uint32_t uid) {
  return maps_ids(config) ? host_id(config.linux->uid_mappings, uid).value_or(uid) : uid;
}

std::uint32_t host_gid(const Config& config, std::uint32_t gid) {
  return maps_ids(config) ? host_id(config.linux->gid_mappings, gid).value_or(gid) : gid;
}

std::vector<IdRange> parse_subids(std::string_view text, std::optional<std::string_view> owner) {
  constexpr std::uint64_t kEndOfIds = 0xffffffff;  // the last number is no id
  std::vector<IdRange> out;
  for (const std::string_view line : split(text, '\n')) {
    const auto parts = split(trim(line), ':');
    if (parts.size() != 3 || parts[0].empty() || parts[0].starts_with('#')) continue;
    if (owner && parts[0] != *owner) continue;
    const auto first = parse_number<std::uint32_t>(parts[1]);
    const auto count = parse_number<std::uint32_t>(parts[2]);
    if (!first || !count || *count == 0 || std::uint64_t{*first} + *count > kEndOfIds) continue;
    out.push_back({*first, *count});
  }
  return out;
}

std::vector<IdMapping> parse_id_map(std::string_view text) {
  std::vector<IdMapping> out;
  for (const std::string_view line : split(text, '\n')) {
    std::vector<std::uint32_t> numbers;
    for (const std::string_view word : split(line, ' ')) {
      if (const auto number = parse_number<std::uint32_t>(word)) numbers.push_back(*number);
    }
    if (numbers.size() == 3) out.push_back({numbers[0], numbers[1], numbers[2]});
  }
  return out;
}

std::string id_map_text(const std::vector<IdMapping>& mappings) {
  std::string out;
  for (const IdMapping& m : mappings) {
    out += std::to_string(m.container_id) + " " + std::to_string(m.host_id) + " " + std::to_string(m.size) + "\n";
  }
  return out;
}

}  // namespace cooper::spec::oci_runtime
