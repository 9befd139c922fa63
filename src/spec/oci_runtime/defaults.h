// The starter document that `spec` writes.
#pragma once

#include "spec/oci_runtime/types.h"

namespace cooper::spec::oci_runtime {

// The version of the runtime specification that this build implements and writes into documents it makes.
inline constexpr const char* kSpecVersion = "1.3.0";
inline constexpr const char* kSpecVersionMin = "1.0.0";

struct DefaultOptions {
  // Adds a user namespace that maps the caller to root, drops what a user cannot do (network namespace, sysfs, device
  // rules).
  bool rootless = false;
  std::uint32_t host_uid = 0;
  std::uint32_t host_gid = 0;
};
Config default_config(const DefaultOptions& options = {});

// Masked and read-only paths of a container that is not privileged.
const std::vector<std::string>& default_masked_paths();
const std::vector<std::string>& default_readonly_paths();

}  // namespace cooper::spec::oci_runtime
