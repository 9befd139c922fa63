// One blob or manifest into the registry, from a descriptor: what is there already is not sent, what broke is taken up
// where the registry says that it has come, or begun anew. Where an upload goes on is the registry's to say (Location);
// credentials stay with its own origin.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/fd.h"
#include "fetch/protocol.h"
#include "registry/attempts.h"

namespace cooper::registry {

// The event that ends the request: done or failed. `file` is read at any place; invalid when the request has none.
fetch::Event run_upload(const fetch::Setup& setup, Line& line, const fetch::Request& request, BorrowedFd file,
                        const Report& report);

// How many bytes of `size_bytes` a registry says it has: 10 for "0-9" and "bytes=0-9". nullopt when that is no use:
// also for "0-0", by which some mean one byte and others none.
std::optional<std::uint64_t> parse_taken(std::string_view range, std::uint64_t size_bytes);

}  // namespace cooper::registry
