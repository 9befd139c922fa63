// What runs after the end of an app.
#include <gtest/gtest.h>

#include "monitor/internal/launch_fixture.h"

namespace cooper::monitor {
namespace {

using LaunchPostStopTest = LaunchTest;

AppSpec followed(AppSpec app, const std::string& script) {
  PostStop& after = app.post_stop.emplace();
  after.config = app.config;
  after.config.process->args = {"/bin/sh", "-c", script};
  after.create.id = app.create.id;
  return app;
}

TEST_F(LaunchPostStopTest, RunsAfterTheAppAndChangesNothingOfIt) {
  Client client = run(followed(app("web", "echo app; exit 3"), "echo handler; echo told >&2"));
  const Session session = follow(client);
  EXPECT_EQ(session.out, "app\nhandler\n");
  EXPECT_EQ(session.err, "told\n");
  ASSERT_EQ(session.records.size(), 1U);
  EXPECT_EQ(session.records[0].exit_code, 3);
  EXPECT_EQ(session.records[0].post_stop_error, "");
  EXPECT_NE(text("pod/logs/web.log").find(" stdout F handler\n"), std::string::npos);
  expect_clean();
}

TEST_F(LaunchPostStopTest, FailureIsNotedBesideTheStatusOfTheApp) {
  Client client = run(followed(app("web", "kill -TERM $$"), "exit 7"));
  EXPECT_EQ(follow(client).end, Event::Kind::kPodExit);
  EXPECT_EQ(record("web").signal, SIGTERM);
  EXPECT_EQ(record("web").exit_code, 128 + SIGTERM);
  EXPECT_EQ(record("web").post_stop_error, "it ended with status 7");
  expect_clean();
}

TEST_F(LaunchPostStopTest, CannotHangThePod) {
  PodSpec whole = pod();
  whole.stop_timeout_ms = 200;
  whole.apps.push_back(followed(app("web", "exit 0"), "trap '' TERM; sleep 60"));
  Client client = run(std::move(whole));
  EXPECT_EQ(follow(client, 5000).end, Event::Kind::kPodExit);
  EXPECT_EQ(record("web").exit_code, 0);
  EXPECT_EQ(record("web").post_stop_error, "it did not end in time and was killed");
  expect_clean();
}

TEST_F(LaunchPostStopTest, RunsAfterAStopWhichASecondOneHurries) {
  PodSpec whole = pod();
  whole.stop_timeout_ms = 60000;
  whole.apps.push_back(followed(app("web", "exec sleep 60"), "echo \"$EXIT_CODE $EXIT_STATUS\"; exec sleep 60"));
  whole.apps[0].post_stop->config.process->env = {"EXIT_CODE=old"};
  Client client = run(std::move(whole));
  Client other = connect();
  ASSERT_TRUE(other.stop("", 60000).ok());
  ASSERT_EQ(client.next(5000)->data, "killed TERM\n");
  ASSERT_TRUE(other.stop("", 0).ok());
  EXPECT_EQ(follow(client, 5000).end, Event::Kind::kPodExit);
  EXPECT_EQ(record("web").signal, SIGTERM);
  EXPECT_EQ(record("web").post_stop_error, "it was killed by signal 9");
  expect_clean();
}

TEST_F(LaunchPostStopTest, NothingRunsAfterAnAppThatNeverRan) {
  backend_->fail_id = "test_web";
  PodSpec whole = pod();
  whole.apps.push_back(followed(app("web", "true"), "touch " + base_ + "/ran"));
  EXPECT_FALSE(start(std::move(whole)).ok());
  EXPECT_FALSE(exists("ran"));
}

TEST_F(LaunchPostStopTest, ADeadMonitorLeavesNoHandler) {
  Client client = run(followed(app("web", "exit 5"), "echo $$; exec sleep 60"));
  const std::string pid = client.next(5000)->data;
  Client other = connect();
  ASSERT_EQ(::kill(other.status()->monitor_pid, SIGKILL), 0);
  EXPECT_NE(follow(client, 5000).end, Event::Kind::kTimeout);
  EXPECT_EQ(sys::waitpid(guardian_)->code, 0);
  EXPECT_FALSE(exists("../../proc/" + pid.substr(0, pid.size() - 1)));
  EXPECT_EQ(record("web").exit_code, 5);
  expect_clean();
}

}  // namespace
}  // namespace cooper::monitor
