// Where the signatures of an image lie: registries.d as containers-registries.d(5) has it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::policy {

// One section; what it leaves open a wider one decides.
struct PlaceSection {
  std::string lookaside = {};  // URL: file, http or https
  std::optional<bool> sigstore_attachments = {};
  std::string file = {};  // that it is of
};
struct PlacesConfig {
  std::map<std::string, PlaceSection> docker;  // by scope
  std::optional<PlaceSection> standard;        // "default-docker"
};
// Adds a file. Errc::kInvalidArgument for one that is no such YAML, and for a section that another file has.
Status add_places(PlacesConfig& config, std::string_view text, const std::string& file);
// Every *.yaml of the directory, by name; one that is missing is empty.
Result<PlacesConfig> read_places(const std::string& directory);

struct Places {
  std::string lookaside = {};         // URL of the image's signatures without their digest; empty: none
  bool sigstore_attachments = false;  // sha256-<hex>.sig, beside the image
};
// `standard_lookaside` is where signatures lie when nothing says anything else.
Result<Places> find_places(const PlacesConfig& config, const oci_image::Reference& reference,
                           const std::string& standard_lookaside);

}  // namespace cooper::policy
