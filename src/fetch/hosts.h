// Names of registries.
#pragma once

#include <string>
#include <string_view>

namespace cooper::fetch {

// This machine: localhost, 127.0.0.0/8, [::1]; `host` may have a port.
bool is_loopback(std::string_view host);
// Where a registry of that name is reached: docker.io has another host for it.
std::string address_of(std::string_view registry);

}  // namespace cooper::fetch
