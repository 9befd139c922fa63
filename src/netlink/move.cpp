// Moving a link between network namespaces.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <sys/random.h>

#include <array>

#include "base/strings.h"
#include "netlink/internal/message.h"
#include "netlink/internal/socket.h"
#include "netlink/netlink.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::netlink {
namespace {

std::string packed(int family, const std::string& text) {
  std::array<char, 16> bytes{};
  if (text.empty() || ::inet_pton(family, text.c_str(), bytes.data()) != 1) return {};
  return std::string(bytes.data(), family == AF_INET ? 4U : 16U);
}

Status add_address(BorrowedFd socket, int index, const Address& address) {
  struct ifaddrmsg fixed = {};
  fixed.ifa_family = static_cast<std::uint8_t>(address.family);
  fixed.ifa_prefixlen = address.prefix_length;
  fixed.ifa_scope = address.scope;
  fixed.ifa_index = static_cast<std::uint32_t>(index);
  Request request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, fixed);
  request.binary(IFA_LOCAL, packed(address.family, address.address));
  request.binary(IFA_ADDRESS, packed(address.family, address.peer.empty() ? address.address : address.peer));
  if (const std::string broadcast = packed(address.family, address.broadcast); !broadcast.empty())
    request.binary(IFA_BROADCAST, broadcast);
  if (!address.label.empty()) request.attribute(IFA_LABEL, address.label);
  // What the kernel keeps of them; the others tell of states (tentative, deprecated ...).
  constexpr std::uint32_t kKept = IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;
  request.number(IFA_FLAGS, (address.flags & kKept) | IFA_F_PERMANENT);
  Status added = command(socket, std::move(request));
  if (!added.ok()) return std::move(added).error().with("address " + address.cidr());
  return added;
}

Request link_request(int index) {
  struct ifinfomsg fixed = {};
  fixed.ifi_index = index;
  return Request(RTM_NEWLINK, NLM_F_ACK, fixed);
}

Result<std::string> unused_name() {
  std::array<char, 5> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return Error::from_errno(errno, "getrandom");
  return "cpr" + hex_encode({random.data(), random.size()});  // 13 of at most 15 characters
}

// "eth0:1" of "eth0" that is now "ctr0".
std::string relabelled(const std::string& label, const std::string& before, const std::string& after) {
  if (label == before) return after;
  if (!label.starts_with(before + ":")) return label;
  const std::string out = after + label.substr(before.size());
  return out.size() < IFNAMSIZ ? out : after;
}

// A pattern has one "%d", which the kernel replaces.
Status check_new_name(const std::string& name, BorrowedFd to) {
  if (name.empty() || name.size() >= IFNAMSIZ) return refuse_name(name);
  if (const std::size_t percent = name.find('%'); percent != std::string::npos) {
    if (name.compare(percent, 2, "%d") == 0 && name.find('%', percent + 1) == std::string::npos) return {};
    return Error(Errc::kInvalidArgument, "network interface name " + quoted(name) + " may contain '%d' once and no '%'",
                 EINVAL);
  }
  ASSIGN_OR_RETURN(const auto taken, find_link(to, name));
  if (!taken) return {};
  return Error(Errc::kAlreadyExists, "network interface " + quoted(name) + " exists there already", EEXIST);
}

Result<Link> require_link(BorrowedFd socket, const std::string& name) {
  ASSIGN_OR_RETURN(auto link, find_link(socket, name));
  if (link) return std::move(*link);
  return Error(Errc::kNotFound, "there is no network interface " + quoted(name), ENODEV);
}

Result<std::string> name_of(BorrowedFd socket, int index) {
  ASSIGN_OR_RETURN(const auto links, list_links(socket));
  for (const Link& link : links) {
    if (link.index == index) return link.name;
  }
  return Error(Errc::kNotFound, "the network interface has gone", ENODEV);
}

Status add_addresses(BorrowedFd socket, int index, const Link& link, const std::string& name) {
  for (Address address : link.addresses) {
    if ((address.flags & IFA_F_PERMANENT) == 0 || address.scope != RT_SCOPE_UNIVERSE) continue;
    address.label = relabelled(address.label, link.name, name);
    RETURN_IF_ERROR(add_address(socket, index, address));
  }
  return {};
}

// The rest of a move: the link is there, under a name that nobody asked for.
Result<std::string> settle(const MoveLink& move, const Link& link, int index, const std::string& wanted) {
  Request rename = link_request(index);
  rename.attribute(IFLA_IFNAME, wanted);
  if (Status renamed = command(move.to, std::move(rename)); !renamed.ok())
    return std::move(renamed).error().with("rename to " + quoted(wanted));
  std::string name = wanted;
  if (wanted.find('%') != std::string::npos) {
    ASSIGN_OR_RETURN(name, name_of(move.to, index));
  }
  RETURN_IF_ERROR(add_addresses(move.to, index, link, name));
  RETURN_IF_ERROR(set_link_up(move.to, name));
  return name;
}

Status take_back(const MoveLink& move, const Link& link, int index) {
  Request request = link_request(index);
  request.number(IFLA_NET_NS_FD, static_cast<std::uint32_t>(move.origin.get()));
  request.attribute(IFLA_IFNAME, link.name);
  RETURN_IF_ERROR(command(move.to, std::move(request)));
  ASSIGN_OR_RETURN(const Link back, require_link(move.from, link.name));
  RETURN_IF_ERROR(add_addresses(move.from, back.index, link, link.name));
  return link.up() ? set_link_up(move.from, link.name) : Status();
}

}  // namespace

Result<UniqueFd> open_socket_in(BorrowedFd network_namespace) {
  ASSIGN_OR_RETURN(const UniqueFd own, sys::openat(sys::kCwd, "/proc/self/ns/net", O_RDONLY));
  RETURN_IF_ERROR(sys::setns(network_namespace, CLONE_NEWNET));
  auto socket = open_socket();
  RETURN_IF_ERROR(sys::setns(own, CLONE_NEWNET));
  return socket;
}

Result<std::string> move_link(const MoveLink& move) {
  ASSIGN_OR_RETURN(const Link link, require_link(move.from, move.name));
  const std::string wanted = move.new_name.empty() ? move.name : move.new_name;
  RETURN_IF_ERROR(check_new_name(wanted, move.to));
  // Both names may be in use there, for different links: it travels under one that nobody has.
  ASSIGN_OR_RETURN(const std::string between, unused_name());
  Request request = link_request(link.index);
  request.number(IFLA_NET_NS_FD, static_cast<std::uint32_t>(move.network_namespace.get()));
  request.attribute(IFLA_IFNAME, between);
  RETURN_IF_ERROR(command(move.from, std::move(request)));
  ASSIGN_OR_RETURN(const Link moved, require_link(move.to, between));
  auto name = settle(move, link, moved.index, wanted);
  if (!name.ok() && move.origin.valid()) (void)!take_back(move, link, moved.index).ok();
  return name;
}

}  // namespace cooper::netlink
