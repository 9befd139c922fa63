// Zone S: the console and the switch of the root.
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/strings.h"
#include "container/child_mounts.h"
#include "container/old_root.h"
#include "sys/file.h"
#include "sys/mount.h"

namespace cooper::container {
namespace {

Status ioctl_error(const char* what) {
  const int saved = errno;
  return Error::from_errno(saved, what);
}

Status change_root(const io::RootDir& root, const char* how) {
  if (::fchdir(root.fd().get()) != 0) return ioctl_error("enter the root file system");
  if (::chroot(".") != 0) return ioctl_error(how);
  if (::chdir("/") != 0) return ioctl_error("enter the new root");
  return {};
}

// --no-pivot: for ramdisk hosts, where the root cannot be pivoted. The new root covers the old one, which stays.
Status move_root(const io::RootDir& root) {
  // Shows the namespace from the root of now, and goes on when /proc is gone.
  ASSIGN_OR_RETURN(const UniqueFd table, sys::openat(sys::kCwd, "/proc/self/mountinfo", O_RDONLY));
  // Neither the new root nor what goes may show on the host.
  RETURN_IF_ERROR(sys::mount("", "/", "", MS_SLAVE, ""));
  if (::fchdir(root.fd().get()) != 0) return ioctl_error("enter the root file system");
  RETURN_IF_ERROR(sys::mount(".", "/", "", MS_MOVE, ""));
  RETURN_IF_ERROR(clear_old_root(table));
  return change_root(root, "change root");
}

// pivot_root looks at every thread of the machine, some 0.4 microseconds each; what replace_root() does costs as much
// as a hundred of them.
constexpr unsigned kManyThreads = 512;

bool has_many_threads() {
  struct sysinfo info = {};
  return ::sysinfo(&info) == 0 && info.procs >= kManyThreads;
}

// What lies below "/" may be taken away here without that the host loses its root: the place it is mounted on is not
// shared. Moving a mount onto itself is refused, for that reason first.
bool has_private_place() {
  const Status moved = sys::mount("/", "/", "", MS_MOVE, "");
  return !moved.ok() && moved.error().errno_value() == ELOOP;
}

// The same end as pivot_root(2): a copy of the new tree takes the place of the old one, whose mounts go. False: it was
// not begun, as the kernel refuses a step that changes nothing yet.
Result<bool> replace_root(const io::RootDir& root) {
  auto tree = sys::open_tree(root.fd(), "", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE);
  auto own = sys::openat(sys::kCwd, "/proc/self/ns/mnt", O_RDONLY);
  // To join the namespace one is in: its topmost root becomes the caller's.
  if (!tree.ok() || !own.ok() || ::setns(own->get(), CLONE_NEWNS) != 0) return false;
  // Neither to the host nor, where the container shares mounts, to the copy.
  RETURN_IF_ERROR(sys::mount("", "/", "", MS_SLAVE | MS_REC, ""));
  // EINVAL: mounts that came with another user namespace are locked.
  if (!has_private_place() || ::umount2("/", MNT_DETACH) != 0) return false;
  if (::setns(own->get(), CLONE_NEWNS) != 0) return Error::from_errno(errno, "enter the emptied mount namespace");
  ASSIGN_OR_RETURN(const UniqueFd place, sys::openat(sys::kCwd, "/", O_PATH | O_DIRECTORY));
  RETURN_IF_ERROR(sys::move_mount(*tree, place));
  if (::setns(own->get(), CLONE_NEWNS) != 0) return Error::from_errno(errno, "enter the new root");
  return true;
}

Status check_devpts(BorrowedFd fd) {
  ASSIGN_OR_RETURN(const struct statfs info, sys::fstatfs(fd));
  if (info.f_type == DEVPTS_SUPER_MAGIC) return {};
  return Error(Errc::kPermission, "'/dev/pts/ptmx' in the container is not on a devpts file system");
}

// Asked before the node is opened, as an image may have any device there, and after, as a container may cover it.
Result<UniqueFd> open_master(const io::RootDir& root) {
  ASSIGN_OR_RETURN(const UniqueFd pts, root.open_at("/dev/pts", O_PATH | O_DIRECTORY));
  RETURN_IF_ERROR(check_devpts(pts));
  ASSIGN_OR_RETURN(UniqueFd master, sys::openat(pts, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW));
  RETURN_IF_ERROR(check_devpts(master));
  return master;
}

// What the image has there is never opened: a device node may act on it. A link must not lead the bind elsewhere
// (CVE-2025-52565).
Result<UniqueFd> console_place(const io::RootDir& root) {
  ASSIGN_OR_RETURN(const auto parent, root.parent_of("/dev/console"));
  auto made = sys::openat(parent.dir, parent.name, O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW, 0666);
  if (made.ok() || made.error().errno_value() != EEXIST) return made;
  ASSIGN_OR_RETURN(UniqueFd place, sys::openat(parent.dir, parent.name, O_PATH | O_NOFOLLOW));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(place));
  if (S_ISLNK(info.st_mode)) return Error(Errc::kPermission, "the image's '/dev/console' is a symbolic link", ELOOP);
  return place;
}

}  // namespace

Result<UniqueFd> setup_console(const SetupConsole& console, const io::RootDir& root, bool bind_console) {
  auto opened = open_master(root);
  if (!opened.ok()) {
    return std::move(opened).error().with("open a terminal").with_hint("a terminal needs a devpts mount on /dev/pts");
  }
  UniqueFd master = std::move(opened).value();
  int unlock = 0;
  if (::ioctl(master.get(), TIOCSPTLCK, &unlock) != 0) return Error::from_errno(errno, "unlock terminal");
  // By descriptor (4.13): no path of the image is involved.
  const UniqueFd slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!slave) return Error::from_errno(errno, "open the terminal's other end");
  if (console.height != 0 || console.width != 0) {
    struct winsize size = {console.height, console.width, 0, 0};
    if (::ioctl(master.get(), TIOCSWINSZ, &size) != 0) return Error::from_errno(errno, "set the terminal's size");
  }
  if (::fchown(slave.get(), console.uid, static_cast<gid_t>(-1)) != 0)
    return Error::from_errno(errno, "set the terminal's owner");
  if (bind_console) {
    auto place = console_place(root);
    if (!place.ok()) return std::move(place).error().with("make '/dev/console'");
    ASSIGN_OR_RETURN(const UniqueFd tree, sys::open_tree(slave, "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
    RETURN_IF_ERROR(sys::move_mount(tree, *place));
  }
  for (int fd = 0; fd <= 2; ++fd) {
    if (::dup2(slave.get(), fd) < 0) return Error::from_errno(errno, "attach the terminal");
  }
  if (::ioctl(0, TIOCSCTTY, 0) != 0) return Error::from_errno(errno, "make the terminal the controlling one");
  return master;
}

Result<bool> pivot_root(const PivotRoot& step, const io::RootDir& root, BorrowedFd shared_peer) {
  const auto same_mounts = [](Status done) { return done.ok() ? Result<bool>(false) : std::move(done).error(); };
  if (step.shared_namespace) return same_mounts(change_root(root, "change root"));
  if (!step.pivot_dir.empty()) {
    // The old root is stacked on the new one and needs no place of its own, but a wrong path is a wrong configuration.
    auto place = root.open_at(step.pivot_dir, O_PATH | O_DIRECTORY);
    if (!place.ok()) return std::move(place).error().with("pivot directory");
  }
  if (step.no_pivot) return same_mounts(move_root(root));
  if (step.may_replace && !shared_peer.valid() && has_many_threads()) {
    ASSIGN_OR_RETURN(const bool replaced, replace_root(root));
    if (replaced) return true;
  }
  // Both arguments "." stack the old root on the new one, so that no directory inside the image is needed
  // (pivot_root(2)).
  ASSIGN_OR_RETURN(const UniqueFd old_root, sys::openat(sys::kCwd, "/", O_PATH | O_DIRECTORY));
  if (::fchdir(root.fd().get()) != 0) return same_mounts(ioctl_error("enter the root file system"));
  RETURN_IF_ERROR(sys::pivot_root(".", "."));
  if (::fchdir(old_root.get()) != 0) return same_mounts(ioctl_error("enter the old root"));
  // The unmount must not travel to the host through shared mounts.
  RETURN_IF_ERROR(sys::mount("", ".", "", MS_SLAVE | MS_REC, ""));
  if (shared_peer.valid()) {
    // A peer must be attached to be joined: anywhere in the old tree, which goes away with the next call.
    ASSIGN_OR_RETURN(const UniqueFd place, sys::openat(old_root, "proc", O_PATH | O_DIRECTORY));
    RETURN_IF_ERROR(sys::move_mount(shared_peer, place));
    // EINVAL: the mount the root comes from is shared with nobody. The last change of the root's propagation makes it
    // the first of its group.
    Status joined = sys::join_peer_group(shared_peer, root.fd());
    if (!joined.ok() && joined.error().errno_value() != EINVAL) return std::move(joined).error().with("share the root");
  }
  RETURN_IF_ERROR(sys::umount2(".", MNT_DETACH));
  return same_mounts(::chdir("/") == 0 ? Status() : ioctl_error("enter the new root"));
}

}  // namespace cooper::container
