#include "container/live_mount_child.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "container/child_mounts.h"
#include "container/namespace_root.h"
#include "container/superblock.h"
#include "container/sync.h"
#include "io/root_dir.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace cooper::container {
namespace {

Result<UniqueFd> new_filesystem(const Mount& mount) {
  ASSIGN_OR_RETURN(const UniqueFd context, sys::fsopen(mount.fstype));
  const std::string source = mount.source.empty() ? mount.fstype : mount.source;
  RETURN_IF_ERROR(sys::fsconfig_string(context, "source", source));
  RETURN_IF_ERROR(set_superblock_options(context, mount));
  RETURN_IF_ERROR(sys::fsconfig_create(context));
  return sys::fsmount(context, static_cast<std::uint32_t>(mount.attr_set));
}

// Not visible anywhere yet, and complete but for its propagation.
Result<UniqueFd> detached_mount(const Mount& mount) {
  if (mount.kind != MountKind::kBind) return new_filesystem(mount);
  ASSIGN_OR_RETURN(UniqueFd tree,
                   sys::open_tree(sys::kCwd, mount.source, OPEN_TREE_CLONE | (mount.recursive ? AT_RECURSIVE : 0U)));
  // Before anybody can mount in it: of a peer, that would show on the host.
  RETURN_IF_ERROR(apply_propagation(tree, {MS_SLAVE | MS_REC}));
  if (mount.idmap) RETURN_IF_ERROR(idmap_mount(tree, mount.uid_mappings, mount.gid_mappings, mount.idmap_recursive));
  if (mount.attr_set != 0 || mount.attr_clear != 0)
    RETURN_IF_ERROR(set_mount_attributes(tree, mount.attr_set, mount.attr_clear, false));
  if (mount.rec_attr_set != 0 || mount.rec_attr_clear != 0)
    RETURN_IF_ERROR(
        sys::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, mount.rec_attr_set, mount.rec_attr_clear));
  return tree;
}

// An unprivileged caller may clone mounts only in a mount namespace of its user namespace: a copy of the host's.
Status enter_user_namespace(const LiveMountContext& context) {
  RETURN_IF_ERROR(sys::setns(context.init, CLONE_NEWUSER));
  RETURN_IF_ERROR(become_namespace_root());
  return sys::unshare(CLONE_NEWNS);
}

Result<io::RootDir> enter_container(const LiveMountContext& context) {
  Status joined = sys::setns(context.init, CLONE_NEWNS);
  if (!joined.ok()) return std::move(joined).error().with("join the container's mount namespace");
  if (::fchdir(context.root.get()) != 0 || ::chroot(".") != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "enter the container's root");
  }
  return io::RootDir::open("/");
}

Status add(const LiveMountContext& context) {
  const Mount& mount = *context.mount;
  auto tree = detached_mount(mount);
  if (!tree.ok()) return std::move(tree).error().with("mount " + quoted(mount.source));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*tree));
  ASSIGN_OR_RETURN(const struct statfs fs, sys::fstatfs(*tree));
  ASSIGN_OR_RETURN(const io::RootDir root, enter_container(context));
  auto target = S_ISDIR(info.st_mode) ? root.make_directories(mount.destination, 0755, context.uid, context.gid)
                                      : root.make_file(mount.destination);
  if (!target.ok()) return std::move(target).error().with("mount point " + quoted(mount.destination));
  RETURN_IF_ERROR(check_proc_target(mount, *target, is_whole_proc(fs, info)));
  Status moved = sys::move_mount(*tree, *target);
  if (!moved.ok()) return std::move(moved).error().with("mount on " + quoted(mount.destination));
  return apply_propagation(*tree, mount.propagation);
}

Status remove(const LiveMountContext& context) {
  ASSIGN_OR_RETURN(const io::RootDir root, enter_container(context));
  auto parent = root.parent_of(context.destination, false);
  if (!parent.ok()) return std::move(parent).error().with("mount point " + quoted(context.destination));
  if (::fchdir(parent->dir.get()) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "enter the directory of " + quoted(context.destination));
  }
  Status done = sys::umount2(parent->name, MNT_DETACH | UMOUNT_NOFOLLOW);
  if (done.ok() || done.error().errno_value() != EINVAL) return done;
  return Error(Errc::kInvalidArgument, quoted(context.destination) + " is not a mount point of the container", EINVAL);
}

}  // namespace

void run_live_mount(const LiveMountContext& context) {
  (void)::close(context.parent_sync.get());
  (void)::umask(0);
  Status done = context.user_namespace ? enter_user_namespace(context) : Status();
  if (done.ok()) done = context.mount != nullptr ? add(context) : remove(context);
  (void)!(done.ok() ? send_message(context.sync, MessageType::kReached, "done")
                    : send_failure(context.sync, done.error()))
      .ok();
  ::_exit(done.ok() ? 0 : 1);
}

}  // namespace cooper::container
