#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "image/internal/test_fixture.h"
#include "image/store.h"

namespace cooper::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class UsersTest : public ::testing::Test {
 protected:
  UsersTest() {
    write_test_file(scratch_ / "etc/passwd",
                    "root:x:0:0:root:/root:/bin/sh\n"
                    "# a comment\n"
                    "::bad line\n"
                    "www:x:33:34:web:/var/www:/sbin/nologin\r\n"
                    "nohome:x:40:41::relative:\n"
                    "huge:x:4294967295:1::/:\n"
                    "1000:x:0:0::/digits:/bin/sh\n"
                    "4294967296:x:0:0::/:/bin/sh\n"
                    "+7:x:0:0::/:/bin/sh\n"
                    "short:x:50:51");
    write_test_file(scratch_ / "etc/group",
                    "root:x:0:\nweb:x:34:\n29:x:0:\n4294967296:x:0:\naudio:x:29:www,other\nvideo:x:44:other, "
                    "www\nbad\nhuge:x:99999999999:www\n");
    root_ = std::move(*sys::openat(sys::kCwd, scratch_.path(), O_PATH | O_DIRECTORY));
  }
  ResolvedUser resolve(std::string_view user) const {
    auto resolved = resolve_user(root_, user);
    EXPECT_TRUE(resolved.ok()) << user;
    return resolved.ok() ? std::move(*resolved) : ResolvedUser{};
  }
  ScratchDir scratch_;
  UniqueFd root_;
};

TEST_F(UsersTest, NamesAndNumbers) {
  EXPECT_EQ(resolve("").uid, 0U);
  EXPECT_EQ(resolve("").home, "/root");
  const ResolvedUser www = resolve("www");
  EXPECT_EQ(www.uid, 33U);
  EXPECT_EQ(www.gid, 34U);
  EXPECT_EQ(www.home, "/var/www");
  // The primary group is one of the supplementary ones, too: a program that gives up its own cannot get around it.
  EXPECT_THAT(www.additional_gids, ElementsAre(34U, 29U, 44U));
  EXPECT_EQ(resolve("33").gid, 34U);
  EXPECT_THAT(resolve("33").additional_gids, ElementsAre(34U, 29U, 44U));
  EXPECT_EQ(resolve("1234").uid, 1234U);
  EXPECT_EQ(resolve("1234").gid, 0U);
  EXPECT_EQ(resolve("1234").home, "/");
  EXPECT_EQ(resolve("nohome").home, "/");
  EXPECT_EQ(resolve("short").gid, 51U);
}

// CVE-2016-3697, CVE-2026-46680: whoever writes /etc/passwd does not choose who a number is.
TEST_F(UsersTest, ANumberIsNeverAName) {
  EXPECT_EQ(resolve("1000").uid, 1000U);
  EXPECT_EQ(resolve("1000").home, "/");
  EXPECT_EQ(resolve("www:29").gid, 29U);
  EXPECT_EQ(resolve("0:29").gid, 29U);
  for (const std::string user : {"4294967296", "+7", "www:4294967296", "www:+0"}) {
    const auto resolved = resolve_user(root_, user);
    ASSERT_FALSE(resolved.ok()) << user;
    EXPECT_THAT(resolved.error().message(), HasSubstr("none of the numbers")) << user;
  }
}

TEST_F(UsersTest, Groups) {
  EXPECT_EQ(resolve("www:audio").gid, 29U);
  EXPECT_THAT(resolve("www:audio").additional_gids, ElementsAre(29U));
  EXPECT_EQ(resolve("1:2").gid, 2U);
  EXPECT_EQ(resolve(":web").gid, 34U);
  EXPECT_EQ(resolve("www:").gid, 34U);
}

TEST_F(UsersTest, UnknownNames) {
  for (const std::string user : {"nobody", "www:nogroup", "huge", "4294967295", "-1", "1:-1", "www:huge"}) {
    const auto resolved = resolve_user(root_, user);
    ASSERT_FALSE(resolved.ok()) << user;
    EXPECT_EQ(resolved.error().code(), Errc::kNotFound);
  }
}

TEST_F(UsersTest, FilesMayBeMissingOrLinks) {
  ScratchDir other;
  write_test_file(other / "real/passwd", "u:x:5:6::/h:/s\n");
  ASSERT_EQ(::symlink("/real", (other / "etc").c_str()), 0);
  const UniqueFd root = std::move(*sys::openat(sys::kCwd, other.path(), O_PATH | O_DIRECTORY));
  EXPECT_EQ(resolve_user(root, "u")->uid, 5U);
  EXPECT_EQ(resolve_user(root, "0:0")->gid, 0U);
  ASSERT_EQ(::unlink((other / "etc").c_str()), 0);
  EXPECT_EQ(resolve_user(root, "7")->uid, 7U);
}

}  // namespace
}  // namespace cooper::image
