#pragma once

#include <vector>

#include "cgroup/systemd.h"

namespace cooper::cgroup {

// "strict" with what the rules allow, in order; "auto" when they allow everything by default.
std::vector<UnitProperty> device_properties(const std::vector<oci::DeviceRule>& rules);

}  // namespace cooper::cgroup
