#include "io/new_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "io/file.h"
#include "sys/file.h"

namespace cooper::io {
namespace {

class NewFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cooper-io-XXXXXX";
    path_ = ::mkdtemp(name);
    ASSERT_FALSE(path_.empty());
  }
  void TearDown() override { ASSERT_TRUE(remove_tree(sys::kCwd, path_).ok()); }
  std::vector<std::string> names() const {
    const auto dir = sys::openat(sys::kCwd, path_, O_RDONLY | O_DIRECTORY);
    return *sys::list_directory(*dir);
  }
  std::string path_;
};

TEST_F(NewFileTest, AppearsWholeOrNotAtAll) {
  {
    auto file = NewFile::create(path_ + "/a");
    ASSERT_TRUE(file.ok()) << file.error().message();
    ASSERT_TRUE(sys::write_all(file->fd(), "half").ok());
  }
  EXPECT_TRUE(names().empty());
  auto file = NewFile::create(path_ + "/a");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(sys::write_all(file->fd(), "whole").ok());
  ASSERT_TRUE(file->publish().ok());
  EXPECT_EQ(*read_file(path_ + "/a"), "whole");
  EXPECT_EQ(names().size(), 1U);
}

TEST_F(NewFileTest, ReplacesAFileAndNotALinkToIt) {
  ASSERT_TRUE(write_file_atomic(path_ + "/real", "old").ok());
  ASSERT_TRUE(sys::symlinkat("real", sys::kCwd, path_ + "/link").ok());
  auto file = NewFile::create(path_ + "/link");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(sys::write_all(file->fd(), "new").ok());
  EXPECT_EQ(*read_file(path_ + "/real"), "old");
  ASSERT_TRUE(file->publish().ok());
  EXPECT_EQ(*read_file(path_ + "/real"), "new");
  EXPECT_TRUE(S_ISLNK(sys::fstatat(sys::kCwd, path_ + "/link")->st_mode));
}

TEST_F(NewFileTest, RefusesWhatIsNoFile) {
  EXPECT_EQ(NewFile::create(path_).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(NewFile::create("/dev/null").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(NewFile::create("").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(NewFile::create(path_ + "/no/such").error().code(), Errc::kNotFound);
}

TEST_F(NewFileTest, DirectoriesAppearWholeOrNotAtAll) {
  {
    auto dir = NewDirectory::create(path_ + "/d");
    ASSERT_TRUE(dir.ok()) << dir.error().message();
    ASSERT_TRUE(write_file_atomic(dir->fd(), "half", "x").ok());
  }
  EXPECT_TRUE(names().empty());
  auto dir = NewDirectory::create(path_ + "/d/");
  ASSERT_TRUE(dir.ok());
  ASSERT_TRUE(write_file_atomic(dir->fd(), "file", "x").ok());
  ASSERT_TRUE(dir->publish().ok());
  EXPECT_EQ(*read_file(path_ + "/d/file"), "x");
  EXPECT_EQ(NewDirectory::create(path_ + "/d").error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(NewDirectory::create(path_ + "/d/file").error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(names().size(), 1U);
}

TEST_F(NewFileTest, AnEmptyDirectoryIsReplacedAndKeepsItsMode) {
  ASSERT_TRUE(sys::mkdirat(sys::kCwd, path_ + "/d", 0700).ok());
  auto dir = NewDirectory::create(path_ + "/d");
  ASSERT_TRUE(dir.ok());
  ASSERT_TRUE(write_file_atomic(dir->fd(), "file", "x").ok());
  ASSERT_TRUE(dir->publish().ok());
  EXPECT_EQ(*read_file(path_ + "/d/file"), "x");
  EXPECT_EQ(sys::fstatat(sys::kCwd, path_ + "/d")->st_mode & 07777, 0700U);
}

TEST_F(NewFileTest, ADirectoryThatWasFilledMeanwhileStays) {
  ASSERT_TRUE(sys::mkdirat(sys::kCwd, path_ + "/d", 0755).ok());
  {
    auto dir = NewDirectory::create(path_ + "/d");
    ASSERT_TRUE(dir.ok());
    ASSERT_TRUE(write_file_atomic(path_ + "/d/theirs", "x").ok());
    EXPECT_EQ(dir->publish().error().code(), Errc::kAlreadyExists);
  }
  EXPECT_EQ(*read_file(path_ + "/d/theirs"), "x");
  EXPECT_EQ(names().size(), 1U);
}

}  // namespace
}  // namespace cooper::io
