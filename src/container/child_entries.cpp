#include "container/child_entries.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <span>

#include "base/strings.h"
#include "container/child_mounts.h"
#include "sys/file.h"
#include "sys/mount.h"

namespace cooper::container {
namespace {

std::string fd_path(BorrowedFd fd) {
  return "/proc/self/fd/" + std::to_string(fd.get());
}

Status copy_all(int from, BorrowedFd to) {
  std::string buffer(std::size_t{64} << 10, '\0');
  while (true) {
    auto n = sys::read(BorrowedFd(from), std::span(buffer.data(), buffer.size()));
    if (!n.ok()) return std::move(n).error().with("descriptor " + std::to_string(from));
    if (*n == 0) return {};
    RETURN_IF_ERROR(sys::write_all(to, std::string_view(buffer.data(), *n)));
  }
}

Status make_directory(const RootEntry& entry, const io::RootDir& root) {
  auto there = root.open_at(entry.path, O_PATH | O_DIRECTORY);
  if (there.ok()) return {};
  if (there.error().errno_value() != ENOENT) return std::move(there).error();
  ASSIGN_OR_RETURN(const auto parent, root.parent_of(entry.path));
  return sys::mkdirat(parent.dir, parent.name, entry.mode);
}

Status make_symlink(const RootEntry& entry, const io::RootDir& root) {
  ASSIGN_OR_RETURN(const auto parent, root.parent_of(entry.path));
  Status made = sys::symlinkat(entry.target, parent.dir, parent.name);
  if (made.ok() || made.error().errno_value() != EEXIST) return made;
  const auto there = sys::readlinkat(parent.dir, parent.name);
  if (there.ok() && *there == entry.target) return {};
  return made;
}

Status make_file(const RootEntry& entry, const io::RootDir& root) {
  ASSIGN_OR_RETURN(const auto parent, root.parent_of(entry.path));
  ASSIGN_OR_RETURN(const UniqueFd file,
                   sys::openat(parent.dir, parent.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, entry.mode));
  RETURN_IF_ERROR(copy_all(entry.fd, file));
  return sys::fchmod(file, entry.mode);
}

Status make_data(const RootEntry& entry, const io::RootDir& root) {
  ASSIGN_OR_RETURN(const ScratchMount scratch, ScratchMount::make());
  ASSIGN_OR_RETURN(const UniqueFd file,
                   sys::openat(scratch.top(), "data", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, entry.mode));
  RETURN_IF_ERROR(copy_all(entry.fd, file));
  RETURN_IF_ERROR(sys::fchmod(file, entry.mode));
  ASSIGN_OR_RETURN(const UniqueFd tree, sys::open_tree(file, "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
  if (entry.readonly) RETURN_IF_ERROR(set_mount_attributes(tree, MOUNT_ATTR_RDONLY, 0, false));
  ASSIGN_OR_RETURN(const UniqueFd target, root.make_file(entry.path));
  return sys::move_mount(tree, target);
}

Status change_mode(const RootEntry& entry, const io::RootDir& root) {
  ASSIGN_OR_RETURN(const UniqueFd there, root.open_at(entry.path, O_PATH));
  // A descriptor that only names a file takes no mode; its name in /proc is the file itself, not a path to it.
  return sys::fchmodat(sys::kCwd, fd_path(there), entry.mode);
}

Status make(const RootEntry& entry, const io::RootDir& root) {
  switch (entry.kind) {
    case RootEntry::Kind::kDirectory:
      return make_directory(entry, root);
    case RootEntry::Kind::kSymlink:
      return make_symlink(entry, root);
    case RootEntry::Kind::kFile:
      return make_file(entry, root);
    case RootEntry::Kind::kData:
      return make_data(entry, root);
    case RootEntry::Kind::kMode:
      break;
  }
  return change_mode(entry, root);
}

std::string name_of(const RootEntry& entry) {
  switch (entry.kind) {
    case RootEntry::Kind::kDirectory:
      return "make directory " + quoted(entry.path);
    case RootEntry::Kind::kSymlink:
      return "make symbolic link " + quoted(entry.path) + " to " + quoted(entry.target);
    case RootEntry::Kind::kFile:
      return "make file " + quoted(entry.path);
    case RootEntry::Kind::kData:
      return "bind data on " + quoted(entry.path);
    case RootEntry::Kind::kMode:
      break;
  }
  return "change the mode of " + quoted(entry.path);
}

}  // namespace

Status make_entry(const RootEntry& entry, const io::RootDir& root) {
  Status made = make(entry, root);
  if (made.ok()) return made;
  // The words of the call would repeat the name.
  if (const int e = made.error().errno_value(); e != 0 && made.error().hint().empty() && e != EBADF && e != EISDIR)
    return Error::from_errno(e, name_of(entry));
  return std::move(made).error().with(name_of(entry));
}

Result<ScratchMount> ScratchMount::make() {
  ASSIGN_OR_RETURN(const UniqueFd context, sys::fsopen("tmpfs"));
  RETURN_IF_ERROR(sys::fsconfig_string(context, "mode", "0755"));
  RETURN_IF_ERROR(sys::fsconfig_create(context));
  ASSIGN_OR_RETURN(UniqueFd top, sys::fsmount(context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  // Over the root of the namespace, where it hides nothing: paths begin at the process's root, which is below it.
  RETURN_IF_ERROR(cover_directory("/", top));
  return ScratchMount(std::move(top));
}

ScratchMount::~ScratchMount() {
  if (top_) (void)!sys::umount2(fd_path(top_), MNT_DETACH).ok();
}

Result<ScratchLayers> ScratchLayers::make() {
  ASSIGN_OR_RETURN(ScratchMount mount, ScratchMount::make());
  RETURN_IF_ERROR(sys::mkdirat(mount.top(), "upper", 0755));
  RETURN_IF_ERROR(sys::mkdirat(mount.top(), "work", 0755));
  return ScratchLayers(std::move(mount));
}

std::string ScratchLayers::path(const char* name) const {
  return fd_path(mount_.top()) + "/" + name;
}

void ScratchLayers::add_to(std::vector<std::string>& mount_options) const {
  mount_options.push_back("upperdir=" + path("upper"));
  mount_options.push_back("workdir=" + path("work"));
}

void ScratchLayers::add_to(std::vector<std::pair<std::string, std::string>>& options) const {
  options.emplace_back("upperdir", path("upper"));
  options.emplace_back("workdir", path("work"));
}

}  // namespace cooper::container
