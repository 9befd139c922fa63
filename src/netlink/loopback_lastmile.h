// Zone X: the loopback interface, for callers that share memory with their parent.
#pragma once

namespace cooper::netlink {

// Brings "lo" up in the current network namespace; async-signal-safe. nullptr, or what failed, with errno.
const char* raise_loopback();

}  // namespace cooper::netlink
