#include "io/mountinfo.h"

#include <gtest/gtest.h>

namespace cooper::io {
namespace {

TEST(Mountinfo, Unescapes) {
  EXPECT_EQ(unescape_mount("/a\\040b\\011\\012\\134"), "/a b\t\n\\");
  EXPECT_EQ(unescape_mount("\\377"), "\xff");
  EXPECT_EQ(unescape_mount(""), "");
}

TEST(Mountinfo, LeavesOtherTextAlone) {
  for (const char* text : {"/plain", "\\", "\\04", "/a\\", "\\08x", "\\400", "\\xyz"})
    EXPECT_EQ(unescape_mount(text), text);
}

TEST(Mountinfo, ReadsTables) {
  const auto lines = parse_mount_lines(
      "22 1 0:1 / / rw - ext4 x rw\n\nbad\n30 22 0:2 /a /proc/kcore ro - devtmpfs y rw\n31 22 0:2 / /a\\040b rw\n");
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[1].id, 30U);
  EXPECT_EQ(lines[1].point, "/proc/kcore");
  EXPECT_EQ(lines[1].root, "/a");
  EXPECT_EQ(lines[1].fstype, "devtmpfs");
  EXPECT_FALSE(lines[1].shared);
  EXPECT_EQ(lines[2].point, "/a b");
  EXPECT_EQ(lines[2].fstype, "");
}

TEST(Mountinfo, KnowsSharedMounts) {
  const auto lines =
      parse_mount_lines("1 0 0:1 / / rw master:1 shared:2 - ext4 x rw\n2 1 0:1 / / rw master:1 - ext4 shared:3 rw\n");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[0].shared);
  EXPECT_FALSE(lines[1].shared);
  EXPECT_EQ(lines[1].fstype, "ext4");
}

}  // namespace
}  // namespace cooper::io
