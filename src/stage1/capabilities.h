// Which capabilities an app gets.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/types.h"
#include "sys/cred.h"

namespace cooper::stage1 {

struct CapabilityRequest {
  std::vector<std::string> add, drop;  // "NET_ADMIN", "cap_net_admin", "ALL"
  bool privileged = false;
  bool root = true;  // the app runs as uid 0
};

// The five sets. Base: the default list (podman's), everything `available` when privileged or with add of ALL, nothing
// with drop of ALL. An app that is not root starts with an empty effective set; what it was given by name is ambient,
// because it would be lost at the exec otherwise. Inheritable stays empty for root (CVE-2022-24769).
// Errc::kInvalidArgument: unknown name, or a name both added and dropped.
Result<oci::Capabilities> resolve_capabilities(const CapabilityRequest& request, sys::CapMask available);

// In alphabetical order.
const std::vector<std::string>& default_capabilities();

}  // namespace cooper::stage1
