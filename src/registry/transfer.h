// One manifest or blob, from the first registry that has it into a pipe: authorization, retries, resumption, and the
// check of size and digest on the way.
#pragma once

#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "fetch/protocol.h"
#include "registry/attempts.h"

namespace cooper::registry {

// `lines` in the order to be tried. The event that ends the request: done or failed.
fetch::Event run_transfer(const fetch::Setup& setup, std::vector<Line>& lines, const fetch::Request& request,
                          BorrowedFd pipe, const Report& report);

}  // namespace cooper::registry
