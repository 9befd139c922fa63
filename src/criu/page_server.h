// The address of a page server, as people type it.
#pragma once

#include <string_view>

#include "base/error.h"
#include "criu/rpc.h"

namespace cooper::criu {

// "10.0.0.1:27", "[fe80::1]:27"
Result<PageServer> parse_page_server(std::string_view text);

}  // namespace cooper::criu
