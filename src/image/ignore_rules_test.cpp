#include "image/internal/ignore_rules.h"

#include <gtest/gtest.h>

namespace cooper::image {
namespace {

IgnoreRules rules_of(std::string_view lines) {
  IgnoreRules rules;
  const Status added = rules.add_lines(lines);
  EXPECT_TRUE(added.ok()) << added.error().message();
  return rules;
}

bool excludes(std::string_view lines, std::string_view path) {
  return rules_of(lines).excludes(path);
}

TEST(IgnoreRulesTest, WholePaths) {
  EXPECT_TRUE(excludes("a", "a"));
  EXPECT_FALSE(excludes("a", "b/a"));
  EXPECT_TRUE(excludes("/a/", "a"));
  EXPECT_TRUE(excludes("./a//b", "a/b"));
  EXPECT_TRUE(excludes("a", "a/b/c"));
  EXPECT_FALSE(excludes("a/b", "a"));
  EXPECT_FALSE(excludes("", "a"));
}

TEST(IgnoreRulesTest, Wildcards) {
  EXPECT_TRUE(excludes("*.o", "x.o"));
  EXPECT_FALSE(excludes("*.o", "d/x.o"));
  EXPECT_TRUE(excludes("*/*.o", "d/x.o"));
  EXPECT_TRUE(excludes("a?c", "abc"));
  EXPECT_FALSE(excludes("a?c", "ac"));
  EXPECT_TRUE(excludes("*b*d*", "abcd"));
  EXPECT_FALSE(excludes("*b*d", "abcde"));
  EXPECT_TRUE(excludes("[a-c]x", "bx"));
  EXPECT_FALSE(excludes("[!a-c]x", "bx"));
  EXPECT_TRUE(excludes("[]]", "]"));
  EXPECT_TRUE(excludes("\\*", "*"));
  EXPECT_FALSE(excludes("\\*", "a"));
  EXPECT_TRUE(excludes("*", ".hidden"));
}

TEST(IgnoreRulesTest, AnyDirectories) {
  EXPECT_TRUE(excludes("**/x", "x"));
  EXPECT_TRUE(excludes("**/x", "a/b/x"));
  EXPECT_TRUE(excludes("a/**/x", "a/x"));
  EXPECT_TRUE(excludes("a/**/x", "a/b/c/x/y"));
  EXPECT_FALSE(excludes("a/**/x", "b/x"));
  EXPECT_TRUE(excludes("a/**", "a/b"));
  EXPECT_FALSE(excludes("a/**", "a"));
  EXPECT_TRUE(excludes("**", "a"));
  EXPECT_TRUE(excludes("**/**/x", "x"));
}

TEST(IgnoreRulesTest, TheLastOneDecides) {
  constexpr std::string_view kLines = "# a comment\n\n*.md\n!README.md\ndocs\n!docs/keep\r\n";
  EXPECT_TRUE(excludes(kLines, "x.md"));
  EXPECT_FALSE(excludes(kLines, "README.md"));
  EXPECT_TRUE(excludes(kLines, "docs/other"));
  EXPECT_FALSE(excludes(kLines, "docs/keep/file"));
  EXPECT_TRUE(rules_of(kLines).takes_back());
  EXPECT_FALSE(rules_of("a").takes_back());
  EXPECT_TRUE(excludes("!a\na", "a"));
}

TEST(IgnoreRulesTest, WhatIsNone) {
  for (const char* pattern : {"[a", "a\\", "../x", "a/../b", "!", "/", "."}) {
    IgnoreRules rules;
    EXPECT_EQ(rules.add(pattern).error().code(), Errc::kInvalidArgument) << pattern;
  }
  IgnoreRules rules;
  EXPECT_NE(rules.add_lines("a\n[").error().message().find("line 2"), std::string::npos);
}

TEST(IgnoreRulesTest, ManyStarsTakeNoTime) {
  std::string pattern;
  for (int i = 0; i < 1000; ++i) pattern += "*a";
  EXPECT_FALSE(excludes(pattern + "b", std::string(2000, 'a')));
  std::string deep;
  for (int i = 0; i < 500; ++i) deep += "**/a/";
  std::string path = "a";
  for (int i = 0; i < 399; ++i) path += "/a";
  EXPECT_FALSE(excludes(deep + "b", path));
}

}  // namespace
}  // namespace cooper::image
