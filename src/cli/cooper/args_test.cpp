#include "cli/cooper/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::array<Flag, 6> kFlags = {{{"env", 'e', "K=V", ""},
                                         {"tty", 't', "", ""},
                                         {"interactive", 'i', "", ""},
                                         {"detach", 'd', "", ""},
                                         {"name", 0, "NAME", ""},
                                         {"sig-proxy", 0, "", ""}}};
constexpr std::array<Flag, 1> kMore = {{{"root", 0, "DIR", ""}}};
constexpr std::array<std::span<const Flag>, 2> kTables = {kFlags, kMore};

Result<Args> parse(std::vector<std::string> words, Order order = Order::kBeforeArguments) {
  return parse_args(kTables, words, order);
}

TEST(Args, FlagsInEverySpelling) {
  const auto args = parse(
      {"-it", "-d", "--name", "web", "-eA=1", "-e", "B=2", "--env=C=3", "-e=D=4", "--root=/x", "image", "-e", "sh"});
  ASSERT_TRUE(args.ok());
  EXPECT_TRUE(args->enabled("interactive"));
  EXPECT_TRUE(args->enabled("tty"));
  EXPECT_TRUE(args->enabled("detach"));
  EXPECT_EQ(args->last("name"), "web");
  EXPECT_EQ(args->last("root"), "/x");
  EXPECT_THAT(args->all("env"), ElementsAre("A=1", "B=2", "C=3", "D=4"));
  EXPECT_THAT(args->positional(), ElementsAre("image", "-e", "sh"));
}

TEST(Args, ShortFlagsTogetherWithAValueAtTheEnd) {
  const auto args = parse({"-itdeA=1", "image"});
  ASSERT_TRUE(args.ok());
  EXPECT_TRUE(args->enabled("detach"));
  EXPECT_THAT(args->all("env"), ElementsAre("A=1"));
}

TEST(Args, AnEmptyValueIsAValue) {
  const auto args = parse({"--name=", "--name", "", "image"});
  ASSERT_TRUE(args.ok());
  EXPECT_THAT(args->all("name"), ElementsAre("", ""));
  EXPECT_THAT(args->positional(), ElementsAre("image"));
}

TEST(Args, SwitchesTakeBooleans) {
  const auto args = parse({"--sig-proxy=false", "-t=false", "--detach=true"});
  ASSERT_TRUE(args.ok());
  EXPECT_FALSE(args->enabled("sig-proxy", true));
  EXPECT_FALSE(args->enabled("tty"));
  EXPECT_TRUE(args->enabled("detach"));
  EXPECT_TRUE(args->enabled("interactive", true));
  EXPECT_FALSE(parse({"--tty=yes"}).ok());
}

TEST(Args, ValuesMayLookLikeFlags) {
  const auto args = parse({"--name", "--tty", "-e", "-1"});
  ASSERT_TRUE(args.ok());
  EXPECT_EQ(args->last("name"), "--tty");
  EXPECT_EQ(args->last("env"), "-1");
}

TEST(Args, DashesEndFlags) {
  const auto args = parse({"-t", "--", "--name", "x"});
  ASSERT_TRUE(args.ok());
  EXPECT_TRUE(args->ended_by_dashes());
  EXPECT_THAT(args->positional(), ElementsAre("--name", "x"));
  const auto later = parse({"image", "--", "x"});
  ASSERT_TRUE(later.ok());
  EXPECT_FALSE(later->ended_by_dashes());
  EXPECT_THAT(later->positional(), ElementsAre("image", "--", "x"));
}

TEST(Args, FlagsBetweenArguments) {
  const auto args = parse({"a", "-t", "b", "--name", "n", "-", "--", "-d"}, Order::kAnywhere);
  ASSERT_TRUE(args.ok());
  EXPECT_THAT(args->positional(), ElementsAre("a", "b", "-", "-d"));
  EXPECT_FALSE(args->enabled("detach"));
}

TEST(Args, UnknownFlagsNameTheNearest) {
  const auto args = parse({"--interactve", "image"});
  ASSERT_FALSE(args.ok());
  EXPECT_EQ(args.error().code(), Errc::kInvalidArgument);
  EXPECT_THAT(args.error().message(), HasSubstr("'--interactve'"));
  EXPECT_THAT(args.error().hint(), HasSubstr("--interactive"));
  EXPECT_THAT(parse({"--quantum"}).error().hint(), HasSubstr("--help"));
  EXPECT_THAT(parse({"-tx"}).error().message(), HasSubstr("-x"));
}

TEST(Args, AMissingValueIsAnError) {
  EXPECT_THAT(parse({"--name"}).error().message(), HasSubstr("needs a value"));
  EXPECT_THAT(parse({"-te"}).error().message(), HasSubstr("needs a value"));
  EXPECT_FALSE(parse({std::string("--name=a\0b", 10)}).ok());
}

TEST(Args, EarlierFlagsComeFirst) {
  auto global = parse({"--root", "/a"});
  auto args = parse({"--root", "/b"});
  ASSERT_TRUE(global.ok() && args.ok());
  args->merge_earlier(*global);
  EXPECT_THAT(args->all("root"), ElementsAre("/a", "/b"));
  EXPECT_EQ(args->last("root"), "/b");
}

TEST(Args, NothingIsNothing) {
  const auto args = parse({});
  ASSERT_TRUE(args.ok());
  EXPECT_THAT(args->positional(), IsEmpty());
  EXPECT_FALSE(args->has("name"));
  EXPECT_EQ(args->last("name"), std::nullopt);
}

TEST(Nearest, PrefersFewerEdits) {
  constexpr std::array<std::string_view, 4> kWords = {"run", "rm", "stop", "inspect"};
  EXPECT_EQ(nearest("rnu", kWords), "run");
  EXPECT_EQ(nearest("inspct", kWords), "inspect");
  EXPECT_EQ(nearest("stpo", kWords), "stop");
  EXPECT_EQ(nearest("checkpoint", kWords), "");
}

TEST(Nearest, GuessesNothingFarAway) {
  constexpr std::array<std::string_view, 6> kWords = {"run", "rm", "stop", "stats", "pod", "logs"};
  for (const std::string_view word :
       {"cp", "rx", "pull", "start", "load", "push", "build", "create", "info", "restart"})
    EXPECT_EQ(nearest(word, kWords), "") << word;
}

}  // namespace
}  // namespace cooper::cli
