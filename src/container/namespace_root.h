// Who a process is that has just entered a user namespace.
#pragma once

#include "base/error.h"

namespace cooper::container {

// User and group 0 of the caller's user namespace, or, where it maps no such id, the first that it maps. The
// capabilities that the caller has over the namespace stay. Needs /proc of the caller's PID namespace or of one above
// it for the latter.
Status become_namespace_root();
// The same, but the caller stays who it is where 0 is not mapped. Asks nothing of /proc.
Status become_zero();

}  // namespace cooper::container
