// Delegation of controllers down a cgroup v2 tree.
#pragma once

#include <string>

#include "base/error.h"
#include "cgroup/cgroup.h"

namespace cooper::cgroup {

// Makes every controller of the tree's root available in the group `path`, by enabling it in each ancestor. A
// controller an ancestor cannot enable (it has processes of its own, it is threaded) stays off: a limit that needs it
// fails later, by name.
Status enable_controllers(const Hierarchy& tree, const std::string& path);

// Why the group lacks a controller, as the rest of a sentence that begins with its name: the first ancestor that does
// not hand it down, and what keeps it from doing so. Empty when the group has the controller.
std::string why_missing(const Hierarchy& tree, const std::string& path, const std::string& controller);

}  // namespace cooper::cgroup
