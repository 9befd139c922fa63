// The program cooper-fetch.
#pragma once

namespace cooper::registry {

// Serves whoever started it, through descriptors 3 and 4 (fetch/protocol.h), until the socket ends. The exit status.
int serve();

}  // namespace cooper::registry
