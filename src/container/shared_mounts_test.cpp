#include "container/shared_mounts.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "io/file.h"
#include "sys/file.h"

namespace cooper::container {
namespace {

std::uint64_t mount_at(const std::string& path) {
  struct statx info = {};
  return ::statx(AT_FDCWD, path.c_str(), 0, STATX_MNT_ID, &info) == 0 ? info.stx_mnt_id : 0;
}

bool mount_tmpfs(const std::string& path) {
  return ::mount("none", path.c_str(), "tmpfs", 0, nullptr) == 0;
}

bool is_busy(const Status& status) {
  return !status.ok() && status.error().errno_value() == EBUSY;
}

// The number of the step that failed.
int cover_and_undo(const std::string& top) {
  const std::string root = top + "/b/root";
  if (!io::make_directories(root).ok() || ::mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr) != 0) return 1;
  SharedMounts mounts{.shared = true, .path = "", .rootfs = root};
  note_shared_mount(mounts);
  if (mounts.id != mount_at(root)) return 2;
  // On the root: goes with it. On what is above it: not ours.
  if (!mount_tmpfs(root) || !mount_tmpfs(top)) return 3;
  if (!is_busy(undo_shared_mounts(mounts))) return 4;
  if (!io::make_directories(root).ok() || !mount_tmpfs(root)) return 5;
  const std::uint64_t theirs = mount_at(root);
  if (!is_busy(undo_shared_mounts(mounts)) || mount_at(root) != theirs) return 6;
  if (::umount2(root.c_str(), 0) != 0 || ::umount2(top.c_str(), 0) != 0) return 7;
  if (!undo_shared_mounts(mounts).ok() || mount_at(root) != mount_at(top)) return 8;
  return undo_shared_mounts(mounts).ok() ? 0 : 9;
}

TEST(SharedMountsTest, MountsOfOthersAreLeftAlone) {
  char name[] = "/tmp/shared-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ::_exit(77);
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(77);
    ::_exit(cover_and_undo(name));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  (void)!io::remove_tree(sys::kCwd, name).ok();
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mounts here";
  EXPECT_EQ(WEXITSTATUS(status), 0) << "step";
}

}  // namespace
}  // namespace cooper::container
