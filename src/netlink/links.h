// Changes to links, addresses and routes of a network namespace: veth pairs, bridge ports, what a container's interface
// has. Sockets and errors as in netlink.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "netlink/netlink.h"

namespace cooper::netlink {

struct VethPair {
  std::string name;               // of the end here
  std::string peer_name;          // of the other
  BorrowedFd peer_namespace{-1};  // network namespace in which the other end is born; -1: here
  std::uint32_t mtu_bytes = 0;    // of both; 0: the kernel's
  std::uint32_t tx_queue_len = 0;
};
// Both ends or none. Returns the index of the end here. Errc::kAlreadyExists when a name is taken.
Result<int> create_veth(BorrowedFd socket, const VethPair& pair);
// A bridge without addresses; Errc::kAlreadyExists when there is one.
Result<int> create_bridge(BorrowedFd socket, const std::string& name);
// `index` 0: by name; else only when that link still has that index. Missing is fine.
Status delete_link(BorrowedFd socket, const std::string& name, int index = 0);

// What to change of one link, in one request. Renaming, and on some kernels the hardware address, needs it down.
struct LinkChange {
  std::optional<std::string> name, mac;
  std::optional<std::uint32_t> mtu_bytes, tx_queue_len;
  std::optional<std::string> master;  // a bridge
  std::optional<bool> up;
};
// Errc::kNotFound when there is no such link.
Status change_link(BorrowedFd socket, const std::string& name, const LinkChange& wanted);
// A frame may leave the bridge through the port it came in by.
Status set_hairpin(BorrowedFd socket, const std::string& name, bool on);

// "10.0.0.2/24", "fd00::2/64". An IPv6 address is usable at once: duplicate address detection, which takes a second,
// is left out, since nobody else is on the link.
Status add_address(BorrowedFd socket, const std::string& name, std::string_view cidr);

struct RouteRequest {
  std::string destination;  // CIDR; empty: the default route
  std::string source;       // preferred source: an address, with or without a length
  std::string gateway;
  std::string interface_name;
};
// Errc::kAlreadyExists when the route is there.
Status add_route(BorrowedFd socket, const RouteRequest& route);

}  // namespace cooper::netlink
