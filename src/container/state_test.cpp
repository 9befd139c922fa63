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

TEST(StateRecord, SaysWhoseKeyringItsProcessesHave) {
  StateRecord record;
  record.id = "box";
  for (const bool kept : {false, true}) {
    record.no_new_keyring = kept;
    const auto again = parse_state_record(print_state_record(record), "state.json");
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->no_new_keyring, kept);
  }
}

// A creator that is killed before it has written more leaves this for delete.
TEST(StateRecord, SaysWhatAKilledCreatorMayHaveMade) {
  StateRecord plain;
  plain.cgroup_path = "/box";
  plain.bundle = "/bundle";
  plain.rootfs = "/bundle/rootfs";
  StateRecord full = plain;
  full.systemd_cgroup = full.systemd_user = true;
  full.systemd_unit = "coop-box.scope";
  full.mounts.shared = true;
  full.mounts.path = "/proc/1/ns/mnt";
  full.mounts.before = 7;
  full.mounts.space = 4026531840;
  full.mounts.id = 99;
  full.mounts.inode = 12345;
  full.resctrl = {"/sys/fs/resctrl/box", "/sys/fs/resctrl/box/mon_groups/box", true, true};
  StateRecord classed = plain;
  classed.resctrl = {"/sys/fs/resctrl/box", "", true, false};
  StateRecord others = plain;  // of a class that was there before, nothing is to be removed
  others.resctrl = {"/sys/fs/resctrl/gold", "", false, false};
  for (const StateRecord& record : {plain, full, classed, others}) {
    const auto parsed = parse_state_record(print_state_record(record), "state");
    ASSERT_TRUE(parsed.ok());
    const StateRecord& again = *parsed;
    EXPECT_TRUE(again.created.empty());
    EXPECT_EQ(again.bundle, record.bundle);
    EXPECT_EQ(again.cgroup_path, record.cgroup_path);
    EXPECT_EQ(again.rootfs, record.rootfs);
    EXPECT_EQ(again.systemd_cgroup, record.systemd_cgroup);
    EXPECT_EQ(again.systemd_unit, record.systemd_unit);
    EXPECT_EQ(again.systemd_user, record.systemd_user);
    EXPECT_EQ(again.mounts.shared, record.mounts.shared);
    EXPECT_EQ(again.mounts.path, record.mounts.path);
    EXPECT_EQ(again.mounts.space, record.mounts.space);
    EXPECT_EQ(again.mounts.id, record.mounts.id);
    EXPECT_EQ(again.mounts.inode, record.mounts.inode);
    EXPECT_EQ(again.resctrl.made_class, record.resctrl.made_class);
    EXPECT_EQ(again.resctrl.made_monitor, record.resctrl.made_monitor);
    EXPECT_EQ(again.resctrl.class_path, record.resctrl.class_path);
  }
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
