#include "container/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <array>

namespace cooper::container {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(Timestamp, IsUtcWithNanoseconds) {
  const std::string text = timestamp_now();
  EXPECT_THAT(text, MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z"));
  // The same second, or the one before.
  const time_t now = ::time(nullptr);
  bool found = false;
  for (const time_t second : {now, now - 1}) {
    struct tm utc = {};
    (void)::gmtime_r(&second, &utc);
    std::array<char, 32> wanted{};
    (void)::strftime(wanted.data(), wanted.size(), "%Y-%m-%dT%H:%M:%S.", &utc);
    found = found || text.starts_with(wanted.data());
  }
  EXPECT_TRUE(found) << text;
}

TEST(StateRecord, SaysWhetherThereArePoststopHooks) {
  StateRecord record;
  record.id = "box";
  record.poststop_hooks = false;
  const auto again = parse_state_record(print_state_record(record), "state.json");
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(again->poststop_hooks);
}

// Records of a build that did not say: config.json knows.
TEST(StateRecord, MayHavePoststopHooksWhenItDoesNotSay) {
  std::string text = print_state_record(StateRecord{});
  const std::string member = "\"poststopHooks\":true,";
  ASSERT_THAT(text, HasSubstr(member));
  text.erase(text.find(member), member.size());
  const auto record = parse_state_record(std::move(text), "state.json");
  ASSERT_TRUE(record.ok());
  EXPECT_TRUE(record->poststop_hooks);
}

}  // namespace
}  // namespace cooper::container
