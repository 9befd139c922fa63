#include "container/parent_root.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/strings.h"
#include "container/child_mounts.h"
#include "container/sync.h"
#include "io/filesystem_image.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace cooper::container {
namespace {

// Owners can be mapped only of a mount that nobody has seen yet: a new one of the image's file system, or a clone.
Result<UniqueFd> open_layer(const MountRoot& root) {
  if (!root.id_mapped) return root.image ? io::mount_detached(root.image->image) : UniqueFd();
  const IdMappedLayer& layer = *root.id_mapped;
  ASSIGN_OR_RETURN(UniqueFd tree, root.image
                                      ? io::mount_detached(root.image->image)
                                      : sys::open_tree(sys::kCwd, layer.path, OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW));
  Status mapped = idmap_mount(tree, layer.uid, layer.gid, false);
  if (mapped.ok()) return tree;
  // EINVAL is the word of a file system without them (mount_setattr(2)), ENOSYS that of a kernel.
  const int e = mapped.error().errno_value();
  if (e != EINVAL && e != ENOSYS && e != EOPNOTSUPP) return std::move(mapped).error().with(quoted(layer.path));
  return std::move(mapped)
      .error()
      .with_code(Errc::kUnsupported)
      .with(quoted(layer.path))
      .with_hint(
          "keep images on a file system that has id-mapped mounts (ext4, xfs, btrfs and others), or give the app a "
          "copy of the files, which needs none: rootfs backend 'copy'");
}

// Layers are found by their paths, and before kernel 6.15 they must be in the mount namespace of who makes the overlay:
// the mapped one covers its directory in a namespace that ends with this process.
Result<UniqueFd> make_overlay(const MountRoot& root, BorrowedFd layer) {
  if (layer.valid()) {
    RETURN_IF_ERROR(sys::unshare(CLONE_NEWNS));
    RETURN_IF_ERROR(sys::mount("", "/", "", MS_REC | MS_PRIVATE, ""));
    RETURN_IF_ERROR(cover_directory(root.image ? root.image->path : root.id_mapped->path, layer));
  }
  auto made = make_root_filesystem(root);
  if (made.ok() || !root.id_mapped || made.error().errno_value() != EINVAL) return made;
  return std::move(made).error().with_hint("the kernel must support overlays of id-mapped layers (5.19 and later)");
}

[[noreturn]] void help(const MountRoot& root, BorrowedFd layer, BorrowedFd socket) {
  auto made = make_overlay(root, layer);
  if (made.ok()) {
    (void)!send_message(socket, MessageType::kReached, "root", made->get()).ok();
  } else {
    (void)!send_failure(socket, made.error()).ok();
  }
  ::_exit(0);
}

}  // namespace

Result<UniqueFd> make_parent_root(const MountRoot& root) {
  if (root.fstype.empty()) {
    ASSIGN_OR_RETURN(UniqueFd tree, sys::open_tree(sys::kCwd, root.path, kRootTreeFlags));
    // It is for a namespace of another user, whose mounts do not show on the host.
    RETURN_IF_ERROR(apply_propagation(tree, {MS_SLAVE | MS_REC}));
    if (root.attributes != 0) RETURN_IF_ERROR(set_mount_attributes(tree, root.attributes, 0, false));
    return tree;
  }
  ASSIGN_OR_RETURN(const UniqueFd layer, open_layer(root));
  ASSIGN_OR_RETURN(auto pair, sys::socketpair(SOCK_SEQPACKET));
  ASSIGN_OR_RETURN(const sys::Cloned helper, sys::clone3(0));
  if (helper.pid == 0) {
    pair.first.reset();
    help(root, layer, pair.second);
  }
  pair.second.reset();
  auto message = receive_message(pair.first);
  (void)!sys::waitpid(helper.pid).ok();
  if (!message.ok()) return std::move(message).error();
  if (message->eof || !message->fd)
    return Error(Errc::kSystem, "the helper that makes the root file system ended without an answer");
  return std::move(message->fd);
}

}  // namespace cooper::container
