// The life of a pod and its apps.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include "base/strings.h"
#include "monitor/internal/launch_fixture.h"
#include "monitor/internal/pod_end.h"

namespace cooper::monitor {
namespace {

TEST_F(LaunchTest, ForegroundSeesEverythingFromTheFirstByte) {
  Client client = run(app("web", "echo out; echo err >&2; exit 3"));
  const Session session = follow(client);
  EXPECT_EQ(session.end, Event::Kind::kPodExit);
  EXPECT_EQ(session.out, "out\n");
  EXPECT_EQ(session.err, "err\n");
  ASSERT_EQ(session.records.size(), 1U);
  EXPECT_EQ(session.records[0].exit_code, 3);
  EXPECT_EQ(record("web").exit_code, 3);
  EXPECT_GE(record("web").finished_unix_ms, record("web").started_unix_ms);
  expect_clean();
  EXPECT_EQ(text("finished"), "web:3:\n");
  EXPECT_NE(text("pod/logs/web.log").find(" stdout F out\n"), std::string::npos);
  EXPECT_NE(text("pod/logs/web.log").find(" stderr F err\n"), std::string::npos);
  EXPECT_EQ(sys::waitpid(guardian_)->code, 0);
}

TEST_F(LaunchTest, SignalledAppHasAShellCode) {
  Client client = run(app("web", "kill -SEGV $$"));
  const Session session = follow(client);
  ASSERT_EQ(session.records.size(), 1U);
  EXPECT_EQ(session.records[0].exit_code, 139);
  EXPECT_EQ(session.records[0].signal, 11);
}

TEST_F(LaunchTest, SlowForegroundReaderLosesNothing) {
  Client client = run(app("web", "head -c 3000000 /dev/zero | tr '\\0' 'x'; printf end"));
  ::usleep(300000);                  // far more than the queue, the socket and the pipe hold
  EXPECT_FALSE(exists("finished"));  // the app is held back
  const Session session = follow(client);
  EXPECT_EQ(session.end, Event::Kind::kPodExit);
  EXPECT_EQ(session.out.size(), 3000003U);
  EXPECT_EQ(session.out.substr(2999997), "xxxend");
}

TEST_F(LaunchTest, PodEndsWhileTheReaderSleepsAndNothingIsLost) {
  Client client = run(app("web", "head -c 600000 /dev/zero | tr '\\0' 'y'"));
  ASSERT_TRUE(eventually([&] { return exists("finished"); }));
  ASSERT_TRUE(eventually([&] { return lock_is_free(); }));
  EXPECT_EQ(sys::waitpid(guardian_)->code, 0);
  expect_clean();
  const Session session = follow(client);
  EXPECT_EQ(session.end, Event::Kind::kPodExit);
  EXPECT_EQ(session.out.size(), 600000U);
}

TEST_F(LaunchTest, InputReachesTheAppAndItsEndToo) {
  AppSpec cat = app("web", "cat; echo done");
  cat.stdin_open = true;
  Client client = run(std::move(cat), true);
  std::string data;
  for (int i = 0; i < 50000; ++i) data += "line " + std::to_string(i) + "\n";
  ASSERT_TRUE(client.send_stdin(data).ok());
  ASSERT_TRUE(client.send_stdin_eof().ok());
  const Session session = follow(client);
  EXPECT_EQ(session.out, data + "done\n");
}

TEST_F(LaunchTest, InputOfAnAppThatDoesNotReadIsBounded) {
  AppSpec sleeper = app("web", "read go; echo read; cat >/dev/null; echo eof");
  sleeper.stdin_open = true;
  Client client = run(std::move(sleeper), true);
  std::size_t taken = 0;
  const std::string chunk(32768, 'x');
  for (int i = 0; i < 1000; ++i) {
    const auto n = client.try_send_stdin(chunk);
    ASSERT_TRUE(n.ok());
    taken += *n;
    if (*n == 0) {
      ::usleep(2000);
      if (i > 200) break;
    }
  }
  EXPECT_LT(taken, std::size_t{2} << 20);
  ASSERT_TRUE(client.send_stdin("\n").ok());
  ASSERT_TRUE(client.send_stdin_eof().ok());
  EXPECT_EQ(follow(client).out, "read\neof\n");
}

TEST_F(LaunchTest, WithoutStdinTheAppReadsNothing) {
  Client client = run(app("web", "wc -c"));
  EXPECT_EQ(std::string(trim(follow(client).out)), "0");
}

TEST_F(LaunchTest, TerminalHasASizeAndOneStream) {
  AppSpec spec = app("web", "read x; stty size; tty >/dev/null && echo a-terminal; echo err >&2");
  spec.terminal = true;
  spec.stdin_open = true;
  Client client = run(std::move(spec), true);
  ASSERT_TRUE(client.resize("", 33, 77).ok());
  ASSERT_TRUE(client.send_stdin("go\n").ok());
  const Session session = follow(client);
  EXPECT_NE(session.out.find("33 77\r\na-terminal\r\nerr\r\n"), std::string::npos) << session.out;
  EXPECT_EQ(session.err, "");
}

TEST_F(LaunchTest, FailureToStartComesBackAsItWas) {
  backend_->fail_id = "test_web";
  PodSpec spec = pod();
  spec.apps.push_back(app("web", "true"));
  const auto launched = start(std::move(spec), false);
  ASSERT_FALSE(launched.ok());
  EXPECT_EQ(launched.error().code(), Errc::kNotFound);
  EXPECT_EQ(launched.error().errno_value(), ENOENT);
  EXPECT_EQ(launched.error().message(), "start app 'web': executable 'nothing' was not found");
  EXPECT_EQ(launched.error().hint(), "check the command");
  expect_clean();
  EXPECT_EQ(record("web").exit_code, 127);
  EXPECT_NE(record("web").error.find("executable 'nothing'"), std::string::npos);
}

TEST_F(LaunchTest, NoAppRunsWhenOneCannotBeCreated) {
  backend_->fail_id = "test_b";
  PodSpec spec = pod();
  spec.apps.push_back(app("a", "touch '" + base_ + "/ran'"));
  spec.apps.push_back(app("b", "true"));
  ASSERT_FALSE(start(std::move(spec), true, false, "a").ok());
  expect_clean();
  EXPECT_FALSE(exists("ran"));
  EXPECT_NE(record("a").error.find("not started"), std::string::npos);
  EXPECT_EQ(text("finished").substr(0, 10), "a:125:not ");
}

TEST_F(LaunchTest, PodOfTwoAppsEndsWithTheLast) {
  PodSpec spec = pod();
  spec.apps.push_back(app("a", "echo from-a; exit 1"));
  spec.apps.push_back(app("b", "sleep 0.2; echo from-b; exit 2"));
  auto launched = start(std::move(spec), true, false, "b");
  ASSERT_TRUE(launched.ok());
  Client client = *Client::adopt(std::move(launched->client));
  EXPECT_EQ(client.hello().apps, (std::vector<std::string>{"a", "b"}));
  const Session session = follow(client);
  EXPECT_EQ(session.out, "from-b\n");
  ASSERT_EQ(session.records.size(), 2U);
  EXPECT_EQ(session.records[0].exit_code, 1);
  EXPECT_EQ(session.records[1].exit_code, 2);
  expect_clean();
}

TEST_F(LaunchTest, FirstExitPolicyStopsTheOthers) {
  PodSpec spec = pod();
  spec.policy = PodPolicy::kFirstExit;
  spec.apps.push_back(app("a", "exit 1"));
  spec.apps.push_back(app("b", "trap 'exit 7' TERM; while :; do sleep 0.05; done"));
  auto launched = start(std::move(spec), true, false, "a");
  ASSERT_TRUE(launched.ok());
  Client client = *Client::adopt(std::move(launched->client));
  const Session session = follow(client);
  ASSERT_EQ(session.records.size(), 2U);
  EXPECT_TRUE(session.records[1].exit_code == 7 || session.records[1].signal == SIGTERM)
      << session.records[1].exit_code;
}

TEST_F(LaunchTest, SandboxLivesAsLongAsTheApps) {
  PodSpec spec = pod();
  AppSpec sandbox = app("sandbox", "exec sleep 60");
  spec.sandbox = std::move(sandbox);
  spec.apps.push_back(app("a", "echo hi"));
  auto launched = start(std::move(spec));
  ASSERT_TRUE(launched.ok()) << launched.error().message();
  Client client = *Client::adopt(std::move(launched->client));
  EXPECT_EQ(follow(client).out, "hi\n");
  expect_clean();
}

TEST_F(LaunchTest, StopSendsTheSignalAndKillsLate) {
  Client first = run(app("web", "trap '' TERM; echo ready; while :; do sleep 0.05; done"));
  ASSERT_EQ(first.next(5000)->data, "ready\n");
  Client second = connect();
  ASSERT_TRUE(second.stop("", 200).ok());
  const auto start_ms = io::monotonic_ms();
  const Session session = follow(first);
  EXPECT_LT(io::monotonic_ms() - start_ms, 5000);
  ASSERT_EQ(session.records.size(), 1U);
  EXPECT_EQ(session.records[0].signal, SIGKILL);
  EXPECT_EQ(follow(second).end, Event::Kind::kPodExit);
}

TEST_F(LaunchTest, GrandchildThatHoldsThePipeDoesNotHoldThePod) {
  const auto start_ms = io::monotonic_ms();
  Client client = run(app("web", "setsid sleep 3 & echo main done"));
  const Session session = follow(client);
  EXPECT_EQ(session.out, "main done\n");
  EXPECT_EQ(session.end, Event::Kind::kPodExit);
  EXPECT_LT(io::monotonic_ms() - start_ms, 2000);
}

TEST_F(LaunchTest, UnfinishedLineIsLogged) {
  Client client = run(app("web", "printf 'no newline'"));
  EXPECT_EQ(follow(client).out, "no newline");
  EXPECT_NE(text("pod/logs/web.log").find(" stdout P no newline\n"), std::string::npos);
}

TEST_F(LaunchTest, PromptIsLoggedWhileTheAppWaits) {
  AppSpec spec = app("web", "printf 'name? '; read name");
  spec.stdin_open = true;
  Client client = run(std::move(spec), true);
  EXPECT_TRUE(
      eventually([&] { return text("pod/logs/web.log").find(" stdout P name? \n") != std::string::npos; }, 3000));
  ASSERT_TRUE(client.send_stdin_eof().ok());
  EXPECT_EQ(follow(client).end, Event::Kind::kPodExit);
}

TEST_F(LaunchTest, FileSizeLimitOfTheCallerCostsLogOnly) {
  const pid_t caller = ::fork();
  if (caller == 0) {
    if (!sys::prlimit(0, RLIMIT_FSIZE, {20000, 20000}).ok()) ::_exit(9);
    PodSpec spec = pod();
    AppSpec noisy = app("web", "head -c 100000 /dev/zero | tr '\\0' 'q'; echo; sleep 0.2; exit 3");
    spec.apps.push_back(std::move(noisy));
    auto launched = start(std::move(spec));
    if (!launched.ok()) ::_exit(1);
    auto client = Client::adopt(std::move(launched->client));
    if (!client.ok()) ::_exit(2);
    const Session session = follow(*client);
    ::_exit(session.out.size() == 100001 && session.end == Event::Kind::kPodExit ? 0 : 3);
  }
  EXPECT_EQ(sys::waitpid(caller)->code, 0);
  expect_clean();
  EXPECT_EQ(record("web").exit_code, 3);
  EXPECT_LE(text("pod/logs/web.log").size(), 20000U);
}

TEST_F(LaunchTest, RecordIsWrittenOnAFullDisk) {
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string disk = base_ + "/pod";
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ::_exit(77);
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(77);
    if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=32k") != 0) ::_exit(77);
    const UniqueFd dir = *sys::openat(sys::kCwd, disk, O_RDONLY | O_DIRECTORY);
    internal::reserve_exit_record(dir, "web");
    const UniqueFd filler = *sys::openat(dir, "filler", O_WRONLY | O_CREAT, 0600);
    while (sys::write(filler, std::string(4096, 'x')).ok()) {
    }
    ExitRecord other;
    other.app = "unprepared";
    if (internal::write_exit_record(dir, other).ok()) ::_exit(1);  // the disk is not full?
    other.app = "web";
    other.exit_code = 12;
    if (!internal::write_exit_record(dir, other).ok()) ::_exit(2);
    const auto back = internal::read_exit_record(dir, "web");
    if (!back.ok() || back->exit_code != 12) ::_exit(3);
    ::_exit(sys::list_directory(*sys::openat(dir, "status", O_RDONLY | O_DIRECTORY))->size() == 1 ? 0 : 4);
  }
  const int status = sys::waitpid(child)->code;
  if (status == 77) GTEST_SKIP() << "no right to mount a small file system";
  EXPECT_EQ(status, 0);
}

TEST_F(LaunchTest, RefusesBadSpecs) {
  EXPECT_EQ(start(pod()).error().code(), Errc::kInvalidArgument);
  PodSpec twice = pod();
  twice.apps.push_back(app("a", "true"));
  twice.apps.push_back(app("a", "true"));
  EXPECT_EQ(start(std::move(twice)).error().code(), Errc::kInvalidArgument);
  PodSpec evil = pod();
  evil.apps.push_back(app("../evil", "true"));
  EXPECT_EQ(start(std::move(evil)).error().code(), Errc::kInvalidArgument);
  PodSpec unknown = pod();
  unknown.apps.push_back(app("a", "true"));
  EXPECT_EQ(start(std::move(unknown), true, false, "b").error().code(), Errc::kInvalidArgument);
  EXPECT_TRUE(exists("run"));  // nothing was touched
}

}  // namespace
}  // namespace cooper::monitor
