#include "container/landlock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::container {
namespace {

using ::testing::HasSubstr;

TEST(Landlock, ReadsEntries) {
  const auto step = parse_landlock("rx:/usr, ro:/etc/../srv ,rw:/tmp");
  ASSERT_TRUE(step.ok()) << step.error().message();
  ASSERT_EQ(step->rules.size(), 3U);
  EXPECT_EQ(step->rules[0].word, "rx");
  EXPECT_EQ(step->rules[1].path, "/srv");
  EXPECT_EQ(step->rules[0].rights & ~step->rules[1].rights, 1U);  // the right to execute
  EXPECT_EQ(step->rules[2].rights, ~std::uint64_t{0});
}

TEST(Landlock, RefusesTheRest) {
  for (const char* text : {"", "/usr", "rx", "rx:", "rx:usr", "x:/usr", "rx:/usr,", "rx=/usr"}) {
    const auto step = parse_landlock(text);
    ASSERT_FALSE(step.ok()) << text;
    EXPECT_THAT(step.error().message(), HasSubstr("/annotations/io.cooper.landlock")) << text;
  }
}

}  // namespace
}  // namespace cooper::container
