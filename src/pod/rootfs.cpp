#include "pod/rootfs.h"

#include "log/steps.h"
#include "pod/copy_tree.h"
#include "pod/layout.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

Status copy_base(BorrowedFd pod_dir, const std::string& upper, BorrowedFd base, const stage1::IdMaps& maps) {
  const log::Stopwatch copying;
  ASSIGN_OR_RETURN(const UniqueFd from, sys::openat(base, ".", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const UniqueFd to, sys::openat(pod_dir, upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  Status copied = copy_directory(from, to, maps);
  if (!copied.ok()) return std::move(copied).error().with("copy the root file system of the image");
  log::step("root file system copied", [&] { return log::Fields{{"to", upper}, {"took_ms", copying.ms()}}; });
  return {};
}

}  // namespace

Result<Base> open_base(image::Store& store, const image::Image& image, image::Backend backend, std::string_view user,
                       std::set<std::string>& registered) {
  ASSIGN_OR_RETURN(image::Store::Tree tree, backend == image::Backend::kErofs ? store.acquire_erofs(image, user)
                                                                              : store.acquire_tree(image, user));
  registered.insert(tree.chain);
  Base out;
  auto dir = tree.erofs ? io::mount_detached(*tree.erofs) : sys::openat(sys::kCwd, tree.rootfs, O_PATH | O_DIRECTORY);
  if (!dir.ok() && dir.error().code() == Errc::kCorrupt) {
    const std::string name = image.names.empty() ? std::string(image.id.hex()) : image.names.front();
    return std::move(dir).error().with_hint("make it anew: cooper image verify --repair " + name);
  }
  if (!dir.ok()) return std::move(dir).error();
  out.dir = std::move(*dir);
  out.chain = std::move(tree.chain);
  out.tree_rootfs = std::move(tree.rootfs);
  out.image = std::move(tree.erofs);
  out.own_copy = backend == image::Backend::kCopy;
  return out;
}

Result<Base> open_base(const image::FileImage& file, image::Backend backend) {
  Base out;
  ASSIGN_OR_RETURN(out.dir, io::mount_detached(file.filesystem));
  out.image = file.filesystem;
  out.own_copy = backend == image::Backend::kCopy;
  return out;
}

void use_base(const Base& base, stage1::App& app) {
  app.tree_rootfs = base.tree_rootfs;
  app.root_image = base.image;
  app.own_copy = base.own_copy;
}

Status make_root(BorrowedFd pod_dir, const stage1::App& app, BorrowedFd base, const stage1::IdMaps& maps) {
  const std::string upper = upper_dir(app.name);
  RETURN_IF_ERROR(sys::mkdirat(pod_dir, upper, 0755));
  if (app.own_copy) return copy_base(pod_dir, upper, base, maps);
  ASSIGN_OR_RETURN(const struct stat root, sys::fstat(base));
  if ((root.st_mode & 07777) != 0755) RETURN_IF_ERROR(sys::fchmodat(pod_dir, upper, root.st_mode & 07777));
  ASSIGN_OR_RETURN(const Owner owner, map_owner({root.st_uid, root.st_gid}, maps));
  if (owner.uid != 0 || owner.gid != 0) RETURN_IF_ERROR(sys::fchownat(pod_dir, upper, owner.uid, owner.gid));
  if (app.root_image) RETURN_IF_ERROR(sys::mkdirat(pod_dir, image_dir(app.name), 0700));
  return sys::mkdirat(pod_dir, work_dir(app.name), 0700);
}

}  // namespace cooper::pod
