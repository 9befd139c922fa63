#include "container/number_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::container {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(NumberList, Reads) {
  EXPECT_THAT(*parse_number_list("0-3,5"), ElementsAre(0U, 1U, 2U, 3U, 5U));
  EXPECT_THAT(*parse_number_list(" 7 , 1-2,2"), ElementsAre(1U, 2U, 7U));
  EXPECT_THAT(*parse_number_list(""), IsEmpty());
  EXPECT_THAT(*parse_number_list("65535"), ElementsAre(65535U));
}

TEST(NumberList, RefusesWhatIsNone) {
  for (const char* text : {"a", "1-", "-1", "3-1", "1,,2", "1;2", "0-65536", "0x1", "1-2-3", "4294967296"}) {
    EXPECT_FALSE(parse_number_list(text)) << text;
  }
  std::string much;
  for (int i = 0; i < 64; ++i) much += "0-65535,";
  EXPECT_FALSE(parse_number_list(much + "1"));
}

TEST(NumberList, Mask) {
  EXPECT_THAT(number_mask({}), IsEmpty());
  EXPECT_THAT(number_mask({0, 2, 64}), ElementsAre(5UL, 1UL));
}

}  // namespace
}  // namespace cooper::container
