// A process of ours that becomes root of a user namespace: of what it may do then, files of other owners are what
// matters here. Nothing is mounted, and the files that are its user's stay so.
#pragma once

#include "base/error.h"

namespace cooper::userns {

// The calling process gets a new user namespace with the maps of own_maps(): its user is 0 there, and the processes it
// starts are in it as well. The caller has one thread, and is not root. Descriptors, locks, working directory and
// supplementary groups stay as they are. What fails leaves a process that can do nothing but end.
Status enter();

// Whether this process is in a user namespace other than the first one of the machine, by enter() or because somebody
// has started it there. There the kernel makes no device nodes and sets no trusted attributes. Looked up once.
bool is_inside();

// What a user can do who has too few ids.
inline constexpr const char* kMoreIdsHint =
    "more ids come from /etc/subuid and /etc/subgid: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "
    "USER";

}  // namespace cooper::userns
