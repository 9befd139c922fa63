// For the tests of this room: the whole of a pod's life with plain processes for containers. No privilege, no network.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/event_loop.h"
#include "monitor/client.h"
#include "monitor/internal/launch_with.h"
#include "monitor/internal/process_backend.h"
#include "sys/retry.h"

namespace cooper::monitor {

class LaunchTest : public testing::Test {
 protected:
  void SetUp() override {
    base_ = testing::TempDir() + "cooper-pod-XXXXXX";
    ASSERT_NE(::mkdtemp(base_.data()), nullptr);
    for (const std::string name : {"pod", "run", "containers"})
      ASSERT_TRUE(io::make_directories(base_ + "/" + name).ok());
    backend_ = std::make_unique<internal::ProcessBackend>(base_ + "/containers");
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
    return run(std::move(whole), with_stdin);
  }
  Client run(PodSpec whole, bool with_stdin = false) {
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
          (event->stream == protocol::Stream::kStderr ? session.err : session.out) += event->data;
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
  std::unique_ptr<internal::ProcessBackend> backend_;
  pid_t guardian_ = 0;
};

}  // namespace cooper::monitor
