#include "network/support_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "io/file.h"
#include "sys/file.h"

namespace cooper::network {
namespace {

constexpr const char* kLoopback = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

TEST(Hosts, OwnNetwork) {
  EXPECT_EQ(hosts_text(Mode::kNone, "web", "10.0.0.1 db\n"), std::string(kLoopback) + "127.0.0.1\tweb\n");
}

TEST(Hosts, HostNetworkKeepsTheHostsLines) {
  EXPECT_EQ(hosts_text(Mode::kHost, "me", "127.0.0.1 localhost me # me too\n10.0.0.1 db"),
            "127.0.0.1 localhost me # me too\n10.0.0.1 db\n");
  EXPECT_EQ(hosts_text(Mode::kHost, "me", "127.0.0.1 localhost # me\n"), "127.0.0.1 localhost # me\n127.0.0.1\tme\n");
  EXPECT_EQ(hosts_text(Mode::kHost, "me", ""), std::string(kLoopback) + "127.0.0.1\tme\n");
}

TEST(Hosts, LocalhostIsNotRepeated) {
  EXPECT_EQ(hosts_text(Mode::kNone, "localhost", ""), kLoopback);
}

TEST(Hostname, Syntax) {
  for (const char* good : {"a", "web-1.example.org", "0f6b1b1e2f0c", "A_b"})
    EXPECT_TRUE(check_hostname(good).ok()) << good;
  for (const char* bad : {"", "-a", "a-", "a..b", ".a", "a b", "a/b", "ä"})
    EXPECT_FALSE(check_hostname(bad).ok()) << bad;
  EXPECT_FALSE(check_hostname(std::string(65, 'a')).ok());
}

TEST(SupportFiles, AreWrittenOnce) {
  char pattern[] = "/tmp/cooper-network-test-XXXXXX";
  const std::string path = ::mkdtemp(pattern);
  const auto dir = sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(write_support_files(*dir, Mode::kNone, "web").ok());
  EXPECT_EQ(*io::read_file(*dir, "hostname"), "web\n");
  EXPECT_EQ(*io::read_file(*dir, "resolv.conf"), "");
  EXPECT_FALSE(write_support_files(*dir, Mode::kNone, "web").ok());
  ASSERT_TRUE(io::remove_tree(sys::kCwd, path).ok());
}

}  // namespace
}  // namespace cooper::network
