// What ends beside the apps: the monitor, its guardian, the caller and what it had open.
#include <gtest/gtest.h>
#include <signal.h>

#include "base/strings.h"
#include "monitor/internal/launch_fixture.h"

namespace cooper::monitor {
namespace {

TEST_F(LaunchTest, SigtermToTheMonitorStopsThePod) {
  Client client = run(app("web", "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.02; done"));
  ASSERT_EQ(client.next(5000)->data, "ready\n");
  const pid_t monitor = connect().status()->monitor_pid;
  ASSERT_EQ(::kill(monitor, SIGTERM), 0);
  const Session session = follow(client);
  EXPECT_EQ(session.out, "bye\n");
  ASSERT_EQ(session.records.size(), 1U);
  EXPECT_EQ(session.records[0].exit_code, 4);
  expect_clean();
}

TEST_F(LaunchTest, KilledMonitorIsCleanedUpByTheGuardian) {
  PodSpec spec = pod();
  spec.apps.push_back(app("a", "exit 6"));
  spec.apps.push_back(app("b", "trap '' TERM; echo $$; while :; do sleep 0.05; done"));
  auto launched = start(std::move(spec), true, false, "b");
  ASSERT_TRUE(launched.ok());
  Client client = *Client::adopt(std::move(launched->client));
  const auto pid = parse_number<pid_t>(trim(client.next(5000)->data));
  ASSERT_TRUE(pid.has_value());
  ASSERT_TRUE(connect().wait("a", 5000).ok());
  ASSERT_EQ(::kill(connect().status()->monitor_pid, SIGKILL), 0);
  EXPECT_EQ(follow(client).end, Event::Kind::kClosed);
  ASSERT_TRUE(eventually([&] { return lock_is_free(); }));
  EXPECT_EQ(sys::waitpid(launched->guardian)->code, 0);
  expect_clean();
  EXPECT_NE(::kill(*pid, 0), 0);
  EXPECT_EQ(record("a").exit_code, 6);
  EXPECT_EQ(record("a").error, "");
  EXPECT_EQ(record("b").exit_code, 137);
  EXPECT_EQ(record("b").error, "the monitor of the pod was killed by signal 9");
}

TEST_F(LaunchTest, MonitorOutlivesItsGuardian) {
  Client client = run(app("web", "sleep 0.3; echo still here"));
  ASSERT_EQ(::kill(guardian_, SIGKILL), 0);
  EXPECT_EQ(sys::waitpid(guardian_)->signal, SIGKILL);
  EXPECT_TRUE(eventually([&] { return connect().status()->guardian_pid == 0; }));
  const Session session = follow(client);
  EXPECT_EQ(session.out, "still here\n");
  EXPECT_EQ(session.end, Event::Kind::kPodExit);
  expect_clean();
}

TEST_F(LaunchTest, DetachedPodBelongsToInit) {
  PodSpec spec = pod();
  spec.apps.push_back(app("web", "echo quiet; exit 1"));
  auto launched = start(std::move(spec), false);
  ASSERT_TRUE(launched.ok());
  EXPECT_FALSE(launched->client);
  EXPECT_GT(launched->guardian, 1);
  int status = 0;
  EXPECT_EQ(::waitpid(-1, &status, WNOHANG), -1);  // nothing to reap
  ASSERT_TRUE(eventually([&] { return lock_is_free(); }));
  expect_clean();
  EXPECT_EQ(record("web").exit_code, 1);
}

TEST_F(LaunchTest, PodOfACallerThatDiesDuringTheStartEnds) {
  backend_->create_delay_ms = 300;
  const pid_t caller = ::fork();
  if (caller == 0) {
    PodSpec spec = pod();
    spec.apps.push_back(app("web", "sleep 60"));
    (void)start(std::move(spec), false).ok();
    ::_exit(0);
  }
  ::usleep(100000);
  ASSERT_EQ(::kill(caller, SIGKILL), 0);
  ASSERT_TRUE(sys::waitpid(caller).ok());
  ASSERT_TRUE(eventually([&] { return exists("finished") && lock_is_free(); }));
  expect_clean();
}

TEST_F(LaunchTest, MonitorKilledDuringTheStartIsReported) {
  backend_->create_delay_ms = 500;
  PodSpec spec = pod();
  spec.apps.push_back(app("web", "sleep 60"));
  const pid_t killer = ::fork();
  if (killer == 0) {
    // The monitor is the caller's grandchild: child of its only other child.
    ::usleep(200000);
    const auto children_of = [](pid_t pid) {
      std::vector<pid_t> out;
      const auto list =
          io::read_file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children").value_or("");
      for (const auto word : split(trim(list), ' ')) {
        if (const auto child = parse_number<pid_t>(word)) out.push_back(*child);
      }
      return out;
    };
    for (const pid_t child : children_of(::getppid())) {
      if (child == ::getpid()) continue;
      for (const pid_t monitor : children_of(child)) (void)::kill(monitor, SIGKILL);
    }
    ::_exit(0);
  }
  const auto launched = start(std::move(spec));
  EXPECT_TRUE(sys::waitpid(killer).ok());
  ASSERT_FALSE(launched.ok());
  EXPECT_EQ(launched.error().message(), "the monitor of the pod was killed by signal 9 before the pod was started");
  expect_clean();
}

TEST_F(LaunchTest, WorksWithoutStandardStreams) {
  const pid_t caller = ::fork();
  if (caller == 0) {
    for (int fd = 0; fd < 3; ++fd) (void)::close(fd);
    PodSpec spec = pod();
    spec.apps.push_back(app("web", "echo out; echo err >&2; readlink /proc/self/fd/0"));
    auto launched = start(std::move(spec));
    if (!launched.ok()) ::_exit(1);
    auto client = Client::adopt(std::move(launched->client));
    if (!client.ok()) ::_exit(2);
    const Session session = follow(*client);
    ::_exit(session.out == "out\n/dev/null\n" && session.err == "err\n" ? 0 : 3);
  }
  EXPECT_EQ(sys::waitpid(caller)->code, 0);
  expect_clean();
}

TEST_F(LaunchTest, DescriptorsOfTheCallerAreNotKept) {
  auto pipe = sys::pipe2(0);
  ASSERT_TRUE(pipe.ok());
  PodSpec spec = pod();
  AppSpec waiting = app("web", "read x; ls /proc/self/fd | tr '\\n' ' '");
  waiting.stdin_open = true;
  spec.apps.push_back(std::move(waiting));
  auto launched = start(std::move(spec), true, true);
  ASSERT_TRUE(launched.ok());
  Client client = *Client::adopt(std::move(launched->client));
  pipe->write.reset();
  char byte = 0;
  // End of file at once: neither monitor nor guardian holds the write end.
  EXPECT_EQ(sys::read(pipe->read, {&byte, 1}).value_or(99), 0U);
  ASSERT_TRUE(client.send_stdin("\n").ok());
  EXPECT_EQ(follow(client).out, "0 1 2 3 ");
}

}  // namespace
}  // namespace cooper::monitor
