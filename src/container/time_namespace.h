// Time namespaces: clocks that stand elsewhere than the machine's.
#pragma once

#include "base/error.h"
#include "container/plan.h"

namespace cooper::container {

// unshare, then the offsets, which can be written only while nobody is in it. Children of the caller are born inside.
Status make_time_namespace(const NewTimeNamespace& step);
// For a process without privileges outside of its user namespace, which enters the new one itself.
Status enter_new_time_namespace(const NewTimeNamespace& step);

}  // namespace cooper::container
