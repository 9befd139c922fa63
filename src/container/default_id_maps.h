// User namespaces that a configuration asks for without saying which ids it has, by users without privileges.
#pragma once

#include "spec/oci_runtime/types.h"

namespace cooper::container {

// Fills both maps when a new user namespace has none and the caller is not root, and says whether it did. Id 0 is the
// caller; from 1 on come the ranges that subuid(5) and subgid(5) give to the caller, by name or number, when there are
// such for both and newuidmap(1) and newgidmap(1), which write them, are in the path.
bool fill_id_maps(oci::Config& config);

}  // namespace cooper::container
