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
