// Limits of an app: control group and rlimits.
#pragma once

#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/types.h"
#include "stage1/flavor.h"

namespace cooper::stage1 {

inline constexpr std::int64_t kDefaultPidsLimit = 2048;

// Errc::kInvalidArgument for values the kernel cannot take (swap below memory, no cpu at all ...).
Result<oci::Resources> app_resources(const App& app);

// The user's ulimits, then the defaults for those not named (open files and processes as podman has them, never above
// what the caller itself may have: raising a hard limit needs CAP_SYS_RESOURCE). Errc::kInvalidArgument for unknown
// names and soft above hard.
Result<std::vector<oci::Rlimit>> app_rlimits(const App& app, const Host& host);

}  // namespace cooper::stage1
