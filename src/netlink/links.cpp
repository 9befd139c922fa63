#include "netlink/links.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/veth.h>

#include <array>

#include "base/strings.h"
#include "netlink/internal/message.h"
#include "netlink/internal/socket.h"

namespace cooper::netlink {
namespace {

Status check_link_name(const std::string& name) {
  if (!name.empty() && name.size() < IFNAMSIZ) return {};
  return refuse_name(name);
}

// A change: only whether it was done.
Status change(Socket& socket, Request request) {
  auto done = socket.ask(std::move(request), [](std::uint16_t, std::string_view) {});
  return done.ok() ? Status() : Status(std::move(done).error());
}

constexpr std::uint16_t kCreate = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;

struct Parsed {
  std::uint8_t family = 0;
  std::string bytes;
  std::uint8_t length = 0;
};

Result<Parsed> parse_address(std::string_view text) {
  const auto parts = split_once(text, '/');
  const std::string address(parts ? parts->first : text);
  std::array<char, 16> bytes{};
  Parsed out;
  if (::inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
    out.family = AF_INET;
    out.bytes.assign(bytes.data(), 4);
  } else if (::inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) {
    out.family = AF_INET6;
    out.bytes.assign(bytes.data(), bytes.size());
  } else {
    return Error(Errc::kInvalidArgument, quoted(text) + " is not an IP address", EINVAL);
  }
  const auto bits = static_cast<std::uint8_t>(out.bytes.size() * 8);
  out.length = bits;
  if (!parts) return out;
  const auto length = parse_number<std::uint8_t>(parts->second);
  if (!length || *length > bits)
    return Error(Errc::kInvalidArgument, quoted(text) + " has no prefix length between 0 and " + std::to_string(bits),
                 EINVAL);
  out.length = *length;
  return out;
}

// Bits beyond the prefix are no part of a destination: the kernel refuses them.
void cut(Parsed& address) {
  for (std::size_t i = 0; i < address.bytes.size(); ++i) {
    const int keep = static_cast<int>(address.length) - static_cast<int>(i * 8);
    const unsigned mask = keep >= 8 ? 0xffU : keep <= 0 ? 0U : (0xffU << (8 - keep)) & 0xffU;
    address.bytes[i] = static_cast<char>(static_cast<unsigned char>(address.bytes[i]) & mask);
  }
}

Result<std::string> parse_mac(const std::string& text) {
  std::string out;
  for (const std::string_view part : split(text, ':')) {
    unsigned value = 0;
    const auto [end, ec] = std::from_chars(part.data(), part.data() + part.size(), value, 16);
    if (ec != std::errc{} || end != part.data() + part.size() || part.size() != 2)
      return Error(Errc::kInvalidArgument, quoted(text) + " is not a MAC address", EINVAL);
    out += static_cast<char>(value);
  }
  if (out.size() != 6) return Error(Errc::kInvalidArgument, quoted(text) + " is not a MAC address", EINVAL);
  return out;
}

Error about(Error error, std::string_view what, const std::string& name) {
  return std::move(error).with(std::string(what) + " " + quoted(name));
}

// By its own request, not a dump: a host may have thousands of links.
Result<int> link_index(Socket& socket, const std::string& name) {
  RETURN_IF_ERROR(check_link_name(name));
  const struct ifinfomsg fixed = {};
  Request request(RTM_GETLINK, 0, fixed);
  request.attribute(IFLA_IFNAME, name);
  int index = 0;
  auto asked = socket.ask(std::move(request), [&](std::uint16_t type, std::string_view payload) {
    struct ifinfomsg found = {};
    if (type == RTM_NEWLINK && read_fixed(payload, found)) index = found.ifi_index;
  });
  if (!asked.ok()) return about(std::move(asked).error(), "network interface", name);
  return index;
}

void limits(Request& request, std::uint32_t mtu_bytes, std::uint32_t tx_queue_len) {
  if (mtu_bytes != 0) request.number(IFLA_MTU, mtu_bytes);
  if (tx_queue_len != 0) request.number(IFLA_TXQLEN, tx_queue_len);
}

}  // namespace

Result<int> create_veth(BorrowedFd socket, const VethPair& pair) {
  RETURN_IF_ERROR(check_link_name(pair.name));
  RETURN_IF_ERROR(check_link_name(pair.peer_name));
  ASSIGN_OR_RETURN(Socket session, Socket::borrow_or_open(socket));
  const struct ifinfomsg fixed = {};
  Request request(RTM_NEWLINK, kCreate, fixed);
  request.attribute(IFLA_IFNAME, pair.name);
  limits(request, pair.mtu_bytes, pair.tx_queue_len);
  const std::size_t info = request.begin_nested(IFLA_LINKINFO);
  request.attribute(IFLA_INFO_KIND, "veth");
  const std::size_t data = request.begin_nested(IFLA_INFO_DATA);
  const std::size_t peer = request.begin_nested(VETH_INFO_PEER);
  request.fixed(fixed);
  request.attribute(IFLA_IFNAME, pair.peer_name);
  limits(request, pair.mtu_bytes, pair.tx_queue_len);
  if (pair.peer_namespace.valid())
    request.number(IFLA_NET_NS_FD, static_cast<std::uint32_t>(pair.peer_namespace.get()));
  request.end_nested(peer);
  request.end_nested(data);
  request.end_nested(info);
  if (Status made = change(session, std::move(request)); !made.ok())
    return about(std::move(made).error(), "make veth pair", pair.name);
  return link_index(session, pair.name);
}

Result<int> create_bridge(BorrowedFd socket, const std::string& name) {
  RETURN_IF_ERROR(check_link_name(name));
  ASSIGN_OR_RETURN(Socket session, Socket::borrow_or_open(socket));
  const struct ifinfomsg fixed = {};
  Request request(RTM_NEWLINK, kCreate, fixed);
  request.attribute(IFLA_IFNAME, name);
  const std::size_t info = request.begin_nested(IFLA_LINKINFO);
  request.attribute(IFLA_INFO_KIND, "bridge");
  request.end_nested(info);
  if (Status made = change(session, std::move(request)); !made.ok())
    return about(std::move(made).error(), "make bridge", name);
  return link_index(session, name);
}

Status delete_link(BorrowedFd socket, const std::string& name, int index) {
  RETURN_IF_ERROR(check_link_name(name));
  ASSIGN_OR_RETURN(Socket session, Socket::borrow_or_open(socket));
  if (index != 0) {
    const auto now = link_index(session, name);
    if (!now.ok() || *now != index) return {};
  }
  const struct ifinfomsg fixed = {};
  Request request(RTM_DELLINK, NLM_F_ACK, fixed);
  request.attribute(IFLA_IFNAME, name);
  Status gone = change(session, std::move(request));
  if (gone.ok() || gone.error().errno_value() == ENODEV) return {};
  return about(std::move(gone).error(), "remove network interface", name);
}

Status change_link(BorrowedFd socket, const std::string& name, const LinkChange& wanted) {
  ASSIGN_OR_RETURN(Socket session, Socket::borrow_or_open(socket));
  struct ifinfomsg fixed = {};
  ASSIGN_OR_RETURN(fixed.ifi_index, link_index(session, name));
  if (wanted.up) {
    fixed.ifi_flags = *wanted.up ? IFF_UP : 0;
    fixed.ifi_change = IFF_UP;
  }
  Request request(RTM_NEWLINK, NLM_F_ACK, fixed);
  if (wanted.name) {
    RETURN_IF_ERROR(check_link_name(*wanted.name));
    request.attribute(IFLA_IFNAME, *wanted.name);
  }
  if (wanted.mac) {
    ASSIGN_OR_RETURN(const std::string mac, parse_mac(*wanted.mac));
    request.binary(IFLA_ADDRESS, mac);
  }
  if (wanted.mtu_bytes) request.number(IFLA_MTU, *wanted.mtu_bytes);
  if (wanted.tx_queue_len) request.number(IFLA_TXQLEN, *wanted.tx_queue_len);
  if (wanted.master) {
    ASSIGN_OR_RETURN(const int master, link_index(session, *wanted.master));
    request.number(IFLA_MASTER, static_cast<std::uint32_t>(master));
  }
  if (Status done = change(session, std::move(request)); !done.ok())
    return about(std::move(done).error(), "change network interface", name);
  return {};
}

Status set_hairpin(BorrowedFd socket, const std::string& name, bool on) {
  ASSIGN_OR_RETURN(Socket session, Socket::borrow_or_open(socket));
  struct ifinfomsg fixed = {};
  fixed.ifi_family = AF_BRIDGE;
  ASSIGN_OR_RETURN(fixed.ifi_index, link_index(session, name));
  Request request(RTM_SETLINK, NLM_F_ACK, fixed);
  const std::size_t port = request.begin_nested(IFLA_PROTINFO | NLA_F_NESTED);
  const char value = on ? 1 : 0;
  request.binary(IFLA_BRPORT_MODE, {&value, 1});
  request.end_nested(port);
  if (Status done = change(session, std::move(request)); !done.ok())
    return about(std::move(done).error(), "set hairpin mode of bridge port", name);
  return {};
}

Status add_address(BorrowedFd socket, const std::string& name, std::string_view cidr) {
  ASSIGN_OR_RETURN(const Parsed address, parse_address(cidr));
  ASSIGN_OR_RETURN(Socket session, Socket::borrow_or_open(socket));
  ASSIGN_OR_RETURN(const int index, link_index(session, name));
  struct ifaddrmsg fixed = {};
  fixed.ifa_family = address.family;
  fixed.ifa_prefixlen = address.length;
  fixed.ifa_index = static_cast<std::uint32_t>(index);
  if (address.family == AF_INET6) fixed.ifa_flags = IFA_F_NODAD;
  Request request(RTM_NEWADDR, kCreate, fixed);
  request.binary(IFA_LOCAL, address.bytes);
  request.binary(IFA_ADDRESS, address.bytes);
  if (address.family == AF_INET && address.length < 31) {
    std::string broadcast = address.bytes;
    for (std::size_t i = 0; i < broadcast.size(); ++i) {
      const int keep = static_cast<int>(address.length) - static_cast<int>(i * 8);
      const unsigned rest = keep >= 8 ? 0U : keep <= 0 ? 0xffU : 0xffU >> keep;
      broadcast[i] = static_cast<char>(static_cast<unsigned char>(broadcast[i]) | rest);
    }
    request.binary(IFA_BROADCAST, broadcast);
  }
  if (Status done = change(session, std::move(request)); !done.ok())
    return about(std::move(done).error(), "add address " + quoted(cidr) + " to network interface", name);
  return {};
}

Status add_route(BorrowedFd socket, const RouteRequest& route) {
  std::optional<Parsed> destination, source, gateway;
  std::uint8_t family = 0;
  for (const auto& [text, parsed] : {std::pair{&route.destination, &destination}, std::pair{&route.source, &source},
                                     std::pair{&route.gateway, &gateway}}) {
    if (text->empty()) continue;
    ASSIGN_OR_RETURN(*parsed, parse_address(*text));
    if (family != 0 && family != (*parsed)->family)
      return Error(Errc::kInvalidArgument, "a route mixes IPv4 and IPv6", EINVAL);
    family = (*parsed)->family;
  }
  if (family == 0) return Error(Errc::kInvalidArgument, "a route needs a destination, a source or a gateway", EINVAL);
  ASSIGN_OR_RETURN(Socket session, Socket::borrow_or_open(socket));
  ASSIGN_OR_RETURN(const int index, link_index(session, route.interface_name));
  struct rtmsg fixed = {};
  fixed.rtm_family = family;
  fixed.rtm_table = RT_TABLE_MAIN;
  fixed.rtm_protocol = RTPROT_BOOT;
  fixed.rtm_type = RTN_UNICAST;
  fixed.rtm_scope = gateway || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  if (destination) fixed.rtm_dst_len = destination->length;
  Request request(RTM_NEWROUTE, kCreate, fixed);
  if (destination) {
    cut(*destination);
    request.binary(RTA_DST, destination->bytes);
  }
  if (gateway) request.binary(RTA_GATEWAY, gateway->bytes);
  if (source) request.binary(RTA_PREFSRC, source->bytes);
  request.number(RTA_OIF, static_cast<std::uint32_t>(index));
  if (Status done = change(session, std::move(request)); !done.ok()) {
    const std::string what = route.destination.empty() ? "the default route" : "route " + quoted(route.destination);
    return about(std::move(done).error(), "add " + what + " by network interface", route.interface_name);
  }
  return {};
}

}  // namespace cooper::netlink
