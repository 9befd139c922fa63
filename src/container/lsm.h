// Which security modules of the kernel take labels on this host: for PlanOptions.
#pragma once

namespace cooper::container {

bool apparmor_enabled();
bool selinux_enabled();

}  // namespace cooper::container
