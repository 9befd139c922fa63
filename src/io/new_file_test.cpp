#include "io/new_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>

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

TEST_F(NewFileTest, WhatIsReplacedKeepsItsModeAndOwner) {
  ASSERT_TRUE(write_file_atomic(path_ + "/a", "old", 0600).ok());
  if (::geteuid() == 0) {
    ASSERT_TRUE(sys::fchownat(sys::kCwd, path_ + "/a", 7, 8).ok());
  }
  const auto before = sys::fstatat(sys::kCwd, path_ + "/a");
  auto file = NewFile::create(path_ + "/a");
  ASSERT_TRUE(file.ok()) << file.error().message();
  EXPECT_EQ(sys::fstat(file->fd())->st_mode & 07777, 0600U);
  ASSERT_TRUE(file->publish().ok());
  const auto after = sys::fstatat(sys::kCwd, path_ + "/a");
  EXPECT_NE(after->st_ino, before->st_ino);
  EXPECT_EQ(after->st_mode, before->st_mode);
  EXPECT_EQ(after->st_uid, before->st_uid);
  EXPECT_EQ(after->st_gid, before->st_gid);
}

TEST_F(NewFileTest, TheLastWordCanStopIt) {
  const LastWord no = [] { return Error(Errc::kCancelled, "no"); };
  {
    auto file = NewFile::create(path_ + "/a");
    auto dir = NewDirectory::create(path_ + "/d");
    ASSERT_TRUE(file.ok() && dir.ok());
    EXPECT_EQ(file->publish(no).error().code(), Errc::kCancelled);
    EXPECT_EQ(dir->publish("", no).error().code(), Errc::kCancelled);
  }
  EXPECT_TRUE(names().empty());
}

TEST_F(NewFileTest, RefusesWhatIsNoFile) {
  ASSERT_TRUE(sys::symlinkat("nothing", sys::kCwd, path_ + "/dangling").ok());
  EXPECT_EQ(NewFile::create(path_ + "/dangling").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(NewDirectory::create(path_ + "/dangling/").error().code(), Errc::kInvalidArgument);
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
  ASSERT_TRUE(dir->publish("file").ok());
  EXPECT_EQ(*read_file(path_ + "/d/file"), "x");
  EXPECT_EQ(NewDirectory::create(path_ + "/d").error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(NewDirectory::create(path_ + "/d/file").error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(names().size(), 1U);
}

TEST_F(NewFileTest, AnEmptyDirectoryIsFilledAndStaysTheSame) {
  ASSERT_TRUE(sys::mkdirat(sys::kCwd, path_ + "/d", 0700).ok());
  const auto before = sys::fstatat(sys::kCwd, path_ + "/d");
  const auto inside = sys::openat(sys::kCwd, path_ + "/d", O_RDONLY | O_DIRECTORY);
  const auto seen = [&] {
    auto found = *sys::list_directory(*inside);
    std::ranges::sort(found);
    return found;
  };
  {
    auto dir = NewDirectory::create(path_ + "/d");
    ASSERT_TRUE(dir.ok()) << dir.error().message();
    ASSERT_TRUE(write_file_atomic(dir->fd(), "file", "half").ok());
  }
  EXPECT_TRUE(seen().empty());
  auto dir = NewDirectory::create(path_ + "/d");
  ASSERT_TRUE(dir.ok());
  ASSERT_TRUE(write_file_atomic(dir->fd(), "file", "x").ok());
  ASSERT_TRUE(sys::mkdirat(dir->fd(), "more", 0755).ok());
  ASSERT_TRUE(dir->publish("file").ok());
  EXPECT_EQ(seen(), (std::vector<std::string>{"file", "more"}));
  const auto after = sys::fstatat(sys::kCwd, path_ + "/d");
  EXPECT_EQ(after->st_ino, before->st_ino);
  EXPECT_EQ(after->st_mode, before->st_mode);
}

TEST_F(NewFileTest, ADirectoryThatWasFilledMeanwhileStays) {
  ASSERT_TRUE(sys::mkdirat(sys::kCwd, path_ + "/d", 0755).ok());
  for (const char* target : {"/d", "/new"}) {
    auto dir = NewDirectory::create(path_ + target);
    ASSERT_TRUE(dir.ok());
    ASSERT_TRUE(make_directories(path_ + target).ok());
    ASSERT_TRUE(write_file_atomic(path_ + target + "/theirs", "x").ok());
    EXPECT_EQ(dir->publish("").error().code(), Errc::kAlreadyExists);
  }
  EXPECT_EQ(*read_file(path_ + "/d/theirs"), "x");
  EXPECT_EQ(names().size(), 2U);
  EXPECT_EQ(sys::list_directory(*sys::openat(sys::kCwd, path_ + "/d", O_RDONLY | O_DIRECTORY))->size(), 1U);
}

}  // namespace
}  // namespace cooper::io
