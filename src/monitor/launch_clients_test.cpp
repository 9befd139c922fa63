// Clients of a pod's monitor: requests, attached streams, those that misbehave.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "monitor/internal/launch_fixture.h"
#include "sys/socket.h"

namespace cooper::monitor {
namespace {

TEST_F(LaunchTest, RequestsAreAnswered) {
  Client first = run(app("web", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.02; done"));
  ASSERT_EQ(first.next(5000)->data, "ready\n");
  Client client = connect();
  const auto status = client.status();
  ASSERT_TRUE(status.ok()) << status.error().message();
  ASSERT_EQ(status->apps.size(), 1U);
  EXPECT_EQ(status->apps[0].state, "running");
  EXPECT_GT(status->apps[0].pid, 0);
  EXPECT_EQ(status->guardian_pid, guardian_);
  EXPECT_EQ(client.kill("nobody", 15).error().code(), Errc::kNotFound);
  EXPECT_EQ(client.kill("web", 0).error().code(), Errc::kInvalidArgument);
  protocol::AttachRequest with_input;
  with_input.in = true;
  EXPECT_EQ(client.attach(with_input).error().code(), Errc::kWrongState);
  ASSERT_TRUE(sys::renameat(sys::kCwd, base_ + "/pod/logs/web.log", sys::kCwd, base_ + "/moved").ok());
  ASSERT_TRUE(client.reopen_logs().ok());
  EXPECT_TRUE(exists("pod/logs/web.log"));
  ASSERT_TRUE(client.kill("web", SIGUSR1).ok());
  const auto exit = client.wait("web", 10000);
  ASSERT_TRUE(exit.ok()) << exit.error().message();
  EXPECT_EQ(exit->exit_code, 5);
  EXPECT_EQ(follow(first).end, Event::Kind::kPodExit);
  EXPECT_EQ(Client::connect(base_ + "/run/monitor.sock").error().code(), Errc::kWrongState);
}

TEST_F(LaunchTest, LateClientsSeeWhatFollows) {
  AppSpec spec = app("web", "read go; echo answer; read go; echo more");
  spec.stdin_open = true;
  Client first = run(std::move(spec), false);
  Client second = connect();
  protocol::AttachRequest request;
  request.in = true;
  ASSERT_TRUE(second.attach(request).ok());
  ASSERT_TRUE(second.send_stdin("go\n").ok());
  EXPECT_EQ(second.next(5000)->data, "answer\n");
  // Detaching leaves the input open for the next client.
  ASSERT_TRUE(second.detach().ok());
  second = connect();
  ASSERT_TRUE(second.attach(request).ok());
  ASSERT_TRUE(second.send_stdin("go\n").ok());
  EXPECT_EQ(follow(second).out, "more\n");
  EXPECT_EQ(follow(first).out, "answer\nmore\n");
}

TEST_F(LaunchTest, OwnerThatVanishesEndsTheInput) {
  AppSpec spec = app("web", "cat; echo end");
  spec.stdin_open = true;
  Client first = run(std::move(spec), false);
  {
    Client second = connect();
    protocol::AttachRequest request;
    request.in = true;
    ASSERT_TRUE(second.attach(request).ok());
    ASSERT_TRUE(second.send_stdin("bytes\n").ok());
  }
  EXPECT_EQ(follow(first).out, "bytes\nend\n");
}

TEST_F(LaunchTest, SlowClientIsDroppedAndHurtsNobody) {
  AppSpec spec = app("web", "read go; head -c 8000000 /dev/zero | tr '\\0' 'z'; read go");
  spec.stdin_open = true;
  Client first = run(std::move(spec), true);
  Client slow = connect();
  ASSERT_TRUE(slow.attach({}).ok());
  ASSERT_TRUE(first.send_stdin("go\n").ok());
  std::size_t got = 0;
  while (got < 8000000) {
    const auto event = first.next(10000);
    ASSERT_TRUE(event.ok());
    ASSERT_EQ(event->kind, Event::Kind::kOutput);
    got += event->data.size();
  }
  const Session session = follow(slow);
  EXPECT_EQ(session.end, Event::Kind::kDropped);
  EXPECT_EQ(session.why, "it reads too slowly");
  EXPECT_LT(session.out.size(), 8000000U);
  ASSERT_TRUE(first.send_stdin("go\n").ok());
  EXPECT_EQ(follow(first).end, Event::Kind::kPodExit);
}

TEST_F(LaunchTest, GarbageFromAClientEndsOnlyThatClient) {
  Client first = run(app("web", "sleep 0.5; echo fine"));
  for (const std::string garbage :
       {"", "x", "\xff\xff\xff\xff zzz", "\x10\0\1\0{not json", "\x03\1\0\0output from a client"}) {
    auto raw = sys::unix_connect(base_ + "/run/monitor.sock", SOCK_SEQPACKET);
    ASSERT_TRUE(raw.ok());
    if (!garbage.empty()) (void)!sys::send_message(*raw, garbage).ok();
  }
  const Session session = follow(first);
  EXPECT_EQ(session.end, Event::Kind::kPodExit);
  EXPECT_EQ(session.out, "fine\n");
}

TEST_F(LaunchTest, TooManyClientsAreTurnedAway) {
  Client first = run(app("web", "sleep 1"));
  std::vector<UniqueFd> held;
  for (int i = 0; i < 140; ++i) {
    auto raw = sys::unix_connect(base_ + "/run/monitor.sock", SOCK_SEQPACKET);
    ASSERT_TRUE(raw.ok());
    held.push_back(*std::move(raw));
  }
  held.resize(100);
  ::usleep(50000);
  EXPECT_TRUE(connect().status().ok());
  EXPECT_EQ(follow(first).end, Event::Kind::kPodExit);
}

}  // namespace
}  // namespace cooper::monitor
