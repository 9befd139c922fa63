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
  EXPECT_EQ(lines[2].point, "/a b");
}

}  // namespace
}  // namespace cooper::io
