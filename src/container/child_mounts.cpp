#include "container/child_mounts.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "container/child_entries.h"
#include "container/child_mount_parts.h"
#include "container/superblock.h"
#include "container/validate_rules.h"
#include "io/file.h"
#include "sys/file.h"
#include "sys/mount.h"

namespace cooper::container {
std::string fd_path(BorrowedFd fd) {
  return "/proc/self/fd/" + std::to_string(fd.get());
}

unsigned long flags_from_attributes(std::uint64_t set) {
  unsigned long flags = 0;
  if ((set & MOUNT_ATTR_RDONLY) != 0) flags |= MS_RDONLY;
  if ((set & MOUNT_ATTR_NOSUID) != 0) flags |= MS_NOSUID;
  if ((set & MOUNT_ATTR_NODEV) != 0) flags |= MS_NODEV;
  if ((set & MOUNT_ATTR_NOEXEC) != 0) flags |= MS_NOEXEC;
  if ((set & MOUNT_ATTR_NODIRATIME) != 0) flags |= MS_NODIRATIME;
  if ((set & MOUNT_ATTR_NOSYMFOLLOW) != 0) flags |= MS_NOSYMFOLLOW;
  switch (set & MOUNT_ATTR__ATIME) {
    case MOUNT_ATTR_NOATIME:
      flags |= MS_NOATIME;
      break;
    case MOUNT_ATTR_STRICTATIME:
      flags |= MS_STRICTATIME;
      break;
    default:
      flags |= MS_RELATIME;
      break;
  }
  return flags;
}

Status apply_propagation(BorrowedFd mount, const std::vector<std::uint64_t>& propagation) {
  for (const std::uint64_t flags : propagation) {
    const bool recursive = (flags & MS_REC) != 0;
    Status done = sys::mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U), 0, 0,
                                     flags & ~std::uint64_t{MS_REC});
    if (done.ok()) continue;
    if (done.error().errno_value() != ENOSYS) return done;
    // COMPAT(kernel 5.12)
    RETURN_IF_ERROR(sys::mount("none", fd_path(mount), "", static_cast<unsigned long>(flags), ""));
  }
  return {};
}

namespace {

std::string join_options(const std::vector<std::string>& data) {
  return join(data, ",");
}

// The flags a mount has now, as MS_ words: a remount must repeat what it does not want to change.
Result<unsigned long> current_flags(BorrowedFd mount) {
  struct statvfs info = {};
  if (::fstatvfs(mount.get(), &info) != 0) return Error::from_errno(errno, "statvfs");
  unsigned long flags = 0;
  if ((info.f_flag & ST_RDONLY) != 0) flags |= MS_RDONLY;
  if ((info.f_flag & ST_NOSUID) != 0) flags |= MS_NOSUID;
  if ((info.f_flag & ST_NODEV) != 0) flags |= MS_NODEV;
  if ((info.f_flag & ST_NOEXEC) != 0) flags |= MS_NOEXEC;
  if ((info.f_flag & ST_NOATIME) != 0) flags |= MS_NOATIME;
  if ((info.f_flag & ST_NODIRATIME) != 0) flags |= MS_NODIRATIME;
  if ((info.f_flag & ST_RELATIME) != 0) flags |= MS_RELATIME;
  return flags;
}

constexpr std::uint64_t kLockable = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

// The kernel's procfs and sysfs mounts are trusted later on, so their place may not be chosen by the image
// (CVE-2019-19921), nor by another container that shares the root and exchanges what has just been looked at.
Result<UniqueFd> open_trusted_target(const Mount& mount, const io::RootDir& root) {
  auto target = root.make_real_directory(mount.destination);
  if (target.ok() || target.error().errno_value() != ELOOP) return target;
  return Error(Errc::kPermission, quoted(mount.destination) + " in the root file system is a symbolic link; a " +
                                      mount.fstype + " mount there is refused");
}

bool is_trusted(const Mount& mount) {
  return mount.fstype == "proc" || mount.fstype == "sysfs";
}

}  // namespace

bool is_whole_proc(const struct statfs& fs, const struct stat& top) {
  constexpr ino_t kProcRoot = 1;  // PROC_ROOT_INO
  return fs.f_type == PROC_SUPER_MAGIC && top.st_ino == kProcRoot;
}

// Labels, sysctls and limits are read and written through the container's procfs by whoever joins later, so nothing may
// be put over it (CVE-2019-16884, CVE-2025-52881) but a whole real procfs over a whole one, and the files that resource
// views replace. Judged by what the descriptor is, not by the path's text: a link in the image may lead here.
Status check_proc_target(const Mount& mount, BorrowedFd target, bool source_is_proc) {
  std::string_view inside = mount.destination;
  while (inside.size() > 1 && inside.ends_with('/')) inside.remove_suffix(1);
  if (rules::is_replaceable_in_proc(inside)) return {};
  ASSIGN_OR_RETURN(const struct statfs info, sys::fstatfs(target));
  const bool over_proc = info.f_type == PROC_SUPER_MAGIC;
  if (!over_proc && inside != "/proc") return {};
  ASSIGN_OR_RETURN(const struct stat top, sys::fstat(target));
  if (source_is_proc && (!over_proc || is_whole_proc(info, top))) return {};
  return Error(Errc::kPermission, "mount on " + quoted(mount.destination) +
                                      ": only a whole proc file system may be mounted over /proc, and nothing in it");
}

namespace {

Result<UniqueFd> open_bind_source(const Mount& mount, const MountEnvironment& environment) {
  const unsigned flags = OPEN_TREE_CLONE | (mount.recursive ? AT_RECURSIVE : 0U);
  if (environment.source_fd >= 0) return sys::dup_cloexec(BorrowedFd(environment.source_fd));
  auto tree = sys::open_tree(sys::kCwd, mount.source, flags);
  if (!tree.ok()) return std::move(tree).error().with("bind source " + quoted(mount.source));
  return tree;
}

Result<UniqueFd> open_target(const Mount& mount, const io::RootDir& root, bool directory) {
  auto target = directory ? root.make_directories(mount.destination) : root.make_file(mount.destination);
  if (!target.ok()) return std::move(target).error().with("mount point " + quoted(mount.destination));
  return target;
}

}  // namespace

Status mount_bind(const Mount& mount, const MountEnvironment& environment) {
  ASSIGN_OR_RETURN(const UniqueFd tree, open_bind_source(mount, environment));
  if (mount.idmap && environment.source_fd < 0)
    RETURN_IF_ERROR(idmap_mount(tree, mount.uid_mappings, mount.gid_mappings, mount.idmap_recursive));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(tree));
  ASSIGN_OR_RETURN(const struct statfs source_fs, sys::fstatfs(tree));
  ASSIGN_OR_RETURN(const UniqueFd target, open_target(mount, *environment.root, S_ISDIR(info.st_mode)));
  RETURN_IF_ERROR(check_proc_target(mount, target, is_whole_proc(source_fs, info)));
  if (mount.attr_set != 0 || mount.attr_clear != 0)
    RETURN_IF_ERROR(set_mount_attributes(tree, mount.attr_set, mount.attr_clear, false));
  if (mount.rec_attr_set != 0 || mount.rec_attr_clear != 0) {
    RETURN_IF_ERROR(
        sys::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, mount.rec_attr_set, mount.rec_attr_clear));
  }
  RETURN_IF_ERROR(sys::move_mount(tree, target));
  if (environment.kernel_mounts != nullptr) RETURN_IF_ERROR(environment.kernel_mounts->note(mount.destination, tree));
  return apply_propagation(tree, mount.propagation);
}

namespace {

Status mount_remount(const Mount& mount, const MountEnvironment& environment) {
  const std::string what = "remount " + quoted(mount.destination);
  ASSIGN_OR_RETURN(const UniqueFd target, environment.root->open_at(mount.destination, O_PATH));
  Status done = set_mount_attributes(target, mount.attr_set, mount.attr_clear, mount.recursive);
  if (!done.ok() && done.error().errno_value() == EINVAL)
    return Error(Errc::kInvalidArgument, what + ": it is not a mount point", EINVAL);
  // Without "bind" it is the file system's too (mount(8)).
  if (done.ok() && mount.kind != MountKind::kBind) done = remount_superblock(target, mount);
  if (done.ok()) return done;
  return std::move(done).error().with(what);
}

// Copies what the image has at the mount point into the new tmpfs (tmpcopyup): one level at a time over descriptors.
Status copy_tree(BorrowedFd from, BorrowedFd to, int depth);

Status copy_entry(BorrowedFd from, BorrowedFd to, const std::string& name, int depth) {
  ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(from, name));
  if (S_ISDIR(info.st_mode)) {
    RETURN_IF_ERROR(sys::mkdirat(to, name, 0700));
    ASSIGN_OR_RETURN(const UniqueFd from_dir, sys::openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    ASSIGN_OR_RETURN(const UniqueFd to_dir, sys::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    RETURN_IF_ERROR(copy_tree(from_dir, to_dir, depth + 1));
    RETURN_IF_ERROR(sys::fchown(to_dir, info.st_uid, info.st_gid));
    return sys::fchmod(to_dir, info.st_mode & 07777);
  }
  if (S_ISLNK(info.st_mode)) {
    ASSIGN_OR_RETURN(const std::string target, sys::readlinkat(from, name));
    RETURN_IF_ERROR(sys::symlinkat(target, to, name));
    return sys::fchownat(to, name, info.st_uid, info.st_gid);
  }
  if (!S_ISREG(info.st_mode)) {
    RETURN_IF_ERROR(sys::mknodat(to, name, info.st_mode, info.st_rdev));
    return sys::fchownat(to, name, info.st_uid, info.st_gid);
  }
  ASSIGN_OR_RETURN(const UniqueFd in, sys::openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  ASSIGN_OR_RETURN(const UniqueFd out, sys::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  std::string buffer(std::size_t{128} << 10, '\0');
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t n, sys::read(in, std::span(buffer.data(), buffer.size())));
    if (n == 0) break;
    RETURN_IF_ERROR(sys::write_all(out, std::string_view(buffer.data(), n)));
  }
  RETURN_IF_ERROR(sys::fchown(out, info.st_uid, info.st_gid));
  return sys::fchmod(out, info.st_mode & 07777);
}

Status copy_tree(BorrowedFd from, BorrowedFd to, int depth) {
  if (depth > 128) return Error(Errc::kLimit, "directories are nested too deeply to copy");
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(from));
  for (const std::string& name : names) {
    if (Status copied = copy_entry(from, to, name, depth); !copied.ok())
      return std::move(copied).error().with("copy up " + quoted(name));
  }
  return {};
}

std::vector<std::string> filesystem_data(const Mount& mount, const io::RootDir& root) {
  std::vector<std::string> data = mount.data;
  const auto is_mode = [](const std::string& option) { return option.starts_with("mode="); };
  if (mount.fstype != "tmpfs" || std::ranges::any_of(data, is_mode)) return data;
  // A tmpfs takes over the mode of the directory it covers (libcontainer).
  const auto covered = root.stat_at(mount.destination);
  if (!covered.ok() || !S_ISDIR(covered->st_mode)) return data;
  char text[24];
  (void)std::snprintf(text, sizeof text, "mode=%o", static_cast<unsigned>(covered->st_mode & 07777));
  data.emplace_back(text);
  return data;
}

// Owners can be mapped only of a mount that nobody has seen yet: a copy takes the place of the one just made.
Status idmap_in_place(const Mount& mount, const MountEnvironment& environment, BorrowedFd target) {
  ASSIGN_OR_RETURN(const UniqueFd top, environment.root->open_at(mount.destination, O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(const UniqueFd tree, sys::open_tree(top, "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
  Status mapped = idmap_mount(tree, mount.uid_mappings, mount.gid_mappings, mount.idmap_recursive);
  if (!mapped.ok()) return std::move(mapped).error().with("mount " + mount.fstype + " on " + quoted(mount.destination));
  RETURN_IF_ERROR(sys::umount2(fd_path(top), MNT_DETACH));
  return sys::move_mount(tree, target);
}

// What has just been mounted, for what a mount call cannot say.
Result<UniqueFd> open_mounted(const Mount& mount, const io::RootDir& root) {
  ASSIGN_OR_RETURN(UniqueFd top, root.open_at(mount.destination, O_PATH | O_DIRECTORY));
  if (!is_trusted(mount)) return top;
  ASSIGN_OR_RETURN(const struct statfs info, sys::fstatfs(top));
  if (info.f_type == (mount.fstype == "proc" ? PROC_SUPER_MAGIC : SYSFS_MAGIC)) return top;
  return exchanged(mount.destination);
}

// The host's, with all that is mounted in it.
Status show_hosts(const std::string& path, const Mount& mount, std::uint64_t more, BorrowedFd target) {
  ASSIGN_OR_RETURN(const UniqueFd tree, sys::open_tree(sys::kCwd, path, OPEN_TREE_CLONE | AT_RECURSIVE));
  RETURN_IF_ERROR(set_mount_attributes(tree, mount.attr_set | more, 0, true));
  return sys::move_mount(tree, target);
}

// The kernel makes no new proc for a user namespace where the one in sight is partly covered, as it is in a container.
// It is of use as it is when it shows the processes that are to be seen.
Status proc_in_a_container(const Mount& mount, BorrowedFd target) {
  const auto self = sys::readlinkat(sys::kCwd, "/proc/self");
  if (self.ok() && *self == std::to_string(::getpid())) return show_hosts("/proc", mount, 0, target);
  return Error(Errc::kPermission,
               "mount proc on " + quoted(mount.destination) +
                   ": the kernel refuses a new proc in a user namespace because parts of the proc in sight are covered",
               EPERM)
      .with_hint(
          "run the outer container with nothing masked in /proc (podman: --security-opt unmask=ALL), or leave out "
          "the pid namespace");
}

Status mount_new_filesystem(const Mount& mount, const MountEnvironment& environment) {
  const io::RootDir& root = *environment.root;
  // Before the mount point is made, where it is missing.
  std::vector<std::string> words = filesystem_data(mount, root);
  std::optional<ScratchLayers> layers;
  if (mount.scratch_layers) {
    ASSIGN_OR_RETURN(ScratchLayers made, ScratchLayers::make());
    made.add_to(words);
    layers.emplace(std::move(made));
  }
  const std::string data = join_options(words);
  ASSIGN_OR_RETURN(const UniqueFd target,
                   is_trusted(mount) ? open_trusted_target(mount, root) : open_target(mount, root, true));
  RETURN_IF_ERROR(check_proc_target(mount, target, mount.fstype == "proc"));
  const unsigned long flags =
      flags_from_attributes(mount.attr_set) | static_cast<unsigned long>(mount.superblock_flags);
  // A copied-up tmpfs is filled first and made read-only after.
  const unsigned long first = mount.copy_up ? flags & ~static_cast<unsigned long>(MS_RDONLY) : flags;
  const std::string source = mount.source.empty() ? mount.fstype : mount.source;
  Status mounted = sys::mount(source, fd_path(target), mount.fstype, first, data);
  if (!mounted.ok() && mounted.error().errno_value() == EPERM && environment.user_namespace) {
    // The network namespace belongs to another user namespace: only the host's sysfs can be shown, read-only.
    if (mount.fstype == "sysfs") return show_hosts("/sys", mount, MOUNT_ATTR_RDONLY, target);
    if (mount.fstype == "proc") return proc_in_a_container(mount, target);
  }
  if (!mounted.ok()) {
    const int e = mounted.error().errno_value();
    return Error::from_errno(e, "mount " + mount.fstype + " on " + quoted(mount.destination) +
                                    (data.empty() ? "" : " with options " + quoted(data)));
  }
  if (mount.idmap) RETURN_IF_ERROR(idmap_in_place(mount, environment, target));
  if (mount.propagation.empty() && !mount.copy_up && mount.rec_attr_set == 0 && mount.rec_attr_clear == 0) return {};
  ASSIGN_OR_RETURN(const UniqueFd mounted_fd, open_mounted(mount, root));
  if (mount.copy_up) {
    ASSIGN_OR_RETURN(const UniqueFd from, sys::openat(target, ".", O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(const UniqueFd to, sys::openat(mounted_fd, ".", O_RDONLY | O_DIRECTORY));
    RETURN_IF_ERROR(copy_tree(from, to, 0));
    if ((flags & MS_RDONLY) != 0) RETURN_IF_ERROR(set_mount_attributes(mounted_fd, MOUNT_ATTR_RDONLY, 0, false));
  }
  if (mount.rec_attr_set != 0 || mount.rec_attr_clear != 0) {
    RETURN_IF_ERROR(
        sys::mount_setattr(mounted_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, mount.rec_attr_set, mount.rec_attr_clear));
  }
  return apply_propagation(mounted_fd, mount.propagation);
}

}  // namespace

Status mount_filesystem(const Mount& mount, const MountEnvironment& environment) {
  RETURN_IF_ERROR(mount_new_filesystem(mount, environment));
  if (environment.kernel_mounts == nullptr) return {};
  if (!is_trusted(mount)) {
    environment.kernel_mounts->forget(mount.destination);
    return {};
  }
  ASSIGN_OR_RETURN(const UniqueFd top, open_mounted(mount, *environment.root));
  return environment.kernel_mounts->note(mount.destination, top);
}

namespace {

// The mount that holds `path`: what is attached below a shared mount would show on the host too.
Status make_parent_private(const std::string& path) {
  for (std::string at = path; !at.empty(); at.resize(at.rfind('/') == std::string::npos ? 0 : at.rfind('/'))) {
    Status made = sys::mount("", at, "", MS_PRIVATE, "");
    if (made.ok() || made.error().errno_value() != EINVAL) return made;  // EINVAL: not a mount point
  }
  return sys::mount("", "/", "", MS_PRIVATE, "");
}

}  // namespace

Status set_mount_attributes(BorrowedFd mount, std::uint64_t set, std::uint64_t clear, bool recursive) {
  Status done = sys::mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U), set, clear);
  if (done.ok()) return done;
  const int e = done.error().errno_value();
  if (e == EPERM && (clear & kLockable) != 0) {
    // Flags locked by a user namespace cannot be cleared; keeping them is stricter, never weaker (runc#1229).
    return sys::mount_setattr(mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U), set, clear & ~kLockable);
  }
  if (e != ENOSYS || recursive) return done;
  // COMPAT(kernel 5.12): remove when 5.12 is the floor.
  ASSIGN_OR_RETURN(unsigned long flags, current_flags(mount));
  flags &= ~flags_from_attributes(clear & ~std::uint64_t{MOUNT_ATTR__ATIME});
  flags |= flags_from_attributes(set);
  return sys::mount("none", fd_path(mount), "", flags | MS_REMOUNT | MS_BIND, "");
}

Status cover_directory(const std::string& path, BorrowedFd mount) {
  ASSIGN_OR_RETURN(const UniqueFd place, sys::openat(sys::kCwd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  return sys::move_mount(mount, place);
}

Result<UniqueFd> make_root_filesystem(const MountRoot& root) {
  ASSIGN_OR_RETURN(const UniqueFd context, sys::fsopen(root.fstype));
  for (const auto& [key, value] : root.options) {
    RETURN_IF_ERROR(value.empty() ? sys::fsconfig_flag(context, key) : sys::fsconfig_string(context, key, value));
  }
  for (const std::string& flag : root.wishes) {
    // Setting it is the cheapest question: a context made only to ask waits for an RCU grace period when it is closed.
    Status taken = sys::fsconfig_flag(context, flag);
    if (!taken.ok() && taken.error().errno_value() != EINVAL) return std::move(taken).error();
  }
  RETURN_IF_ERROR(sys::fsconfig_create(context));
  return sys::fsmount(context, static_cast<std::uint32_t>(root.attributes));
}

Result<MountedRoot> attach_root(BorrowedFd tree) {
  // Whatever the host's directories are like, this one is there and in reach; what is looked up by a path from here on
  // is still found below.
  RETURN_IF_ERROR(cover_directory("/", tree));
  ASSIGN_OR_RETURN(UniqueFd root, sys::dup_cloexec(tree));
  return MountedRoot{io::RootDir::adopt(std::move(root)), UniqueFd()};
}

Result<MountedRoot> mount_root(const MountRoot& root, bool shared, BorrowedFd image) {
  UniqueFd tree;
  UniqueFd peer;
  if (root.image) RETURN_IF_ERROR(cover_directory(root.image->path, image));
  if (root.fstype.empty()) {
    ASSIGN_OR_RETURN(tree, sys::open_tree(sys::kCwd, root.path, kRootTreeFlags));
    if (shared) {
      peer = std::move(tree);
      ASSIGN_OR_RETURN(tree, sys::open_tree(sys::kCwd, root.path, kRootTreeFlags));
      RETURN_IF_ERROR(sys::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, 0, 0, MS_PRIVATE));
      RETURN_IF_ERROR(make_parent_private(root.path));
    }
    if (root.attributes != 0) RETURN_IF_ERROR(set_mount_attributes(tree, root.attributes, 0, false));
  } else if (root.scratch_layers) {
    ASSIGN_OR_RETURN(const ScratchLayers layers, ScratchLayers::make());
    MountRoot with_layers = root;
    layers.add_to(with_layers.options);
    ASSIGN_OR_RETURN(tree, make_root_filesystem(with_layers));
  } else {
    ASSIGN_OR_RETURN(tree, make_root_filesystem(root));
  }
  RETURN_IF_ERROR(cover_directory(root.path, tree));
  return MountedRoot{io::RootDir::adopt(std::move(tree)), std::move(peer)};
}

Status perform_mount(const Mount& mount, const MountEnvironment& environment) {
  Status done;
  if (mount.remount) {
    done = mount_remount(mount, environment);
  } else if (mount.kind == MountKind::kBind) {
    done = mount_bind(mount, environment);
  } else if (mount.kind == MountKind::kCgroup) {
    done = mount_cgroup(mount, environment);
  } else {
    done = mount_filesystem(mount, environment);
  }
  if (done.ok()) return done;
  if (mount.kind == MountKind::kFilesystem || mount.remount) return done;
  return std::move(done).error().with("mount " + quoted(mount.source) + " on " + quoted(mount.destination));
}

Result<NodePlaces::Place> NodePlaces::find(std::string_view path, const io::RootDir& root) {
  const std::size_t slash = path.rfind('/');
  const std::string_view directory = path.substr(0, slash == std::string_view::npos ? 0 : slash + 1);
  const std::string_view name = path.substr(directory.size());
  const bool plain = !name.empty() && name != "." && name != "..";
  if (!plain || !last_ || directory != directory_) {
    ASSIGN_OR_RETURN(auto parent, root.parent_of(path));
    directory_ = directory;
    last_ = std::move(parent.dir);
    return Place{last_, std::move(parent.name)};
  }
  return Place{last_, std::string(name)};
}

// What the host calls the device, "" when it does not know it: DEVNAME of its uevent.
std::string host_name(const CreateDevice& device) {
  const std::string number = std::to_string(device.major) + ":" + std::to_string(device.minor);
  const auto text =
      io::read_file("/sys/dev/" + std::string(S_ISBLK(device.mode) ? "block/" : "char/") + number + "/uevent");
  if (!text.ok()) return {};
  for (const std::string_view line : split(*text, '\n')) {
    if (line.starts_with("DEVNAME=")) return "/dev/" + std::string(line.substr(8));
  }
  return {};
}

// The node as a detached mount; nothing when that path is not the device.
Result<std::optional<UniqueFd>> bind_node(const std::string& path, const CreateDevice& device) {
  const auto node = sys::openat(sys::kCwd, path, O_PATH);
  if (!node.ok()) return std::optional<UniqueFd>();
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*node));
  if ((info.st_mode & S_IFMT) != (device.mode & S_IFMT) || info.st_rdev != makedev(device.major, device.minor))
    return std::optional<UniqueFd>();
  ASSIGN_OR_RETURN(UniqueFd tree, sys::open_tree(*node, "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
  return std::optional(std::move(tree));
}

// The host's node of that kind and number: that of the same path, or the one that the host has for the device. User
// namespaces can make none.
Result<UniqueFd> bind_device(const CreateDevice& device) {
  ASSIGN_OR_RETURN(auto tree, bind_node(device.path, device));
  if (!tree) {
    ASSIGN_OR_RETURN(tree, bind_node(host_name(device), device));
  }
  if (tree) return std::move(*tree);
  return Error(Errc::kNotFound, "the host has no node of " + std::string(S_ISBLK(device.mode) ? "block" : "character") +
                                    " device " + std::to_string(device.major) + ":" + std::to_string(device.minor) +
                                    " to bind, and a user namespace can make none");
}

// What a node is bound on: the image's own, which is not opened (some act when they are, others have no device), or a
// new file.
Result<UniqueFd> cover(BorrowedFd directory, const std::string& name) {
  auto place = sys::openat(directory, name, O_PATH | O_NOFOLLOW);
  if (!place.ok()) {
    if (place.error().errno_value() != ENOENT) return place;
    return sys::openat(directory, name, O_CREAT | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0666);
  }
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*place));
  if (S_ISLNK(info.st_mode)) return Error::from_errno(ELOOP, "bind on " + quoted(name));
  if (S_ISDIR(info.st_mode)) return Error::from_errno(EISDIR, "bind on " + quoted(name));
  return place;
}

Status create_device(const CreateDevice& device, const io::RootDir& root, NodePlaces& places) {
  ASSIGN_OR_RETURN(const auto parent, places.find(device.path, root));
  if (device.bind) {
    auto tree = bind_device(device);
    if (!tree.ok()) return std::move(tree).error().with("device " + quoted(device.path));
    auto place = cover(parent.dir, parent.name);
    if (!place.ok()) return std::move(place).error().with("device " + quoted(device.path));
    ASSIGN_OR_RETURN(const struct statfs info, sys::fstatfs(*place));
    if (info.f_type == PROC_SUPER_MAGIC)
      return Error(Errc::kPermission, "device " + quoted(device.path) + " would be mounted over a file of /proc");
    return sys::move_mount(*tree, *place);
  }
  const dev_t number = makedev(device.major, device.minor);
  Status made = sys::mknodat(parent.dir, parent.name, device.mode, number);
  if (!made.ok()) {
    if (made.error().errno_value() != EEXIST) return std::move(made).error().with("device " + quoted(device.path));
    ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(parent.dir, parent.name));
    if ((info.st_mode & S_IFMT) != (device.mode & S_IFMT) || (!S_ISFIFO(info.st_mode) && info.st_rdev != number)) {
      return Error(Errc::kAlreadyExists,
                   "device " + quoted(device.path) + " exists in the root file system and is something else");
    }
    return {};
  }
  if (device.uid != 0 || device.gid != 0) return sys::fchownat(parent.dir, parent.name, device.uid, device.gid);
  return {};
}

Status create_symlink(const CreateSymlink& link, const io::RootDir& root, NodePlaces& places) {
  ASSIGN_OR_RETURN(const auto parent, places.find(link.path, root));
  Status made = sys::symlinkat(link.target, parent.dir, parent.name);
  if (!made.ok() && made.error().errno_value() == EEXIST) return {};
  return made;
}

Status Masker::prepare() {
  ASSIGN_OR_RETURN(null_, sys::openat(sys::kCwd, "/dev/null", O_PATH | O_NOFOLLOW));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(null_));
  if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3)) {
    return Error(Errc::kPermission, "'/dev/null' of the host is not the null device");
  }
  ASSIGN_OR_RETURN(null_, sys::open_tree(null_, "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
  // It is the host's own node: nobody inside may change its mode, owner or times. Reading and writing go on. Nor may
  // what is mounted over it inside show on the host's.
  constexpr std::uint64_t kAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  Status done = sys::mount_setattr(null_, "", AT_EMPTY_PATH, kAttributes, 0, MS_PRIVATE);
  if (done.ok() || done.error().errno_value() != ENOSYS) return done;
  RETURN_IF_ERROR(set_mount_attributes(null_, kAttributes, 0, false));
  return apply_propagation(null_, {MS_PRIVATE});
}

Status Masker::mask(const std::string& path, const io::RootDir& root) {
  auto target = root.open_at(path, O_PATH);
  if (!target.ok()) {
    const int e = target.error().errno_value();
    if (e == ENOENT || e == ENOTDIR) return {};
    return std::move(target).error().with("mask");
  }
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*target));
  if (!S_ISDIR(info.st_mode)) {
    // The first one is moved, the others are clones of it: before kernel 6.15 a detached tree cannot be cloned
    // (EINVAL).
    if (!null_attached_) {
      RETURN_IF_ERROR(sys::move_mount(null_, *target));
      null_attached_ = true;
      return {};
    }
    ASSIGN_OR_RETURN(const UniqueFd clone, sys::open_tree(null_, "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
    return sys::move_mount(clone, *target);
  }
  if (!empty_directory_) {
    ASSIGN_OR_RETURN(const UniqueFd context, sys::fsopen("tmpfs"));
    RETURN_IF_ERROR(sys::fsconfig_string(context, "nr_blocks", "1"));
    RETURN_IF_ERROR(sys::fsconfig_string(context, "nr_inodes", "1"));
    RETURN_IF_ERROR(sys::fsconfig_string(context, "mode", "0555"));
    RETURN_IF_ERROR(sys::fsconfig_flag(context, "ro"));
    RETURN_IF_ERROR(sys::fsconfig_create(context));
    ASSIGN_OR_RETURN(empty_directory_, sys::fsmount(context, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                                                 MOUNT_ATTR_NOEXEC));
    RETURN_IF_ERROR(sys::move_mount(empty_directory_, *target));
    return {};
  }
  ASSIGN_OR_RETURN(const UniqueFd clone, sys::open_tree(empty_directory_, "", OPEN_TREE_CLONE | AT_EMPTY_PATH));
  return sys::move_mount(clone, *target);
}

Status make_readonly(const std::string& path, const io::RootDir& root) {
  auto target = root.open_at(path, O_PATH);
  if (!target.ok()) {
    const int e = target.error().errno_value();
    if (e == ENOENT || e == ENOTDIR) return {};
    return std::move(target).error().with("make read-only");
  }
  ASSIGN_OR_RETURN(const UniqueFd tree, sys::open_tree(*target, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | AT_RECURSIVE));
  RETURN_IF_ERROR(set_mount_attributes(tree, MOUNT_ATTR_RDONLY, 0, false));
  return sys::move_mount(tree, *target);
}

}  // namespace cooper::container
