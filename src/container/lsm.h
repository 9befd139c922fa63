// Which security modules of the kernel take labels on this host: for PlanOptions.
#pragma once

#include "container/plan.h"

namespace cooper::container {

bool apparmor_enabled();
bool selinux_enabled();
// Asks for the modules whose labels the configuration, or its extras, name. The answers are in files of sysfs, where a
// look-up may have to wait: what nobody needs is not asked for.
void probe_modules(const oci::Config& config, PlanOptions& options);

}  // namespace cooper::container
