// Each test works in a network namespace of its own, in a child: exit code 0 is success, the rest names the step.
#include "netlink/links.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include "sys/process.h"

namespace cooper::netlink {
namespace {

int in_new_namespace(int (*steps)()) {
  auto cloned = sys::clone3(0);
  if (!cloned.ok()) return 99;
  if (cloned->pid == 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWNET) != 0) ::_exit(98);
    ::_exit(steps());
  }
  return sys::waitpid(cloned->pid)->code;
}

bool has_address(const Link& link, std::string_view cidr) {
  return std::any_of(link.addresses.begin(), link.addresses.end(),
                     [&](const Address& address) { return address.cidr() == cidr; });
}

std::string text_of(const char* path) {
  std::string out(65536, '\0');
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = 0;
  std::size_t size = 0;
  while (fd >= 0 && (n = ::read(fd, out.data() + size, out.size() - size)) > 0) size += static_cast<std::size_t>(n);
  (void)::close(fd);
  out.resize(size);
  return out;
}

TEST(Links, VethPairOnABridge) {
  EXPECT_EQ(in_new_namespace([] {
              const auto socket = open_socket();
              if (!create_bridge(*socket, "br0").ok()) return 1;
              VethPair pair;
              pair.name = "host0";
              pair.peer_name = "tmp0";
              pair.mtu_bytes = 1400;
              pair.tx_queue_len = 321;
              const auto index = create_veth(*socket, pair);
              if (!index.ok() || *index <= 0) return 2;
              if (create_veth(*socket, pair).error().code() != Errc::kAlreadyExists) return 3;
              LinkChange up;
              up.master = "br0";
              up.up = true;
              if (!change_link(*socket, "host0", up).ok()) return 4;
              if (!set_hairpin(*socket, "host0", true).ok()) return 5;
              LinkChange own;
              own.name = "eth0";
              own.mac = "02:42:00:00:00:07";
              if (!change_link(*socket, "tmp0", own).ok()) return 6;
              const auto host = find_link(*socket, "host0");
              const auto eth = find_link(*socket, "eth0");
              if (!(*host)->up() || (*host)->mtu_bytes != 1400) return 7;
              if ((*host)->master != (*find_link(*socket, "br0"))->index) return 8;
              if ((*eth)->mac != "02:42:00:00:00:07" || (*eth)->mtu_bytes != 1400 || (*eth)->up()) return 9;
              if (!delete_link(*socket, "host0", *index + 1000).ok()) return 10;  // somebody else's by now
              if (!find_link(*socket, "host0")->has_value()) return 11;
              if (!delete_link(*socket, "host0", *index).ok()) return 12;
              if (find_link(*socket, "eth0")->has_value()) return 13;  // the pair goes together
              if (!delete_link(*socket, "host0").ok()) return 14;
              return 0;
            }),
            0);
}

TEST(Links, AddressesAndRoutes) {
  EXPECT_EQ(in_new_namespace([] {
              VethPair pair;
              pair.name = "eth0";
              pair.peer_name = "far";
              if (!create_veth(kNoSocket, pair).ok()) return 1;
              LinkChange up;
              up.up = true;
              if (!change_link(kNoSocket, "eth0", up).ok() || !change_link(kNoSocket, "far", up).ok()) return 2;
              if (!add_address(kNoSocket, "eth0", "10.7.0.2/24").ok()) return 3;
              if (!add_address(kNoSocket, "eth0", "fd07::2/64").ok()) return 4;
              if (add_address(kNoSocket, "eth0", "10.7.0.2/24").ok()) return 5;
              const auto link = find_link(kNoSocket, "eth0");
              if (!has_address(**link, "10.7.0.2/24") || !has_address(**link, "fd07::2/64")) return 6;
              if (!add_route(kNoSocket, {"", "", "10.7.0.1", "eth0"}).ok()) return 7;
              if (!add_route(kNoSocket, {"", "", "fd07::1", "eth0"}).ok()) return 8;
              if (!add_route(kNoSocket, {"192.168.5.9/16", "10.7.0.2", "10.7.0.1", "eth0"}).ok()) return 9;
              if (!add_route(kNoSocket, {"10.9.0.0/16", "", "", "eth0"}).ok()) return 10;
              if (add_route(kNoSocket, {"10.9.0.0/16", "", "", "eth0"}).error().code() != Errc::kAlreadyExists)
                return 11;
              const std::string routes = text_of("/proc/net/route");
              if (routes.find("eth0\t00000000\t0100070A") == std::string::npos) return 12;
              if (routes.find("eth0\t0000A8C0\t0100070A") == std::string::npos) return 13;
              if (routes.find("eth0\t0000090A\t00000000") == std::string::npos) return 14;
              if (text_of("/proc/net/ipv6_route").find("fd070000000000000000000000000001") == std::string::npos)
                return 15;
              return 0;
            }),
            0);
}

TEST(Links, WrongWordsAreRefused) {
  EXPECT_EQ(add_address(kNoSocket, "lo", "nonsense").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(add_address(kNoSocket, "lo", "10.0.0.1/33").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(add_route(kNoSocket, {"10.0.0.0/8", "", "fd00::1", "lo"}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(add_route(kNoSocket, {"", "", "", "lo"}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(change_link(kNoSocket, "no-such-link", {}).error().code(), Errc::kNotFound);
  EXPECT_EQ(create_bridge(kNoSocket, "a-name-that-is-too-long").error().code(), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace cooper::netlink
