// Time namespaces: clocks that stand elsewhere than the machine's.
#pragma once

#include "base/error.h"
#include "container/plan.h"

namespace cooper::container {

// unshare, then the offsets, which can be written only while nobody is in it. Children of the caller are born inside.
Status make_time_namespace(const NewTimeNamespace& step);
// The same for a process without privileges outside of its user namespace. For a moment others may trace it who have
// the right to it in that user namespace: it must be a new one, in which is nobody else, or they must not see the
// process.
Status make_time_namespace_inside(const NewTimeNamespace& step);
// The same, and enters it: of a new user namespace.
Status enter_new_time_namespace(const NewTimeNamespace& step);

}  // namespace cooper::container
