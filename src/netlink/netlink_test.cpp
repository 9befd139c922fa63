#include "netlink/netlink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink/internal/message.h"
#include "sys/process.h"

namespace cooper::netlink {
namespace {

TEST(List, ThisNamespaceHasALoopback) {
  const auto links = list_links();
  ASSERT_TRUE(links.ok()) << links.error().message();
  ASSERT_FALSE(links->empty());
  const auto lo = find_link(kNoSocket, "lo");
  ASSERT_TRUE(lo.ok());
  ASSERT_TRUE(lo->has_value());
  EXPECT_GT((*lo)->index, 0);
  EXPECT_GT((*lo)->mtu_bytes, 0U);
  EXPECT_NE((*lo)->flags & IFF_LOOPBACK, 0U);
  EXPECT_FALSE((*find_link(kNoSocket, "no-such-link")).has_value());
  const auto socket = open_socket();
  EXPECT_EQ(list_links(*socket)->size(), links->size());
  EXPECT_EQ(list_links(*socket)->size(), links->size()) << "a socket serves more than one call";
}

TEST(Change, NamesAreChecked) {
  EXPECT_EQ(set_link_up(kNoSocket, "").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(set_link_up(kNoSocket, "a-name-that-is-too-long").error().code(), Errc::kInvalidArgument);
  const Status missing = set_link_up(kNoSocket, "no-such-link");
  ASSERT_FALSE(missing.ok());
  EXPECT_TRUE(missing.error().code() == Errc::kNotFound || missing.error().code() == Errc::kPermission)
      << missing.error().message();
}

// In a network (and user) namespace of its own, in a child: exit code 0 is success, the rest names the step.
int in_new_namespace(int (*steps)()) {
  auto cloned = sys::clone3(0);
  if (!cloned.ok()) return 99;
  if (cloned->pid == 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWNET) != 0) ::_exit(98);
    ::_exit(steps());
  }
  return sys::waitpid(cloned->pid)->code;
}

TEST(Change, LoopbackComesUpWithItsAddresses) {
  const int code = in_new_namespace([] {
    if ((*find_link(kNoSocket, "lo"))->up()) return 1;
    if (!set_loopback_up().ok()) return 2;
    if (!set_loopback_up().ok()) return 3;
    const auto lo = find_link(kNoSocket, "lo");
    if (!lo.ok() || !(*lo)->up()) return 4;
    const auto& addresses = (*lo)->addresses;
    const bool v4 = std::any_of(addresses.begin(), addresses.end(), [](const Address& a) {
      return a.cidr() == "127.0.0.1/8" && a.family == AF_INET && a.label == "lo";
    });
    if (!v4) return 5;
    const auto socket = open_socket();
    if (!set_link_down(*socket, "lo").ok() || (*find_link(*socket, "lo"))->up()) return 6;
    if (!set_link_up(*socket, "lo").ok() || !(*find_link(*socket, "lo"))->up()) return 7;
    const Status missing = set_link_up(*socket, "eth7");
    return missing.error().code() == Errc::kNotFound ? 0 : 8;
  });
  if (code == 98) GTEST_SKIP() << "needs network namespaces";
  EXPECT_EQ(code, 0);
}

using Attributes = std::vector<std::pair<std::uint16_t, std::string>>;

std::string text_of(const Attributes& attributes) {
  std::string out;
  for (const auto& [type, bytes] : attributes) {
    const struct rtattr header = {.rta_len = static_cast<std::uint16_t>(sizeof(struct rtattr) + bytes.size()),
                                  .rta_type = type};
    out.append(reinterpret_cast<const char*>(&header), sizeof header);
    out += bytes;
    out.resize(align4(out.size()), '\0');
  }
  return out;
}

template <typename Fixed>
std::string payload_of(const Fixed& fixed, const Attributes& attributes) {
  return std::string(reinterpret_cast<const char*>(&fixed), sizeof fixed) + text_of(attributes);
}

TEST(Parse, Links) {
  struct ifinfomsg fixed = {};
  fixed.ifi_index = 7;
  fixed.ifi_flags = IFF_UP;
  const std::string kind = text_of({{IFLA_INFO_KIND, std::string("veth\0", 5)}});
  Link link;
  ASSERT_TRUE(parse_link(payload_of(fixed, {{IFLA_IFNAME, std::string("eth0\0", 5)},
                                            {IFLA_ADDRESS, "\x02\x42\xac\x11\x01\x02"},
                                            {IFLA_LINKINFO, kind},
                                            {IFLA_STATS64, "short"}}),
                         link));
  EXPECT_EQ(link.name, "eth0");
  EXPECT_EQ(link.mac, "02:42:ac:11:01:02");
  EXPECT_EQ(link.kind, "veth");
  EXPECT_TRUE(link.up());
  Link empty;
  EXPECT_FALSE(parse_link("", empty));
  EXPECT_FALSE(parse_link(payload_of(fixed, {}), empty));
}

TEST(Parse, AddressesPreferTheLocalEnd) {
  struct ifaddrmsg fixed = {};
  fixed.ifa_family = AF_INET;
  fixed.ifa_prefixlen = 32;
  fixed.ifa_index = 3;
  Address address;
  int index = 0;
  ASSERT_TRUE(parse_address(payload_of(fixed, {{IFA_LOCAL, "\x0a\x01\x01\x01"}, {IFA_ADDRESS, "\x0a\x01\x01\x02"}}),
                            address, index));
  EXPECT_EQ(address.cidr(), "10.1.1.1/32");
  EXPECT_EQ(index, 3);
  EXPECT_FALSE(parse_address(payload_of(fixed, {{IFA_LOCAL, "abc"}}), address = {}, index));
}

TEST(Walk, ErrorsEndsAndStrangers) {
  const auto message = [](std::uint16_t type, std::uint16_t flags, std::uint32_t sequence, const std::string& payload) {
    struct nlmsghdr header = {};
    header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + payload.size());
    header.nlmsg_type = type;
    header.nlmsg_flags = flags;
    header.nlmsg_seq = sequence;
    std::string out(reinterpret_cast<const char*>(&header), sizeof header);
    out += payload;
    out.resize(align4(out.size()), '\0');
    return out;
  };
  int count = 0;
  const auto counting = [&](std::uint16_t, std::string_view) { ++count; };
  const std::string zero(4, '\0');
  EXPECT_EQ(
      *walk(message(RTM_NEWLINK, NLM_F_MULTI, 5, "x") + message(RTM_NEWLINK, NLM_F_MULTI, 4, "stale"), 5, counting),
      Progress::kMore);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(*walk(message(NLMSG_DONE, NLM_F_MULTI, 5, zero), 5, counting), Progress::kDone);
  EXPECT_EQ(
      *walk(message(RTM_NEWLINK, NLM_F_MULTI | NLM_F_DUMP_INTR, 5, "x") + message(NLMSG_DONE, NLM_F_MULTI, 5, zero), 5,
            counting),
      Progress::kInterrupted);
  const std::int32_t code = -ENODEV;
  const auto refused =
      walk(message(NLMSG_ERROR, 0, 5, std::string(reinterpret_cast<const char*>(&code), 4) + std::string(16, '\0')), 5,
           counting);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().errno_value(), ENODEV);
  std::string cut = message(RTM_NEWLINK, 0, 5, "payload");
  cut.resize(cut.size() - 4);
  EXPECT_EQ(walk(cut, 5, counting).error().code(), Errc::kCorrupt);
}

}  // namespace
}  // namespace cooper::netlink
