#include "container/interfaces.h"

#include "netlink/links.h"

namespace cooper::container {
namespace {

// The container's end is born under a name that is free in any namespace; the child finds it by the same rule.
std::string first_name(std::size_t number) {
  return "cooper-tmp" + std::to_string(number);
}

// A name that no other container's interface has while that process lives.
std::string host_name(const Interface& interface, pid_t child, std::size_t number) {
  return interface.host_name.empty() ? "veth" + std::to_string(child) + "x" + std::to_string(number)
                                     : interface.host_name;
}

}  // namespace

Status make_interfaces(const std::vector<Interface>& interfaces, BorrowedFd target, pid_t child,
                       std::vector<StateRecord::HostInterface>& made) {
  ASSIGN_OR_RETURN(const UniqueFd socket, netlink::open_socket());
  for (std::size_t i = 0; i < interfaces.size(); ++i) {
    const Interface& interface = interfaces[i];
    netlink::VethPair pair;
    pair.name = host_name(interface, child, i);
    pair.peer_name = first_name(i);
    pair.peer_namespace = target;
    pair.mtu_bytes = interface.mtu_bytes;
    pair.tx_queue_len = interface.tx_queue_len;
    ASSIGN_OR_RETURN(const int index, netlink::create_veth(socket, pair));
    made.push_back({pair.name, index});
    netlink::LinkChange change;
    if (!interface.bridge.empty()) change.master = interface.bridge;
    change.up = true;
    RETURN_IF_ERROR(netlink::change_link(socket, pair.name, change));
    if (interface.hairpin) RETURN_IF_ERROR(netlink::set_hairpin(socket, pair.name, true));
  }
  return {};
}

void remove_interfaces(const std::vector<StateRecord::HostInterface>& interfaces) {
  for (const StateRecord::HostInterface& entry : interfaces)
    (void)!netlink::delete_link(netlink::kNoSocket, entry.name, entry.index).ok();
}

Status configure_interface(const ConfigureInterface& step) {
  const Interface& interface = step.interface;
  ASSIGN_OR_RETURN(const UniqueFd socket, netlink::open_socket());
  netlink::LinkChange change;  // down as it is: only then it takes a name
  change.name = interface.name;
  if (!interface.mac.empty()) change.mac = interface.mac;
  RETURN_IF_ERROR(netlink::change_link(socket, first_name(step.number), change));
  for (const std::string& address : interface.addresses)
    RETURN_IF_ERROR(netlink::add_address(socket, interface.name, address));
  netlink::LinkChange up;
  up.up = true;
  RETURN_IF_ERROR(netlink::change_link(socket, interface.name, up));
  // A gateway is reached by a link that is up only.
  for (const std::string& gateway : interface.gateways)
    RETURN_IF_ERROR(netlink::add_route(socket, {"", "", gateway, interface.name}));
  return {};
}

Status add_route(const ExtraRoute& route) {
  return netlink::add_route(netlink::kNoSocket, {route.destination, route.source, route.gateway, route.interface_name});
}

}  // namespace cooper::container
