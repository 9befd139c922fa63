#include "container/idmap_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

MATCHER_P3(Maps, from, to, count, "") {
  return arg.container_id == from && arg.host_id == to && arg.size == count;
}

MATCHER_P4(Range, from, to, count, relative, "") {
  return arg.ids.container_id == from && arg.ids.host_id == to && arg.ids.size == count && arg.relative == relative;
}

TEST(IdmapWords, RangesOfBoth) {
  const auto words = parse_idmap_words("uids=0-1-10#10-11-10;gids=@0-100-10").value();
  EXPECT_THAT(words.uids, ElementsAre(Range(0U, 1U, 10U, false), Range(10U, 11U, 10U, false)));
  EXPECT_THAT(words.gids, ElementsAre(Range(0U, 100U, 10U, true)));
}

TEST(IdmapWords, WhatIsNoneSaysWhy) {
  const auto why = [](std::string_view text) { return parse_idmap_words(text).error().message(); };
  EXPECT_THAT(why(""), HasSubstr("neither uids nor gids"));
  EXPECT_THAT(why("users=0-0-1"), HasSubstr("'users=0-0-1' is neither"));
  EXPECT_THAT(why("uids=0-0-1"), HasSubstr("both uids and gids"));
  EXPECT_THAT(why("uids=0-0-1;uids=1-1-1;gids=0-0-1"), HasSubstr("'uids' is given twice"));
  for (const char* range : {"", "0-0", "0-0-0", "0-0-1-2", "a-0-1", "0-0--1", "0-4294967296-1", "@@0-0-1", "0-0-1#"})
    EXPECT_THAT(why("gids=0-0-1;uids=" + std::string(range)), HasSubstr("is no range of ids")) << range;
}

TEST(IdmapWords, RelativeOnesAreIdsOfTheContainer) {
  const std::vector<oci::IdMapping> inside{{0, 1000, 2}, {2, 5000, 10}};
  EXPECT_THAT(absolute_ranges({{{2000, 1, 1}, true}, {{7, 8, 9}, false}}, inside).value(),
              ElementsAre(Maps(2000U, 1001U, 1U), Maps(7U, 8U, 9U)));
  EXPECT_THAT(absolute_ranges({{{50, 1, 4}, true}}, inside).value(),
              ElementsAre(Maps(50U, 1001U, 1U), Maps(51U, 5000U, 3U)));
  EXPECT_THAT(absolute_ranges({{{0, 11, 2}, true}}, inside).error().message(), HasSubstr("id 12 "));
  EXPECT_FALSE(absolute_ranges({{{0, 0, 1}, true}}, {}).ok());
  EXPECT_FALSE(absolute_ranges({{{0, 4294967295U, 4294967295U}, true}}, inside).ok());
}

}  // namespace
}  // namespace cooper::container
