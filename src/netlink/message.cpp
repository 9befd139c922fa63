#include "netlink/internal/message.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace cooper::netlink {
namespace {

// A C string in an attribute, up to its NUL if it has one.
std::string text_of(std::string_view bytes) {
  return std::string(bytes.substr(0, bytes.find('\0')));
}

std::uint32_t number_of(std::string_view bytes) {
  std::uint32_t n = 0;
  if (bytes.size() >= sizeof n) std::memcpy(&n, bytes.data(), sizeof n);
  return n;
}

std::string mac_of(std::string_view bytes) {
  if (bytes.empty() || bytes.size() > 32 || std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; }))
    return {};
  std::string out;
  for (const char c : bytes) {
    if (!out.empty()) out += ':';
    out += hex_encode({&c, 1});
  }
  return out;
}

LinkStats stats_of(std::string_view bytes) {
  // Kernels append members: what an older one does not send stays 0.
  struct rtnl_link_stats64 raw = {};
  std::memcpy(&raw, bytes.data(), std::min(bytes.size(), sizeof raw));
  return {.rx_bytes = raw.rx_bytes,
          .rx_packets = raw.rx_packets,
          .rx_errors = raw.rx_errors,
          .rx_dropped = raw.rx_dropped,
          .tx_bytes = raw.tx_bytes,
          .tx_packets = raw.tx_packets,
          .tx_errors = raw.tx_errors,
          .tx_dropped = raw.tx_dropped};
}

std::string address_of(int family, std::string_view bytes) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (bytes.size() != (family == AF_INET ? 4U : 16U)) return {};
  return ::inet_ntop(family, bytes.data(), text.data(), text.size()) == nullptr ? std::string()
                                                                                : std::string(text.data());
}

}  // namespace

void Request::append(const void* data, std::size_t size) {
  bytes_.append(static_cast<const char*>(data), size);
  bytes_.resize(align4(bytes_.size()), '\0');
}

void Request::attribute(std::uint16_t type, std::string_view text) {
  const struct rtattr header = {.rta_len = static_cast<std::uint16_t>(sizeof(struct rtattr) + text.size() + 1),
                                .rta_type = type};
  append(&header, sizeof header);
  const std::string terminated(text);
  append(terminated.c_str(), terminated.size() + 1);
}

void Request::binary(std::uint16_t type, std::string_view bytes) {
  const struct rtattr header = {.rta_len = static_cast<std::uint16_t>(sizeof(struct rtattr) + bytes.size()),
                                .rta_type = type};
  append(&header, sizeof header);
  append(bytes.data(), bytes.size());
}

std::size_t Request::begin_nested(std::uint16_t type) {
  const std::size_t place = bytes_.size();
  binary(type, {});
  return place;
}

void Request::end_nested(std::size_t place) {
  const auto size = static_cast<std::uint16_t>(bytes_.size() - place);
  std::memcpy(bytes_.data() + place, &size, sizeof size);
}

const std::string& Request::finish(std::uint32_t sequence) {
  struct nlmsghdr header = {};
  std::memcpy(&header, bytes_.data(), sizeof header);
  header.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
  header.nlmsg_seq = sequence;
  std::memcpy(bytes_.data(), &header, sizeof header);
  return bytes_;
}

bool parse_link(std::string_view payload, Link& out) {
  struct ifinfomsg fixed = {};
  if (!read_fixed(payload, fixed)) return false;
  out.index = fixed.ifi_index;
  out.flags = fixed.ifi_flags;
  for_each_attribute(attributes_of<struct ifinfomsg>(payload), [&](std::uint16_t type, std::string_view bytes) {
    switch (type) {
      case IFLA_IFNAME:
        out.name = text_of(bytes);
        break;
      case IFLA_MTU:
        out.mtu_bytes = number_of(bytes);
        break;
      case IFLA_ADDRESS:
        out.mac = mac_of(bytes);
        break;
      case IFLA_MASTER:
        out.master = static_cast<int>(number_of(bytes));
        break;
      case IFLA_LINK:
        out.peer = static_cast<int>(number_of(bytes));
        break;
      case IFLA_STATS64:
        out.stats = stats_of(bytes);
        break;
      case IFLA_LINKINFO:
        for_each_attribute(bytes, [&](std::uint16_t inner, std::string_view value) {
          if (inner == IFLA_INFO_KIND) out.kind = text_of(value);
        });
        break;
      default:
        break;
    }
  });
  return out.index > 0 && !out.name.empty();
}

bool parse_address(std::string_view payload, Address& out, int& link_index) {
  struct ifaddrmsg fixed = {};
  if (!read_fixed(payload, fixed) || (fixed.ifa_family != AF_INET && fixed.ifa_family != AF_INET6)) return false;
  out.family = fixed.ifa_family;
  out.prefix_length = fixed.ifa_prefixlen;
  out.scope = fixed.ifa_scope;
  out.flags = fixed.ifa_flags;
  link_index = static_cast<int>(fixed.ifa_index);
  bool local = false;
  for_each_attribute(attributes_of<struct ifaddrmsg>(payload), [&](std::uint16_t type, std::string_view bytes) {
    // On point-to-point links ADDRESS is the other end; LOCAL, where present, is ours.
    if (type == IFA_LOCAL || (type == IFA_ADDRESS && !local)) out.address = address_of(out.family, bytes);
    local = local || type == IFA_LOCAL;
    if (type == IFA_ADDRESS) out.peer = address_of(out.family, bytes);
    if (type == IFA_BROADCAST) out.broadcast = address_of(out.family, bytes);
    if (type == IFA_FLAGS) out.flags = number_of(bytes);  // the 8 bits of the fixed part and more
    if (type == IFA_LABEL) out.label = text_of(bytes);
  });
  if (out.peer == out.address) out.peer.clear();
  return !out.address.empty();
}

// NLMSG_ERROR: the code, then the request's header; with NETLINK_EXT_ACK the kernel adds its words as an attribute.
Error error_of(std::string_view payload) {
  std::int32_t code = 0;
  std::memcpy(&code, payload.data(), std::min(payload.size(), sizeof code));
  std::string what = "netlink request refused";
  if (payload.size() > sizeof(struct nlmsgerr)) {
    for_each_attribute(payload.substr(sizeof(struct nlmsgerr)), [&](std::uint16_t type, std::string_view bytes) {
      if (type == NLMSGERR_ATTR_MSG) what += " (kernel says " + quoted(text_of(bytes)) + ")";
    });
  }
  return Error::from_errno(code < 0 ? -code : EPROTO, what);
}

}  // namespace cooper::netlink
