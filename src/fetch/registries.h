// registries.conf as containers-registries.conf(5) has it, version 2: where the images of a name come from (another
// place, mirrors before it), what is blocked, and what short names stand for.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::fetch {

struct RegistryMirror {
  enum class Use { kAll, kDigestOnly, kTagOnly };
  std::string location = {};  // "host[:port][/path]"
  bool insecure = false;
  Use use = Use::kAll;
  bool operator==(const RegistryMirror&) const = default;
};

// One [[registry]].
struct RegistryRule {
  std::string prefix = {};    // "host[:port][/path]", or "*.domain[/path]"
  std::string location = {};  // what is put in the place of the prefix; empty: the name as it is
  bool insecure = false;
  bool blocked = false;
  std::vector<RegistryMirror> mirrors = {};  // in the order to be asked
  std::string place = {};                    // "FILE: line N", for people
};

struct RegistriesConfig {
  enum class ShortNames { kPermissive, kEnforcing, kDisabled };
  struct Alias {
    std::string name;  // "host/repository"
    std::string place = {};
  };
  std::map<std::string, RegistryRule> rules = {};  // by prefix
  std::optional<std::vector<std::string>> search = {};
  std::string search_place = {};
  ShortNames mode = ShortNames::kPermissive;
  std::map<std::string, Alias> aliases = {};  // by short name
};

// Adds a file: what it says wins over earlier ones, by prefix and by alias; an alias to nothing takes it away.
// Errc::kInvalidArgument, with the line, for what is no such TOML; keys that nobody knows are passed over, as by other
// readers of these files.
Status add_registries(RegistriesConfig& config, std::string_view text, const std::string& file);

struct RegistriesFiles {
  std::string must_file = {};                 // as a setting or a variable names it: not to find it is an error
  std::vector<std::string> files = {};        // else the first there is
  std::vector<std::string> directories = {};  // then every *.conf of them, by name; may be missing
};
Result<RegistriesConfig> read_registries(const RegistriesFiles& files);

// How much of "registry/repository[:tag][@digest]" a prefix covers, whole components only; nullopt: it is of others.
// Of a registry with a port a host alone covers the bytes before the port, as podman reads it.
std::optional<std::size_t> matching_bytes(const oci_image::Reference& reference, std::string_view prefix);
// That of the longest prefix; null: there is none.
const RegistryRule* find_rule(const RegistriesConfig& config, const oci_image::Reference& reference);
// Errc::kPermission when images of that name are blocked, or would be without the port that the name has and no rule.
Status check_allowed(const RegistriesConfig& config, const oci_image::Reference& reference);

struct RegistryPlace {
  std::string registry = {};  // "host[:port]"
  std::string repository = {};
};
// The name with `location` in the place of its first bytes.
Result<RegistryPlace> moved(const oci_image::Reference& reference, std::size_t covered, const std::string& location);

// Full names that a name may stand for, in the order they are tried: that of its alias, else one for each registry of
// unqualified-search-registries, else that of docker.io. A full name stands for itself. Errc::kInvalidArgument when
// short-name-mode "enforcing" leaves several.
Result<std::vector<oci_image::Reference>> full_names(const RegistriesConfig& config,
                                                     const oci_image::Reference& reference);

}  // namespace cooper::fetch
