#include "container/old_root.h"

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/strings.h"
#include "io/file.h"
#include "io/mountinfo.h"
#include "sys/mount.h"

namespace cooper::container {
namespace {

using Mounts = std::vector<io::MountLine>;

struct OldRoot {
  std::uint64_t id = 0;
  Mounts mounts;  // what is mounted on it and below, without the new root and what is below that
};

const io::MountLine* find(const Mounts& mounts, std::uint64_t id) {
  const auto found = std::ranges::find(mounts, id, &io::MountLine::id);
  return found == mounts.end() ? nullptr : &*found;
}

Result<OldRoot> read(BorrowedFd table) {
  if (::lseek(table.get(), 0, SEEK_SET) != 0) return Error::from_errno(errno, "read the mounts");
  ASSIGN_OR_RETURN(const std::string text, io::read_all(table, std::size_t{64} << 20));
  Mounts mounts = io::parse_mount_lines(text);
  OldRoot out;
  std::set<std::uint64_t> new_tree;
  for (const io::MountLine& mount : mounts) {
    if (mount.point != "/") continue;
    // The root of a mount namespace is its own parent.
    if (mount.parent == mount.id || find(mounts, mount.parent) == nullptr) {
      out.id = mount.id;
    } else {
      new_tree.insert(mount.id);
    }
  }
  if (out.id == 0) return Error(Errc::kInternal, "the caller's root is not among its mounts");
  for (std::size_t before = 0; before != new_tree.size();) {
    before = new_tree.size();
    for (const io::MountLine& mount : mounts) {
      if (new_tree.contains(mount.parent) && mount.id != out.id) new_tree.insert(mount.id);
    }
  }
  std::erase_if(mounts, [&](const io::MountLine& mount) { return mount.id == out.id || new_tree.contains(mount.id); });
  out.mounts = std::move(mounts);
  return out;
}

// Whether at this place one mount lies on a shared one: to take away the upper one would take it away on the host too,
// and no path leads to the lower one.
bool lies_on_shared(const Mounts& mounts, const io::MountLine& lowest) {
  const io::MountLine* lower = &lowest;
  while (true) {
    const auto upper = std::ranges::find_if(mounts, [&](const io::MountLine& mount) {
      return mount.parent == lower->id && mount.id != lower->id && mount.point == lower->point;
    });
    if (upper == mounts.end()) return false;
    if (lower->shared) return true;
    lower = &*upper;
  }
}

Status make_slave(const std::string& point) {
  return sys::mount("", point, "", MS_SLAVE | MS_REC, "");
}

// True: something has gone.
bool detach(const OldRoot& old) {
  bool gone = false;
  for (const io::MountLine& mount : old.mounts) {
    if (mount.parent != old.id || lies_on_shared(old.mounts, mount)) continue;
    // Fails for what another mount hides: once that has gone it is found.
    gone = (make_slave(mount.point).ok() && sys::umount2(mount.point, MNT_DETACH | UMOUNT_NOFOLLOW).ok()) || gone;
  }
  return gone;
}

Status cover(const io::MountLine& mount) {
  (void)!make_slave(mount.point).ok();
  Status covered = sys::mount("tmpfs", mount.point, "tmpfs", MS_RDONLY, "");
  const int e = covered.ok() ? 0 : covered.error().errno_value();
  if (e == 0 || e == ENOENT || e == ENOTDIR) return {};
  return std::move(covered).error().with("hide the host's " + mount.fstype + " on " + quoted(mount.point));
}

}  // namespace

Status clear_old_root(BorrowedFd table) {
  ASSIGN_OR_RETURN(OldRoot old, read(table));
  while (detach(old)) {
    ASSIGN_OR_RETURN(old, read(table));
  }
  for (const io::MountLine& mount : old.mounts) {
    if (mount.root == "/" && (mount.fstype == "proc" || mount.fstype == "sysfs")) RETURN_IF_ERROR(cover(mount));
  }
  return {};
}

}  // namespace cooper::container
