// Which hosts are asked without the proxy of the environment.
#pragma once

#include <string_view>

#include "registry/url.h"

namespace cooper::registry {

// True for this machine, whatever is said: what is sent there, in clear as well, is not for a proxy. Else for what
// `exceptions` names, as programs in Go (podman, docker, skopeo) read no_proxy, between commas or blanks: a host and
// all below it ("dom.example"), all below it (".dom.example", "*.dom.example"), an address, a network
// ("192.0.2.0/24"), each but the last with ":port" behind it if only that port is meant; "*" is everything.
bool is_direct(const Url& url, std::string_view exceptions);

}  // namespace cooper::registry
