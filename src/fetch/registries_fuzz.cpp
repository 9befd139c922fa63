// registries.conf: its TOML, its rules, and what they make of a name.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fetch/registries.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace fetch = cooper::fetch;
  namespace oci = cooper::spec::oci_image;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fetch::RegistriesConfig config;
  if (!fetch::add_registries(config, text, "registries.conf").ok()) return 0;
  for (const std::string_view name : {"busybox:1", "registry.example.com:5000/team/app:1", "docker.io/library/x"}) {
    const auto names = fetch::full_names(config, *oci::parse_reference(name));
    if (!names.ok()) continue;
    for (const oci::Reference& reference : *names) {
      const fetch::RegistryRule* rule = fetch::find_rule(config, reference);
      if (rule == nullptr) continue;
      const auto covered = fetch::matching_bytes(reference, rule->prefix);
      if (!covered) __builtin_trap();
      (void)!fetch::moved(reference, *covered, rule->location).ok();
    }
  }
  return 0;
}
