// Mounts of control groups: one file system (v2), or a directory with one for each hierarchy (v1 and hybrid).
#include <fcntl.h>
#include <sys/mount.h>

#include "base/strings.h"
#include "container/child_mount_parts.h"
#include "sys/file.h"
#include "sys/mount.h"

namespace cooper::container {
namespace {

// Of every mount of groups.
constexpr std::uint64_t kAlways = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// The directory that the hierarchies are mounted in, opened once: what is above it is a file system whose look-ups wait
// for network namespaces (cgroup/internal/files.h).
class MountParents {
 public:
  Result<BorrowedFd> of(const std::string& mount_point) {
    std::string parent = mount_point.substr(0, mount_point.rfind('/') + 1);
    if (!fd_ || parent != path_) {
      ASSIGN_OR_RETURN(fd_, sys::openat(sys::kCwd, parent, O_PATH | O_DIRECTORY));
      path_ = std::move(parent);
    }
    return fd_.borrow();
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

// A bind of the container's own directory. False: it has none in this hierarchy. Where mounts are shared with the host
// (rootfsPropagation) it is no peer of the host's mount of this hierarchy: what the container mounts there would show
// in the host's control groups, which could not be removed then.
Result<bool> bind_group(BorrowedFd top, const std::string& name, BorrowedFd above, const cgroup::Hierarchy& hierarchy,
                        const Mount& mount, const MountEnvironment& environment) {
  const std::string directory = hierarchy.directory(environment.cgroup_path);
  const auto tree = sys::open_tree(above, name + directory.substr(hierarchy.mount_point.size()), OPEN_TREE_CLONE);
  if (!tree.ok() && tree.error().errno_value() == ENOENT) return false;
  if (!tree.ok()) return Error::from_errno(tree.error().errno_value(), "clone mount " + quoted(directory));
  RETURN_IF_ERROR(sys::mount_setattr(*tree, "", AT_EMPTY_PATH, mount.attr_set | kAlways, 0, MS_PRIVATE));
  RETURN_IF_ERROR(sys::move_mount(*tree, top, name));
  return true;
}

// The hierarchy as the cgroup namespace shows it.
Status mount_hierarchy(BorrowedFd top, const std::string& name, const cgroup::Hierarchy& hierarchy,
                       const Mount& mount) {
  const unsigned long flags = flags_from_attributes(mount.attr_set | kAlways);
  ASSIGN_OR_RETURN(const UniqueFd place, sys::openat(top, name, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  const std::string data = join(hierarchy.controllers, ",");
  return sys::mount("cgroup", fd_path(place), "cgroup", flags, data.starts_with("name=") ? "none," + data : data);
}

// cgroup v1 and hybrid: a tmpfs with one mount per hierarchy, and links for co-mounted controllers.
Status mount_cgroup_v1(const Mount& mount, const MountEnvironment& environment) {
  Mount base = mount;
  base.kind = MountKind::kFilesystem;
  base.fstype = "tmpfs";
  base.source = "tmpfs";
  base.attr_set = (mount.attr_set & ~std::uint64_t{MOUNT_ATTR_RDONLY}) | kAlways;
  base.superblock_flags = 0;
  base.propagation.clear();
  base.data = {"mode=755"};
  RETURN_IF_ERROR(mount_filesystem(base, environment));
  ASSIGN_OR_RETURN(const UniqueFd top, environment.root->open_at(mount.destination, O_PATH | O_DIRECTORY));
  // The root of a cgroup namespace is the container's group, and a bind of that directory looks the same inside, where
  // mountinfo shows paths from that root as well. A mount of the hierarchy has the same superblock, but takes the lock
  // of all groups, which the kernel holds while it puts a memory group away: for milliseconds beside 1,000 containers.
  const bool bind = !environment.private_cgroup_namespace || environment.in_every_group;
  MountParents parents;
  for (const auto& hierarchy : environment.cgroup_layout->hierarchies) {
    if (hierarchy.v2) continue;  // membership only: v1 hosts show v1
    const std::string name = hierarchy.mount_point.substr(hierarchy.mount_point.rfind('/') + 1);
    RETURN_IF_ERROR(sys::mkdirat(top, name, 0755));
    bool bound = false;
    if (bind) {
      ASSIGN_OR_RETURN(const BorrowedFd above, parents.of(hierarchy.mount_point));
      ASSIGN_OR_RETURN(bound, bind_group(top, name, above, hierarchy, mount, environment));
    }
    if (!bound && environment.private_cgroup_namespace) {
      RETURN_IF_ERROR(mount_hierarchy(top, name, hierarchy, mount));
    } else if (!bound && environment.user_namespace) {
      // A user without privileges has no group here, and nothing of others is shown.
      RETURN_IF_ERROR(sys::unlinkat(top, name, AT_REMOVEDIR));
      continue;
    } else if (!bound) {
      return Error::from_errno(ENOENT, "clone mount " + quoted(hierarchy.directory(environment.cgroup_path)));
    }
    for (const std::string& controller : hierarchy.controllers) {
      if (controller == name || controller.starts_with("name=")) continue;
      (void)!sys::symlinkat(name, top, controller).ok();
    }
  }
  if ((mount.attr_set & MOUNT_ATTR_RDONLY) != 0 && !mount.read_only_later)
    RETURN_IF_ERROR(set_mount_attributes(top, MOUNT_ATTR_RDONLY, 0, false));
  return apply_propagation(top, mount.propagation);
}

Status mount_cgroup_v2(const Mount& mount, const MountEnvironment& environment, const cgroup::Hierarchy& hierarchy) {
  Mount fs = mount;
  fs.kind = MountKind::kFilesystem;
  fs.fstype = "cgroup2";
  fs.source = "cgroup";
  if (environment.private_cgroup_namespace) {
    Status mounted = mount_filesystem(fs, environment);
    if (mounted.ok() || (mounted.error().errno_value() != EPERM && mounted.error().errno_value() != EBUSY))
      return mounted;
  }
  fs.kind = MountKind::kBind;
  // Its own group in a cgroup namespace, too: what is bound is the host's mount, which shows all groups.
  fs.source = hierarchy.directory(environment.cgroup_path);
  Status bound = mount_bind(fs, environment);
  // A user without privileges has no group to show.
  if (!bound.ok() && environment.user_namespace && bound.error().errno_value() == ENOENT) return {};
  return bound;
}

}  // namespace

Status mount_cgroup(const Mount& mount, const MountEnvironment& environment) {
  if (environment.cgroup_layout == nullptr || environment.cgroup_layout->mode == cgroup::Mode::kNone) {
    return Error(Errc::kUnsupported,
                 "mount cgroup on " + quoted(mount.destination) + ": this host has no cgroup file system mounted");
  }
  if (environment.cgroup_layout->mode == cgroup::Mode::kV2)
    return mount_cgroup_v2(mount, environment, *environment.cgroup_layout->v2());
  return mount_cgroup_v1(mount, environment);
}

}  // namespace cooper::container
