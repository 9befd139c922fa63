#include "cli/coop/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/coop/commands.h"

namespace cooper::cli::coop {
namespace {

using ::testing::HasSubstr;

const Command& command(std::string_view name) {
  for (const Command& one : commands()) {
    if (one.name == name) return one;
  }
  std::abort();
}

Arguments arguments(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  auto out = Arguments::parse(argv, command("run").flags, Arguments::Stop::kNever);
  EXPECT_TRUE(out.ok()) << out.error().message();
  return std::move(out).value();
}

TEST(Seconds, WholeAndFractions) {
  const auto milliseconds = [](std::string_view text) { return parse_seconds(text, "time-limit")->count(); };
  EXPECT_EQ(milliseconds("3"), 3000);
  EXPECT_EQ(milliseconds("0.25"), 250);
  EXPECT_EQ(milliseconds(".5"), 500);
  EXPECT_EQ(milliseconds("1."), 1000);
  EXPECT_EQ(milliseconds("1.0019"), 1001);
  for (const char* text : {"", ".", "x", "1s", "-1", "1.2.3", "1e3", "999999999999"})
    EXPECT_THAT(parse_seconds(text, "time-limit").error().message(), HasSubstr("--time-limit")) << text;
}

TEST(TimeLimit, Flags) {
  EXPECT_FALSE(time_limit(arguments({}))->has_value());
  const auto limit = *time_limit(arguments({"--time-limit", "2", "--kill-after", "0"}));
  EXPECT_EQ(limit->limit.count(), 2000);
  EXPECT_EQ(limit->grace.count(), 0);
  EXPECT_EQ((*time_limit(arguments({"--time-limit", "2"})))->grace.count(), 10'000);
  EXPECT_THAT(time_limit(arguments({"--time-limit", "0"})).error().message(), HasSubstr("no time"));
  EXPECT_THAT(time_limit(arguments({"--kill-after", "1"})).error().message(), HasSubstr("missing"));
}

TEST(ControlFds, MustBeOpen) {
  const auto refusal = [](const std::vector<std::string>& words, int preserved = 0) {
    const auto out = ControlFds::open(arguments(words), preserved);
    return out.ok() ? "accepted" : out.error().message();
  };
  EXPECT_THAT(refusal({"--info-fd", "1023"}), HasSubstr("--info-fd 1023: the descriptor is not open"));
  EXPECT_THAT(refusal({"--block-fd", "-2"}), HasSubstr("--block-fd -2"));
  EXPECT_THAT(refusal({"--json-status-fd", "x"}), HasSubstr("--json-status-fd"));
  EXPECT_FALSE(ControlFds::open(arguments({}), 0)->any());
}

TEST(ControlFds, Lines) {
  EXPECT_EQ(describe_child(7, {{"mnt", 12}, {"pid", 34}}),
            "{\"child-pid\":7,\"mnt-namespace\":12,\"pid-namespace\":34}\n");
  EXPECT_EQ(describe_end(3, false), "{\"exit-code\":3}\n");
  EXPECT_EQ(describe_end(124, true), "{\"exit-code\":124,\"timed-out\":true}\n");
}

}  // namespace
}  // namespace cooper::cli::coop
