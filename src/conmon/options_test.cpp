#include "conmon/options.h"

#include <gmock/gmock.h>

#include "conmon/control.h"
#include "conmon/engine_pipes.h"
#include "conmon/journal.h"
#include "conmon/notify_relay.h"

namespace cooper::conmon {
namespace {

using monitor::protocol::Stream;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> base(std::vector<std::string> more = {}) {
  std::vector<std::string> out = {"-c", "0123456789abcdef", "-u", "u", "-r", "/bin/rt", "-l", "k8s-file:/log"};
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

TEST(OptionsTest, TakesTheFormsOfFlags) {
  const auto options = parse_options(
      base({"-it", "--exit-command-arg", "--root", "--exit-command-arg=", "--timeout=5", "-b/bundle"}), "/w");
  ASSERT_TRUE(options.ok()) << options.error().message();
  EXPECT_TRUE(options->stdin_open && options->terminal);
  EXPECT_THAT(options->exit_command_args, ElementsAre("--root", ""));
  EXPECT_EQ(options->timeout_s, 5);
  EXPECT_EQ(options->bundle, "/bundle");
  EXPECT_EQ(options->container_pidfile, "/w/pidfile-0123456789abcdef");
  EXPECT_THAT(options->logs, ElementsAre(LogTarget{LogTarget::Kind::kFile, "/log"}));
}

TEST(OptionsTest, SaysWhatIsWrong) {
  const auto message = [](const std::vector<std::string>& words) {
    const auto options = parse_options(words, "/w");
    return options.ok() ? std::string("fine") : options.error().message();
  };
  EXPECT_THAT(message({}), HasSubstr("--cid"));
  EXPECT_THAT(message(base({"--bogus"})), HasSubstr("unknown option '--bogus'"));
  EXPECT_THAT(message(base({"-T", "soon"})), HasSubstr("number"));
  EXPECT_THAT(message(base({"--exec"})), HasSubstr("--exec-process-spec"));
  EXPECT_THAT(message(base({"--exec", "--exec-process-spec", "/s", "--exec-attach"})), HasSubstr("needs --bundle"));
  EXPECT_THAT(message(base({"--log-tag", "t"})), HasSubstr("--log-tag"));
  EXPECT_THAT(message(base({"-l", "syslog:"})), HasSubstr("no log driver 'syslog'"));
  EXPECT_THAT(message(base({"--seccomp-notify-socket", "/s"})), HasSubstr("seccomp notification"));
  EXPECT_THAT(message(base({"--cid", "../x"})), HasSubstr("another directory"));
  EXPECT_THAT(message(base({"extra"})), HasSubstr("unexpected argument"));
  EXPECT_EQ(message({"--version"}), "fine");
}

TEST(OptionsTest, KnowsLogTargets) {
  using Kind = LogTarget::Kind;
  EXPECT_EQ(parse_log_target("/bare/path").value(), (LogTarget{Kind::kFile, "/bare/path"}));
  EXPECT_EQ(parse_log_target("json-file:/a:b").value(), (LogTarget{Kind::kFile, "/a:b"}));
  EXPECT_EQ(parse_log_target("journald:").value().kind, Kind::kJournal);
  EXPECT_EQ(parse_log_target("off").value().kind, Kind::kNone);
  EXPECT_FALSE(parse_log_target("k8s-file").ok());
}

TEST(RuntimeArgvTest, HasTheOrderRuntimesExpect) {
  const auto create =
      parse_options(base({"-s", "--runtime-arg", "--debug", "--runtime-opt", "--opt", "--no-pivot"}), "/w");
  EXPECT_THAT(runtime_argv(*create, "/sock"),
              ElementsAre("/bin/rt", "--systemd-cgroup", "--debug", "create", "--bundle", "/w", "--pid-file",
                          "/w/pidfile-0123456789abcdef", "--no-pivot", "--opt", "--console-socket", "/sock",
                          "0123456789abcdef"));
  const auto exec = parse_options(base({"-e", "--exec-process-spec", "/spec", "-p", "/pid"}), "/w");
  EXPECT_EQ(exec->bundle, "");  // CRI-O's own directory is none
  EXPECT_THAT(runtime_argv(*exec, ""), ElementsAre("/bin/rt", "exec", "--pid-file", "/pid", "--process", "/spec",
                                                   "--detach", "0123456789abcdef"));
}

TEST(ControlTest, ReadsLines) {
  std::vector<int> sizes;
  int reopened = 0;
  const ControlHooks hooks = {[&](std::uint16_t rows, std::uint16_t columns) {
                                sizes.push_back(rows);
                                sizes.push_back(columns);
                              },
                              [&] { ++reopened; }};
  for (const char* line : {"1 24 80", "2 0 0", "1 -1 80", "1 24", "9 1 1", "", "1 70000 1"})
    handle_line(Fifo::kControl, line, hooks);
  handle_line(Fifo::kWindowSize, "30 90", hooks);
  EXPECT_THAT(sizes, ElementsAre(24, 80, 30, 90));
  EXPECT_EQ(reopened, 1);
}

TEST(ReportTest, IsOneLine) {
  EXPECT_EQ(report_line("data", 7, ""), "{\"data\":7}\n");
  EXPECT_EQ(report_line("data", -1, "a\n\"b\""), "{\"data\":-1,\"message\":\"a\\n\\\"b\\\"\"}\n");
}

TEST(NotifyTest, PassesStatesOnly) {
  EXPECT_EQ(allowed_notifications("READY=1\nMAINPID=5\nSTATUS=up\nWATCHDOG=1\nWATCHDOG_USEC=9\nFDSTORE=1"),
            "READY=1\nSTATUS=up\nWATCHDOG=1\n");
}

TEST(JournalTest, WritesFields) {
  std::string out;
  append_field(out, "A", "x");
  append_field(out, "B", "y\nz");
  EXPECT_EQ(out, std::string("A=x\nB\n\x03\0\0\0\0\0\0\0y\nz\n", 18));
  std::string_view line = "<4>warn";
  EXPECT_EQ(take_priority(line, Stream::kStdout), 4);
  EXPECT_EQ(line, "warn");
  EXPECT_EQ(take_priority(line, Stream::kStderr), 3);
}

}  // namespace
}  // namespace cooper::conmon
