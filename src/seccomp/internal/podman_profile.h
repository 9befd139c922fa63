// For tests: the profile podman ships, resolved for a machine and a set of capabilities as podman does.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "spec/oci_runtime/types.h"

namespace cooper::seccomp::testing {

// nullopt when the file does not exist.
std::optional<oci::Seccomp> podman_profile(const std::vector<std::string>& capabilities,
                                           const std::string& path = "/usr/share/containers/seccomp.json");

// What podman and docker grant a container when nothing is asked.
inline const std::vector<std::string> kDefaultCapabilities{
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FOWNER",  "CAP_FSETID", "CAP_KILL",      "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP", "CAP_SETGID",       "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"};

}  // namespace cooper::seccomp::testing
