#include "conmon/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::conmon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<Options> parse(const std::vector<std::string>& words) {
  return parse_options(words, "/here");
}

std::vector<std::string> with(std::vector<std::string> more) {
  std::vector<std::string> out{"-c", "0123456789abcdef", "-u", "0123456789abcdef", "-r", "/bin/coop"};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::string error_of(const std::vector<std::string>& words) {
  const auto parsed = parse(words);
  return parsed.ok() ? "(taken)" : parsed.error().message();
}

TEST(ConmonOptions, WhatPodmanWrites) {
  const auto options = parse(with({"--api-version",
                                   "1",
                                   "-s",
                                   "-b",
                                   "/b",
                                   "-p",
                                   "/b/pid",
                                   "-n",
                                   "web",
                                   "--exit-dir",
                                   "/x",
                                   "--full-attach",
                                   "-l",
                                   "k8s-file:/b/log",
                                   "--log-level",
                                   "warning",
                                   "--syslog",
                                   "--runtime-arg",
                                   "--log-format=json",
                                   "--runtime-arg",
                                   "--log",
                                   "-t",
                                   "-i",
                                   "--exit-command",
                                   "/bin/podman",
                                   "--exit-command-arg",
                                   "cleanup"}));
  ASSERT_TRUE(options.ok()) << options.error().message();
  EXPECT_TRUE(options->systemd_cgroup && options->terminal && options->stdin_open && options->full_attach);
  EXPECT_THAT(options->logs, ElementsAre(LogTarget{LogTarget::Kind::kFile, "/b/log"}));
  EXPECT_THAT(runtime_argv(*options, "/s"),
              ElementsAre("/bin/coop", "--systemd-cgroup", "--log-format=json", "--log", "create", "--bundle", "/b",
                          "--pid-file", "/b/pid", "--console-socket", "/s", "0123456789abcdef"));
}

TEST(ConmonOptions, PlacesByDefault) {
  const auto options = parse(with({"-l", "none"}));
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->bundle, "/here");
  EXPECT_EQ(options->container_pidfile, "/here/pidfile-0123456789abcdef");
}

TEST(ConmonOptions, LogDrivers) {
  using Kind = LogTarget::Kind;
  EXPECT_EQ(*parse_log_target("/a:b"), (LogTarget{Kind::kFile, "/a:b"}));
  EXPECT_EQ(*parse_log_target("journald:"), (LogTarget{Kind::kJournal, {}}));
  EXPECT_EQ(*parse_log_target("off"), (LogTarget{Kind::kNone, {}}));
  EXPECT_EQ(*parse_log_target("passthrough"), (LogTarget{Kind::kPassthrough, {}}));
  EXPECT_THAT(parse_log_target("k8s-file:").error().message(), HasSubstr("names no file"));
  EXPECT_THAT(parse_log_target("fluentd:x").error().message(), HasSubstr("no log driver 'fluentd'"));
  EXPECT_FALSE(parse_log_target("").ok());
}

TEST(ConmonOptions, Errors) {
  EXPECT_THAT(error_of({}), HasSubstr("--cid is missing"));
  EXPECT_THAT(error_of({"-c", "a/b", "-u", "x", "-r", "y", "-l", "none"}), HasSubstr("another directory"));
  EXPECT_THAT(error_of({"-c", "a"}), HasSubstr("--cuuid is missing"));
  EXPECT_THAT(error_of({"-c", "a", "-u", "b"}), HasSubstr("--runtime is missing"));
  EXPECT_THAT(error_of(with({})), HasSubstr("--log-path is missing"));
  EXPECT_THAT(error_of(with({"-l", "none", "-e"})), HasSubstr("--exec-process-spec"));
  EXPECT_THAT(error_of(with({"-l", "none", "--log-level", "loud"})), HasSubstr("no level 'loud'"));
  EXPECT_THAT(error_of(with({"-l", "/x", "--log-tag", "t"})), HasSubstr("--log-tag"));
  EXPECT_THAT(error_of(with({"-l", "none", "--seccomp-notify-plugins", "p"})), HasSubstr("plugins cannot be loaded"));
  EXPECT_NE(error_of(with({"-l", "none", "--no-such-flag"})), "(taken)");
  EXPECT_NE(error_of(with({"-l"})), "(taken)");
  EXPECT_NE(error_of(with({"-l", "none", "--exit-delay", "soon"})), "(taken)");
}

}  // namespace
}  // namespace cooper::conmon
