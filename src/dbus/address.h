// Where the buses are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::dbus {

enum class Bus { kSystem, kUser };

// A list of server addresses ("unix:path=/run/x,guid=1;unix:abstract=y"): the sockets of transport "unix" in order, as
// a path, or "@name" in the abstract name space. Errc::kInvalidArgument for a malformed list, Errc::kUnsupported when
// none is a unix socket.
Result<std::vector<std::string>> parse_addresses(std::string_view list);

// One socket to try. On a direct one systemd itself answers: no broker, no names.
struct Endpoint {
  std::string socket;
  bool direct = false;
};
// From the environment ($DBUS_SYSTEM_BUS_ADDRESS; $DBUS_SESSION_BUS_ADDRESS, $XDG_RUNTIME_DIR), then the usual places;
// last the private sockets of systemd, which work without a broker for who owns the manager.
Result<std::vector<Endpoint>> endpoints(Bus bus);

}  // namespace cooper::dbus
