#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/event_loop.h"
#include "io/file.h"
#include "io/regular.h"
#include "io/root_dir.h"
#include "sys/file.h"

namespace cooper::io {
namespace {

class TempDir : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cooper-io-XXXXXX";
    path_ = ::mkdtemp(name);
    ASSERT_TRUE(make_directories(path_ + "/root/etc").ok());
    root_ = path_ + "/root";
  }
  void TearDown() override { ASSERT_TRUE(remove_tree(sys::kCwd, path_).ok()); }
  std::string path_;
  std::string root_;
};

using RootDirTest = TempDir;
using FileTest = TempDir;

TEST_F(RootDirTest, LinksResolveInside) {
  auto root = RootDir::open(root_);
  ASSERT_TRUE(root.ok());
  ASSERT_TRUE(sys::symlinkat("/etc", root->fd(), "abs").ok());
  ASSERT_TRUE(sys::symlinkat("../../../../etc", root->fd(), "up").ok());
  ASSERT_TRUE(write_file_atomic(root_ + "/etc/inside", "x").ok());
  EXPECT_EQ(*root->read_file("/abs/inside", 10), "x");
  EXPECT_EQ(*root->read_file("up/inside", 10), "x");
  EXPECT_EQ(*root->read_file("../../etc/inside", 10), "x");
  EXPECT_FALSE(root->open_at("/etc/passwd", O_RDONLY).ok());
}

TEST_F(RootDirTest, MakesDirectoriesBehindDanglingLinks) {
  auto root = RootDir::open(root_);
  ASSERT_TRUE(root.ok());
  ASSERT_TRUE(sys::symlinkat("../run/resolve/stub.conf", root->fd(), "etc/resolv.conf").ok());
  ASSERT_TRUE(root->make_file("/etc/resolv.conf").ok());
  EXPECT_TRUE(sys::fstatat(sys::kCwd, root_ + "/run/resolve/stub.conf").ok());
  ASSERT_TRUE(sys::symlinkat("/deep/er", root->fd(), "d").ok());
  ASSERT_TRUE(root->make_directories("d/x/../y").ok());
  EXPECT_TRUE(sys::fstatat(sys::kCwd, root_ + "/deep/er/y").ok());
}

TEST_F(RootDirTest, LoopsAndFilesInTheWayAreErrors) {
  auto root = RootDir::open(root_);
  ASSERT_TRUE(root.ok());
  ASSERT_TRUE(sys::symlinkat("b", root->fd(), "a").ok());
  ASSERT_TRUE(sys::symlinkat("a", root->fd(), "b").ok());
  EXPECT_EQ(root->make_directories("a/x").error().errno_value(), ELOOP);
  ASSERT_TRUE(write_file_atomic(root_ + "/file", "x").ok());
  EXPECT_EQ(root->make_directories("file/x").error().errno_value(), ENOTDIR);
  EXPECT_EQ(root->make_file("etc").error().errno_value(), EISDIR);
  EXPECT_FALSE(root->parent_of("/").ok());
  EXPECT_FALSE(root->parent_of("a/..").ok());
}

TEST_F(RootDirTest, RealDirectoriesAreMadeAndNeverReachedByALink) {
  auto root = RootDir::open(root_);
  for (const char* path : {"/new", "new/", "/a/b/new/."}) {
    if (std::string_view(path).ends_with('.')) {
      EXPECT_FALSE(root->make_real_directory(path).ok());
      continue;
    }
    const auto made = root->make_real_directory(path);
    ASSERT_TRUE(made.ok()) << made.error().message();
    EXPECT_EQ(sys::fstat(*made)->st_ino, root->stat_at(path)->st_ino);
  }
  ASSERT_TRUE(root->make_real_directory("/a/b/proc").ok());
  ASSERT_EQ(::symlink("/new", (root_ + "/link").c_str()), 0);
  ASSERT_EQ(::symlink("/nowhere", (root_ + "/dangling").c_str()), 0);
  for (const char* path : {"/link", "/link/", "dangling", "//dangling//"}) {
    const auto followed = root->make_real_directory(path);
    ASSERT_FALSE(followed.ok()) << path;
    EXPECT_EQ(followed.error().errno_value(), ELOOP) << path;
  }
  EXPECT_FALSE(root->stat_at("/nowhere").ok());
  ASSERT_TRUE(root->make_file("/file").ok());
  EXPECT_EQ(root->make_real_directory("/file").error().errno_value(), ENOTDIR);
}

TEST_F(RootDirTest, RootItselfMayNotBeALink) {
  ASSERT_TRUE(sys::symlinkat("root", sys::kCwd, path_ + "/link").ok());
  EXPECT_FALSE(RootDir::open(path_ + "/link").ok());
}

TEST_F(RootDirTest, FifoDoesNotHang) {
  ASSERT_EQ(::mkfifo((root_ + "/fifo").c_str(), 0644), 0);
  auto root = RootDir::open(root_);
  EXPECT_FALSE(root->read_file("fifo", 10).ok());
}

TEST_F(RootDirTest, WhatIsNoRegularFileIsNotOpened) {
  // A socket cannot be opened (ENXIO), only looked at.
  ASSERT_EQ(::mknod((root_ + "/socket").c_str(), S_IFSOCK | 0644, 0), 0);
  auto root = RootDir::open(root_);
  for (const char* path : {"socket", "etc"}) {
    const auto opened = open_regular(*root, path);
    ASSERT_FALSE(opened.ok()) << path;
    EXPECT_EQ(opened.error().errno_value(), EINVAL) << opened.error().message();
  }
  ASSERT_TRUE(write_file_atomic(root_ + "/etc/file", "x").ok());
  EXPECT_TRUE(open_regular(*root, "etc/file").ok());
}

TEST_F(FileTest, AtomicWriteReplacesAndLeavesNoTemporary) {
  const std::string file = path_ + "/state";
  ASSERT_TRUE(write_file_atomic(file, "one", 0600).ok());
  ASSERT_TRUE(write_file_atomic(file, "two", 0600, Durability::kFsync).ok());
  EXPECT_EQ(*read_file(file), "two");
  auto dir = sys::openat(sys::kCwd, path_, O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(sys::list_directory(*dir)->size(), 2U);
  EXPECT_EQ(read_file(file, 2).error().code(), Errc::kLimit);
}

TEST_F(FileTest, RemoveTreeDoesNotFollowLinks) {
  ASSERT_TRUE(make_directories(path_ + "/outside").ok());
  ASSERT_TRUE(write_file_atomic(path_ + "/outside/keep", "x").ok());
  ASSERT_TRUE(sys::symlinkat(path_ + "/outside", sys::kCwd, root_ + "/etc/link").ok());
  ASSERT_TRUE(remove_tree(sys::kCwd, root_).ok());
  EXPECT_TRUE(sys::fstatat(sys::kCwd, path_ + "/outside/keep").ok());
  EXPECT_TRUE(remove_tree(sys::kCwd, root_).ok());
}

TEST_F(FileTest, RemoveTreeLeavesMountsAlone) {
  ASSERT_TRUE(make_directories(path_ + "/outside").ok());
  ASSERT_TRUE(write_file_atomic(path_ + "/outside/keep", "x").ok());
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ::_exit(77);
    (void)::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    const std::string outside = path_ + "/outside";
    if (::mount(outside.c_str(), (root_ + "/etc").c_str(), nullptr, MS_BIND, nullptr) != 0) ::_exit(77);
    for (const std::string& path : {root_, root_ + "/etc"}) {
      const Status removed = remove_tree(sys::kCwd, path);
      if (removed.ok() || removed.error().errno_value() != EBUSY) ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mounts here";
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(sys::fstatat(sys::kCwd, path_ + "/outside/keep").ok());
}

// Deeper than a process may have descriptors.
TEST_F(FileTest, RemoveTreeTakesAnyDepth) {
  UniqueFd at = *sys::openat(sys::kCwd, root_, O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 1500; ++i) {
    ASSERT_TRUE(sys::mkdirat(at, "d", 0755).ok());
    at = *sys::openat(at, "d", O_RDONLY | O_DIRECTORY);
    if (i % 100 != 0) continue;
    ASSERT_TRUE(sys::mkdirat(at, ".deep-0", 0755).ok());
  }
  at.reset();
  EXPECT_TRUE(remove_tree(sys::kCwd, root_).ok());
  EXPECT_FALSE(sys::fstatat(sys::kCwd, root_).ok());
}

TEST_F(RootDirTest, DirectoriesOnTheWayToAFileCanBePassed) {
  auto root = RootDir::open(root_);
  ASSERT_TRUE(root.ok());
  ASSERT_TRUE(root->make_file("a/b/file", 0644).ok());
  EXPECT_EQ(root->stat_at("a/b")->st_mode & 07777, 0755U);
  EXPECT_EQ(root->stat_at("a/b/file")->st_mode & 07777, 0644U);
}

TEST_F(FileTest, LocksExclude) {
  auto first = FileLock::try_acquire(sys::kCwd, path_ + "/lock", FileLock::Mode::kExclusive);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(FileLock::try_acquire(sys::kCwd, path_ + "/lock", FileLock::Mode::kShared).error().code(), Errc::kBusy);
}

TEST(EventLoop, TimersFireInOrderAndHandlersMayRemoveThemselves) {
  auto loop = EventLoop::create();
  ASSERT_TRUE(loop.ok());
  auto pipe = sys::pipe2();
  int reads = 0;
  std::string order;
  ASSERT_TRUE(loop->add(pipe->read, EPOLLIN,
                        [&](std::uint32_t) {
                          ++reads;
                          loop->remove(pipe->read);
                        })
                  .ok());
  loop->add_timer(20, [&] {
    order += 'b';
    loop->stop();
  });
  loop->add_timer(1, [&] { order += 'a'; });
  const auto cancelled = loop->add_timer(2, [&] { order += 'x'; });
  loop->cancel_timer(cancelled);
  ASSERT_TRUE(sys::write_all(pipe->write, "12").ok());
  ASSERT_TRUE(loop->run().ok());
  EXPECT_EQ(reads, 1);
  EXPECT_EQ(order, "ab");
}

}  // namespace
}  // namespace cooper::io
