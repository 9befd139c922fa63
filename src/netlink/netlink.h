// CONTRACT (loopback_up). Network links of the caller's network namespace. No NSS, no stdio: usable in the set-up child.
#pragma once

#include "base/error.h"

namespace cooper::netlink {

// Brings "lo" up (it gets 127.0.0.1/8 and ::1 by itself). Needs CAP_NET_ADMIN over the network namespace.
Status loopback_up();

}  // namespace cooper::netlink
