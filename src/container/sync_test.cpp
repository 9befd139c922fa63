#include "container/sync.h"

#include <gtest/gtest.h>

#include "container/exec_lastmile.h"
#include "sys/socket.h"

namespace cooper::container {
namespace {

TEST(Sync, FailureArrivesThoughThePeerLeftDataUnread) {
  auto pair = sys::socketpair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair.ok());
  ASSERT_TRUE(send_message(pair->first, MessageType::kContinue, "cgroup").ok());  // never read by the peer
  ASSERT_TRUE(send_failure(pair->second,
                           Error(Errc::kNotFound, "no such program", ENOENT).with_hint("try another").with_step("exec"))
                  .ok());
  pair->second.reset();
  const auto message = receive_message(pair->first);
  ASSERT_FALSE(message.ok());
  EXPECT_EQ(message.error().message(), "no such program");
  EXPECT_EQ(message.error().code(), Errc::kNotFound);
  EXPECT_EQ(message.error().hint(), "try another");
  EXPECT_EQ(message.error().step(), "exec");
}

TEST(Sync, LastMileFailureNamesThePath) {
  auto pair = sys::socketpair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair.ok());
  const LastMileFailure failure = {0xff, static_cast<std::uint8_t>(LastMileStage::kExec), ENOENT};
  std::string packet(reinterpret_cast<const char*>(&failure), sizeof failure);
  ASSERT_TRUE(sys::send_message(pair->first, packet + "/bin/tool").ok());
  const auto message = receive_message(pair->second);
  ASSERT_FALSE(message.ok());
  EXPECT_EQ(message.error().message(), "exec '/bin/tool': no such file or directory (ENOENT)");
  EXPECT_NE(message.error().hint(), "");
}

// The sentence made of a failure in the last mile.
std::string words(LastMileStage stage, std::string_view subject, int errno_value) {
  auto pair = sys::socketpair(SOCK_SEQPACKET);
  const LastMileFailure failure = {0xff, static_cast<std::uint8_t>(stage), errno_value};
  std::string packet(reinterpret_cast<const char*>(&failure), sizeof failure);
  EXPECT_TRUE(sys::send_message(pair->first, packet + std::string(subject)).ok());
  return std::string(receive_message(pair->second).error().message());
}

TEST(Sync, LabelFailureNamesTheProfile) {
  const auto of = LastMileStage::kLabels;
  EXPECT_EQ(words(of, "exec web", ENOENT), "apply AppArmor profile 'web': no such profile is loaded");
  EXPECT_EQ(words(of, "exec web", EACCES), "apply AppArmor profile 'web': permission denied (EACCES)");
  EXPECT_EQ(words(of, "a:b:c", EINVAL), "apply SELinux label 'a:b:c': invalid argument (EINVAL)");
}

TEST(Sync, RlimitFailureNamesTheLimit) {
  EXPECT_EQ(words(LastMileStage::kRlimits, "RLIMIT_NOFILE to 9: the hard limit here is 5", EPERM),
            "set RLIMIT_NOFILE to 9: the hard limit here is 5: operation not permitted (EPERM)");
}

TEST(Sync, EndOfFileIsReported) {
  auto pair = sys::socketpair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair.ok());
  pair->second.reset();
  const auto message = receive_message(pair->first);
  ASSERT_TRUE(message.ok());
  EXPECT_TRUE(message->eof);
}

}  // namespace
}  // namespace cooper::container
