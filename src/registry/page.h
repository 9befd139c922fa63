// One file of the web, by its address, into a pipe: retries, resumption, a limit to its size.
#pragma once

#include "base/error.h"
#include "base/fd.h"
#include "fetch/protocol.h"
#include "registry/attempts.h"
#include "registry/http.h"

namespace cooper::registry {

// `endpoint` says how servers are spoken to. The event that ends the request: done or failed.
fetch::Event run_page(const fetch::Setup& setup, const fetch::Endpoint& endpoint, HttpClient& client,
                      const fetch::Request& request, BorrowedFd pipe, const Report& report);

}  // namespace cooper::registry
