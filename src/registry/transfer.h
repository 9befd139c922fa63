// One manifest or blob, from the first registry that has it into a pipe: authorization, retries, resumption, and the
// check of size and digest on the way.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "fetch/protocol.h"
#include "registry/http.h"
#include "registry/registry.h"

namespace cooper::registry {

// A registry with the connections of one worker.
struct Line {
  Registry& registry;
  HttpClient client;
};

// Sends an event of the kind kRetry.
using ReportRetry = std::function<void(const fetch::Event&)>;

// `lines` in the order to be tried. The event that ends the request: done or failed.
fetch::Event run_transfer(const fetch::Setup& setup, std::vector<Line>& lines, const fetch::Request& request,
                          BorrowedFd pipe, const ReportRetry& report);

}  // namespace cooper::registry
