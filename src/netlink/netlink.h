// Links and addresses of a network namespace over rtnetlink(7), without a library.
//
// Every call acts on the network namespace in which its socket was made: the caller's own, or, with a socket from
// open_socket(), the one the caller was in at that time. Nothing here uses stdio, locale or NSS (zone S). Changes need
// CAP_NET_ADMIN in the user namespace that owns the network namespace; lists need nothing. Errors keep the kernel's
// errno and, where the kernel gives one, its own words.
#pragma once

#include <net/if.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace cooper::netlink {

// A route socket of the current network namespace; close-on-exec.
Result<UniqueFd> open_socket();
inline constexpr BorrowedFd kNoSocket{-1};  // make one for this call

// Brings "lo" up in the current network namespace. Three system calls (an ioctl: as fast as a netlink message here, and
// it answers without a second call); already up is fine.
Status set_loopback_up();
// Errc::kNotFound when there is no such link.
Status set_link_up(BorrowedFd socket, const std::string& name);
Status set_link_down(BorrowedFd socket, const std::string& name);

struct Address {
  std::string address;  // "127.0.0.1", "fe80::1"
  std::uint8_t prefix_length = 0;
  int family = 0;          // AF_INET, AF_INET6
  std::uint8_t scope = 0;  // RT_SCOPE_*
  std::string label;       // "eth0:1"; empty for IPv6
  std::string peer;        // other end of a point-to-point link; empty: none
  std::string broadcast;
  std::uint32_t flags = 0;  // IFA_F_*
  std::string cidr() const { return address + "/" + std::to_string(prefix_length); }
};

// Counters since the link was made. Bytes and packets.
struct LinkStats {
  std::uint64_t rx_bytes = 0, rx_packets = 0, rx_errors = 0, rx_dropped = 0;
  std::uint64_t tx_bytes = 0, tx_packets = 0, tx_errors = 0, tx_dropped = 0;
};

struct Link {
  int index = 0;
  std::string name;
  std::string kind;         // "veth", "bridge"; empty for hardware and loopback
  std::uint32_t flags = 0;  // IFF_*
  std::uint32_t mtu_bytes = 0;
  std::string mac;  // "02:42:ac:11:00:02"; empty without a link-layer address
  int master = 0;   // index of the bridge it belongs to; 0 is none
  int peer = 0;     // index of the other end (in its namespace); 0 is none
  LinkStats stats;
  std::vector<Address> addresses;
  bool up() const { return (flags & IFF_UP) != 0; }
};

// A route socket of another network namespace (a descriptor of .../ns/net): the caller enters it and comes back. The
// caller must be single-threaded.
Result<UniqueFd> open_socket_in(BorrowedFd network_namespace);

struct MoveLink {
  std::string name;      // where it is
  std::string new_name;  // where it goes; empty: the same; "eth%d": the kernel chooses the number
  BorrowedFd from{-1};   // socket of the one namespace
  BorrowedFd to{-1};     // socket of the other, and that namespace itself
  BorrowedFd network_namespace{-1};
  BorrowedFd origin{-1};  // namespace of `from`: where it returns when a later step fails
};
// Moves a link into another network namespace and returns its name there. It keeps its MTU, its link-layer address and
// its permanent addresses of global scope, and is up afterwards. Errc::kNotFound: no such link; Errc::kAlreadyExists:
// the name is taken there.
Result<std::string> move_link(const MoveLink& move);

// All links in order of index, with their addresses. A list that changed while it was read is read again.
Result<std::vector<Link>> list_links(BorrowedFd socket = kNoSocket);
// nullopt when there is no such link.
Result<std::optional<Link>> find_link(BorrowedFd socket, const std::string& name);

}  // namespace cooper::netlink
