// Copying a directory. Owners and device nodes need root and are left to the integration tests.
#include "pod/volumes.h"
#include "pod/copy_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pod/testing.h"

namespace cooper::pod {
namespace {

class VolumesTest : public ::testing::Test {
 protected:
  std::string from() const { return roots_.path() + "/from"; }
  std::string to() const { return roots_.path() + "/to"; }
  void SetUp() override {
    ASSERT_EQ(::mkdir(from().c_str(), 0755), 0);
    ASSERT_EQ(::mkdir(to().c_str(), 0755), 0);
  }
  Status copy() {
    ASSIGN_OR_RETURN(const UniqueFd source, sys::openat(sys::kCwd, from(), O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(sys::kCwd, to(), O_RDONLY | O_DIRECTORY));
    return copy_directory(source, target, {});
  }
  TempRoots roots_;
};

TEST_F(VolumesTest, CopiesWhatThereIs) {
  ASSERT_TRUE(io::write_file_atomic(from() + "/file", std::string(200000, 'x'), 0640).ok());
  ASSERT_EQ(::mkdir((from() + "/dir").c_str(), 0750), 0);
  ASSERT_TRUE(io::write_file_atomic(from() + "/dir/empty", "", 0600).ok());
  ASSERT_EQ(::symlink("/etc/passwd", (from() + "/link").c_str()), 0);
  ASSERT_EQ(::link((from() + "/file").c_str(), (from() + "/dir/hard").c_str()), 0);
  ASSERT_EQ(::mkfifo((from() + "/fifo").c_str(), 0600), 0);
  const struct timespec times[2] = {{1000, 0}, {2000, 5}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (from() + "/file").c_str(), times, 0), 0);

  const Status copied = copy();
  ASSERT_TRUE(copied.ok()) << copied.error().message();
  EXPECT_EQ(io::read_file(to() + "/file")->size(), 200000U);
  const auto file = sys::fstatat(sys::kCwd, to() + "/file");
  EXPECT_EQ(file->st_mode & 07777, 0640U);
  EXPECT_EQ(file->st_mtim.tv_sec, 2000);
  EXPECT_EQ(file->st_nlink, 2U);
  EXPECT_EQ(sys::fstatat(sys::kCwd, to() + "/dir/hard")->st_ino, file->st_ino);
  EXPECT_EQ(sys::fstatat(sys::kCwd, to() + "/dir")->st_mode & 07777, 0750U);
  EXPECT_EQ(*sys::readlinkat(sys::kCwd, to() + "/link"), "/etc/passwd");
  EXPECT_TRUE(S_ISFIFO(sys::fstatat(sys::kCwd, to() + "/fifo")->st_mode));
}

TEST_F(VolumesTest, HolesStayHoles) {
  const std::string path = from() + "/sparse";
  ASSERT_TRUE(io::write_file_atomic(path, "head").ok());
  ASSERT_EQ(::truncate(path.c_str(), 8 << 20), 0);
  ASSERT_TRUE(copy().ok());
  const auto copied = sys::fstatat(sys::kCwd, to() + "/sparse");
  EXPECT_EQ(copied->st_size, 8 << 20);
  EXPECT_LE(copied->st_blocks, sys::fstatat(sys::kCwd, path)->st_blocks);
  EXPECT_EQ(io::read_file(to() + "/sparse")->substr(0, 5), std::string("head\0", 5));
}

TEST_F(VolumesTest, ErrorsNameTheFile) {
  ASSERT_TRUE(io::write_file_atomic(from() + "/file", "a").ok());
  ASSERT_TRUE(io::write_file_atomic(to() + "/file", "b").ok());
  const Status copied = copy();
  ASSERT_FALSE(copied.ok());
  EXPECT_THAT(copied.error().message(), ::testing::HasSubstr("copy 'file'"));
}

TEST_F(VolumesTest, ImageLinksStayInside) {
  // The image's /data is a link to an absolute path: that of the image, not of the host.
  ASSERT_EQ(::symlink("/etc", (from() + "/data").c_str()), 0);
  ASSERT_EQ(::mkdir((from() + "/etc").c_str(), 0755), 0);
  ASSERT_TRUE(io::write_file_atomic(from() + "/etc/inside", "1").ok());
  const auto volumes = sys::openat(sys::kCwd, to(), O_RDONLY | O_DIRECTORY);
  const auto tree = io::RootDir::open(from());
  ASSERT_TRUE(make_volume(*volumes, {"/data", "", "0", false, {}}, *tree, {}).ok());
  EXPECT_TRUE(sys::fstatat(sys::kCwd, to() + "/0/inside").ok());
  EXPECT_FALSE(sys::fstatat(sys::kCwd, to() + "/0/passwd").ok());
  ASSERT_TRUE(make_volume(*volumes, {"/missing", "", "1", false, {}}, *tree, {}).ok());
  EXPECT_TRUE(sys::fstatat(sys::kCwd, to() + "/1").ok());
}

}  // namespace
}  // namespace cooper::pod
