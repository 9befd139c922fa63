// The whole of a pod's life with plain processes for containers: no privilege, no network.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "base/strings.h"
#include "io/event_loop.h"
#include "monitor/client.h"
#include "monitor/internal/launch_with.h"
#include "monitor/internal/pod_end.h"
#include "monitor/internal/process_backend.h"
#include "sys/retry.h"
#include "sys/socket.h"

namespace cooper::monitor {
namespace {

using internal::ProcessBackend;
using protocol::Stream;

class LaunchTest : public testing::Test {
 protected:
  void SetUp() override {
    base_ = testing::TempDir() + "cooper-pod-XXXXXX";
    ASSERT_NE(::mkdtemp(base_.data()), nullptr);
    for (const std::string name : {"pod", "run", "containers"})
      ASSERT_TRUE(io::make_directories(base_ + "/" + name).ok());
    backend_ = std::make_unique<ProcessBackend>(base_ + "/containers");
  }
  void TearDown() override {
    while (sys::retry([] { return ::waitpid(-1, nullptr, 0); }) > 0) {
    }
    EXPECT_TRUE(io::remove_tree(sys::kCwd, base_).ok());
  }

  PodSpec pod() {
    PodSpec spec;
    spec.uuid = "test";
    spec.pod_dir = *sys::openat(sys::kCwd, base_ + "/pod", O_RDONLY | O_DIRECTORY);
    spec.run_dir = base_ + "/run";
    spec.lock = io::FileLock::acquire(sys::kCwd, base_ + "/lock", io::FileLock::Mode::kExclusive)->release();
    spec.cgroup_path = "/the/pod";
    spec.stop_timeout_ms = 2000;
    spec.on_finish = [base = base_](const std::vector<ExitRecord>& records) {
      std::string text;
      for (const ExitRecord& r : records) text += r.app + ":" + std::to_string(r.exit_code) + ":" + r.error + "\n";
      (void)!io::write_file_atomic(base + "/finished", text).ok();
    };
    return spec;
  }
  static AppSpec app(const std::string& name, const std::string& script) {
    AppSpec spec;
    spec.name = name;
    spec.config.process.emplace();
    spec.config.process->args = {"/bin/sh", "-c", script};
    spec.config.process->user.uid = ::getuid();
    spec.config.process->user.gid = ::getgid();
    spec.create.id = "test_" + name;
    spec.log_file = "logs/" + name + ".log";
    return spec;
  }
  Result<Launched> start(PodSpec spec, bool attach = true, bool with_stdin = false,
                         const std::string& attach_app = {}) {
    LaunchOptions options;
    options.attach = attach;
    options.attach_app = attach_app;
    options.attach_stdin = with_stdin;
    return internal::launch_with(std::move(spec), options, *backend_);
  }
  // One app, attached.
  Client run(AppSpec spec, bool with_stdin = false) {
    PodSpec whole = pod();
    whole.apps.push_back(std::move(spec));
    auto launched = start(std::move(whole), true, with_stdin);
    EXPECT_TRUE(launched.ok()) << launched.error().message();
    guardian_ = launched->guardian;
    return *Client::adopt(std::move(launched->client));
  }

  struct Session {
    std::string out, err;
    std::vector<ExitRecord> records;
    Event::Kind end = Event::Kind::kTimeout;
    std::string why;
  };
  static Session follow(Client& client, int timeout_ms = 20000) {
    Session session;
    while (true) {
      auto event = client.next(timeout_ms);
      if (!event.ok()) {
        session.why = event.error().message();
        return session;
      }
      switch (event->kind) {
        case Event::Kind::kOutput:
          (event->stream == Stream::kStderr ? session.err : session.out) += event->data;
          continue;
        case Event::Kind::kExit:
          continue;
        default:
          break;
      }
      session.end = event->kind;
      session.records = std::move(event->records);
      session.why = std::move(event->data);
      return session;
    }
  }
  Client connect() {
    auto client = Client::connect(base_ + "/run/monitor.sock");
    EXPECT_TRUE(client.ok()) << client.error().message();
    return *std::move(client);
  }
  std::string text(const std::string& name) { return io::read_file(base_ + "/" + name).value_or("(missing)"); }
  bool exists(const std::string& name) { return sys::fstatat(sys::kCwd, base_ + "/" + name).ok(); }
  bool lock_is_free() {
    return io::FileLock::try_acquire(sys::kCwd, base_ + "/lock", io::FileLock::Mode::kExclusive).ok();
  }
  static bool eventually(const std::function<bool()>& condition, int timeout_ms = 10000) {
    for (const auto end = io::monotonic_ms() + timeout_ms; io::monotonic_ms() < end; ::usleep(5000)) {
      if (condition()) return true;
    }
    return condition();
  }
  // Nothing of the pod is left but its records and logs.
  void expect_clean() {
    EXPECT_FALSE(exists("run"));
    EXPECT_EQ(sys::list_directory(*sys::openat(sys::kCwd, base_ + "/containers", O_RDONLY | O_DIRECTORY))->size(), 0U);
    EXPECT_EQ(text("cgroup-removed"), "/the/pod");
    EXPECT_TRUE(exists("finished"));
    EXPECT_TRUE(lock_is_free());
  }
  ExitRecord record(const std::string& name) {
    auto parsed = parse_exit_record(text("pod/status/" + name), "status");
    EXPECT_TRUE(parsed.ok()) << parsed.error().message();
    return parsed.ok() ? *parsed : ExitRecord{};
  }

  std::string base_;
  std::unique_ptr<ProcessBackend> backend_;
  pid_t guardian_ = 0;
};

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
