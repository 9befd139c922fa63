// The veth pairs of a container (Extras::interfaces): the parent makes both ends, the child configures its own.
#pragma once

#include <sys/types.h>

#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "container/container.h"
#include "container/plan.h"

namespace cooper::container {

// In the caller's network namespace, the other ends in `target`. What was made is in `made`, also on failure.
Status make_interfaces(const std::vector<Interface>& interfaces, BorrowedFd target, pid_t child,
                       std::vector<StateRecord::HostInterface>& made);
// Those of them that are still there. Never fails: the network namespace's end does the rest.
void remove_interfaces(const std::vector<StateRecord::HostInterface>& interfaces);

// Zone S.
Status configure_interface(const ConfigureInterface& step);
Status add_route(const ExtraRoute& route);

}  // namespace cooper::container
