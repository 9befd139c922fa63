#include "fetch/hosts.h"

#include <algorithm>

#include "base/strings.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::fetch {

bool is_loopback(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']')) == "[::1";
  const std::string name = to_lower(host.substr(0, host.find(':')));
  if (name == "localhost" || name.ends_with(".localhost")) return true;
  const auto parts = split(name, '.');
  return parts.size() == 4 && parts[0] == "127" &&
         std::ranges::all_of(parts, [](std::string_view part) { return parse_number<std::uint8_t>(part).has_value(); });
}

std::string address_of(std::string_view registry) {
  return registry == oci_image::kDockerHub ? "registry-1.docker.io" : std::string(registry);
}

}  // namespace cooper::fetch
