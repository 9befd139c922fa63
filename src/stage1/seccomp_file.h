// Seccomp profiles as docker and podman write them: the runtime specification's object, plus archMap and rules that
// hold for certain capabilities, architectures and kernels only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/types.h"

namespace cooper::stage1 {

inline constexpr std::size_t kMaxProfileBytes = std::size_t{4} << 20;

struct ProfileContext {
  std::vector<std::string> capabilities;  // granted ("CAP_SYS_ADMIN"): what includes.caps and excludes.caps ask for
  std::string architecture;               // SCMP_ARCH_* of this machine
  std::string go_architecture;            // "amd64": word of includes.arches
  int kernel_major = 0, kernel_minor = 0;
};
// Of the running kernel and this build.
ProfileContext profile_context(std::vector<std::string> capabilities);

// Rules whose conditions do not hold are left out. `what` names the file in messages. Errors carry the JSON pointer.
// Action and operator words are checked later, by seccomp::compile().
Result<oci::Seccomp> parse_profile(std::string text, std::string_view what, const ProfileContext& context);

}  // namespace cooper::stage1
