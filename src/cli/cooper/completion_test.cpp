#include "cli/cooper/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string offers(const std::vector<std::string>& words) {
  return complete(Context(Settings{}), words);
}

TEST(Completion, CommandsOneWordAtATime) {
  EXPECT_EQ(offers({"comp"}), "completion\n");
  EXPECT_EQ(offers({"image", "tr"}), "tree\n");
  EXPECT_THAT(offers({""}), HasSubstr("\nhelp\n"));
  EXPECT_EQ(offers({"help", "image", "tr"}), "tree\n");
  EXPECT_THAT(offers({"help", ""}), Not(HasSubstr("help")));
  EXPECT_EQ(offers({"help", "image", "extract", ""}), "");
  EXPECT_EQ(offers({"completion", ""}), "bash\n");
  EXPECT_EQ(offers({"completion", "bash", ""}), "");
}

TEST(Completion, FlagsAndTheirValues) {
  EXPECT_EQ(offers({"run", "--int"}), "--interactive\n");
  EXPECT_EQ(offers({"run", "--network", "n"}), "none\n");
  EXPECT_EQ(offers({"run", "--network=n"}), "--network=none\n");
  EXPECT_EQ(offers({"run", "--cidfile", ""}), ":files\n");
  EXPECT_EQ(offers({"run", "--cidfile=./x"}), ":files\n");
  EXPECT_EQ(offers({"run", "--nothing=x"}), "");
  EXPECT_EQ(offers({"run", "-itv", ""}), "");
  EXPECT_EQ(offers({"--root", "/nowhere", "run", "--int"}), "--interactive\n");
}

TEST(Completion, ArgumentsByTheirPlace) {
  EXPECT_EQ(offers({"image", "extract", "busybox", ""}), ":directories\n");
  EXPECT_EQ(offers({"image", "extract", "busybox", "there", ""}), "");
  EXPECT_EQ(offers({"image", "convert", "busybox", ""}), ":files\n");
  EXPECT_EQ(offers({"image", "import", "x.tar", ""}), "");
  EXPECT_EQ(offers({"run", "./t.si"}), ":files\n");
  EXPECT_EQ(offers({"run", "-it", "/t"}), ":files\n");
}

TEST(Completion, WhatBelongsToTheContainerIsNotOurs) {
  EXPECT_EQ(offers({"run", "busybox", "--int"}), "");
  EXPECT_EQ(offers({"run", "busybox", "./x"}), "");
  EXPECT_EQ(offers({"exec", "web", "-"}), "");
}

TEST(Completion, AnEngineThatIsNotThereHasNothing) {
  EXPECT_EQ(offers({"--root", "/nowhere/r", "--run-root=/nowhere/rr", "image", "rm", ""}), "");
  EXPECT_EQ(offers({"--config", "/nowhere/c.toml", "image", "rm", ""}), "");
}

}  // namespace
}  // namespace cooper::cli
