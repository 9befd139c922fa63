#include "cli/coop/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "cli/coop/commands.h"

namespace cooper::cli::coop {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::array kFlags = std::to_array<Flag>({
    {"bundle", "b", FlagType::kValue, "DIR", "help of bundle"},
    {"detach", "d", FlagType::kBool, "", "help of detach"},
    {"env", "e", FlagType::kList, "NAME=VALUE", "help of env"},
    {"dry-run", "", FlagType::kOptionalValue, "FORMAT", "help of dry-run"},
    {"number", "", FlagType::kValue, "N", "", true},
});

Result<Arguments> parse(std::vector<std::string> words, Arguments::Stop stop = Arguments::Stop::kNever) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  return Arguments::parse(argv, kFlags, stop);
}

TEST(Arguments, FormsOfAFlag) {
  for (const auto& words : std::vector<std::vector<std::string>>{{"--bundle", "/x", "id"},
                                                                 {"--bundle=/x", "id"},
                                                                 {"-bundle", "/x", "id"},
                                                                 {"-b=/x", "id"},
                                                                 {"-b", "/x", "id"},
                                                                 {"id", "-b", "/x"}}) {
    const auto parsed = parse(words);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed->value("bundle"), "/x");
    EXPECT_THAT(parsed->positional(), ElementsAre("id"));
  }
}

TEST(Arguments, Booleans) {
  EXPECT_TRUE(parse({"-d"})->flag("detach"));
  EXPECT_TRUE(parse({"--detach=true"})->flag("detach"));
  EXPECT_FALSE(parse({"--detach=false"})->flag("detach"));
  EXPECT_FALSE(parse({})->flag("detach"));
  EXPECT_FALSE(parse({"--detach=maybe"}).ok());
  EXPECT_THAT(parse({"-d", "true"})->positional(), ElementsAre("true"));
}

TEST(Arguments, ListsAndLastValue) {
  EXPECT_THAT(parse({"-e", "A=1", "--env", "B=x=y"})->list("env"), ElementsAre("A=1", "B=x=y"));
  EXPECT_EQ(parse({"-b", "1", "-b", "2"})->value("bundle"), "2");
}

TEST(Arguments, OptionalValue) {
  EXPECT_TRUE(parse({"--dry-run", "id"})->has("dry-run"));
  EXPECT_EQ(parse({"--dry-run", "id"})->value("dry-run"), "");
  EXPECT_EQ(parse({"--dry-run=json", "id"})->value("dry-run"), "json");
}

TEST(Arguments, Refuses) {
  EXPECT_THAT(parse({"--nosuch=5"}).error().message(), HasSubstr("flag provided but not defined: '--nosuch'"));
  EXPECT_THAT(parse({"--bundle"}).error().message(), HasSubstr("flag needs an argument: --bundle"));
  EXPECT_FALSE(parse({"--number", "0x9"})->number<int>("number").ok());
  EXPECT_FALSE(parse({"--number", "-1"})->number<std::uint64_t>("number").ok());
  EXPECT_EQ(**parse({"--number", "-1"})->number<std::int64_t>("number"), -1);
}

TEST(Arguments, EndOfFlags) {
  EXPECT_THAT(parse({"id", "--", "-d", "--"})->positional(), ElementsAre("id", "-d", "--"));
  const auto stopped = parse({"-d", "id", "ls", "-b", "--"}, Arguments::Stop::kFirstArgument);
  EXPECT_THAT(stopped->positional(), ElementsAre("id", "ls", "-b", "--"));
  EXPECT_FALSE(stopped->has("bundle"));
  EXPECT_THAT(parse({"-"})->positional(), ElementsAre("-"));
}

TEST(Arguments, HelpHidesWhatIsHidden) {
  const std::string help = describe_flags(kFlags);
  EXPECT_THAT(help, HasSubstr("--bundle DIR, -b"));
  EXPECT_THAT(help, HasSubstr("--dry-run[=FORMAT]"));
  EXPECT_THAT(help, ::testing::Not(HasSubstr("--number")));
}

TEST(Commands, TableIsSound) {
  for (const Command& command : commands()) {
    EXPECT_NE(command.run, nullptr) << command.name;
    EXPECT_FALSE(command.summary.empty()) << command.name;
    EXPECT_LE(command.min_arguments, command.max_arguments) << command.name;
    EXPECT_EQ(command.failure_status, command.name == "exec" ? 255 : 1) << command.name;
    for (const Flag& flag : command.flags)
      EXPECT_TRUE(flag.hidden || !flag.help.empty()) << command.name << " --" << flag.name;
  }
}

}  // namespace
}  // namespace cooper::cli::coop
