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

}  // namespace
}  // namespace cooper::io
