#include "dbus/address.h"

#include <stdlib.h>
#include <unistd.h>

#include <optional>

#include "base/percent.h"
#include "base/strings.h"

namespace cooper::dbus {
namespace {

// The socket of one "unix:" address; nullopt when it names none we can connect to.
Result<std::optional<std::string>> unix_socket(std::string_view parameters) {
  std::optional<std::string> out;
  for (const auto parameter : split(parameters, ',')) {
    const auto pair = split_once(parameter, '=');
    const auto value = pair ? percent_decode(pair->second) : std::nullopt;
    if (!value || value->find('\0') != std::string::npos)
      return Error(Errc::kInvalidArgument, "malformed D-Bus address: " + quoted(parameter), EINVAL);
    if (pair->first == "path" && value->starts_with('/')) out = *value;
    if (pair->first == "abstract" && !value->empty()) out = "@" + *value;
  }
  return out;
}

// secure_getenv: a privileged caller's surroundings do not choose whom we trust.
std::string environment(const char* name) {
  const char* value = ::secure_getenv(name);
  return value == nullptr ? "" : value;
}

Status add_listed(std::vector<Endpoint>& out, const char* variable) {
  const std::string list = environment(variable);
  if (list.empty()) return {};
  auto sockets = parse_addresses(list);
  if (!sockets.ok()) return std::move(sockets).error().with("$" + std::string(variable));
  for (std::string& socket : *sockets) out.push_back({std::move(socket), false});
  return {};
}

}  // namespace

Result<std::vector<std::string>> parse_addresses(std::string_view list) {
  std::vector<std::string> out;
  bool other = false;
  for (const auto address : split(list, ';')) {
    if (address.empty()) continue;
    const auto pair = split_once(address, ':');
    if (!pair) return Error(Errc::kInvalidArgument, "malformed D-Bus address: " + quoted(address), EINVAL);
    if (pair->first != "unix") {
      other = true;
      continue;
    }
    ASSIGN_OR_RETURN(auto socket, unix_socket(pair->second));
    if (socket) out.push_back(std::move(*socket));
    other = other || !socket;
  }
  if (out.empty() && other)
    return Error(Errc::kUnsupported, "D-Bus address " + quoted(list) + " names no unix socket to connect to");
  if (out.empty()) return Error(Errc::kInvalidArgument, "D-Bus address " + quoted(list) + " is empty", EINVAL);
  return out;
}

Result<std::vector<Endpoint>> endpoints(Bus bus) {
  std::vector<Endpoint> out;
  if (bus == Bus::kSystem) {
    RETURN_IF_ERROR(add_listed(out, "DBUS_SYSTEM_BUS_ADDRESS"));
    if (out.empty()) out.push_back({"/run/dbus/system_bus_socket", false});
    if (::geteuid() == 0) out.push_back({"/run/systemd/private", true});
    return out;
  }
  RETURN_IF_ERROR(add_listed(out, "DBUS_SESSION_BUS_ADDRESS"));
  std::string directory = environment("XDG_RUNTIME_DIR");
  if (!directory.starts_with('/')) directory = "/run/user/" + std::to_string(::geteuid());
  out.push_back({directory + "/bus", false});
  out.push_back({directory + "/systemd/private", true});
  return out;
}

}  // namespace cooper::dbus
