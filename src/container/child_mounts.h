// Zone S: the mount steps. Targets are descriptors inside the root (io::RootDir), sources are descriptors or host paths
// of this mount namespace; no path below the root is ever handed to the kernel as text.
#pragma once

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "cgroup/cgroup.h"
#include "container/kernel_mounts.h"
#include "container/plan.h"
#include "io/root_dir.h"

namespace cooper::container {

// Attaches the root file system at root.path. `shared_peer` is set when the root shall stay in the peer group of the
// mount it comes from (rootfsPropagation shared): pivot_root refuses shared roots, so the root is private until
// pivot_root() below is done.
struct MountedRoot {
  io::RootDir root;
  UniqueFd shared_peer;
};
// Of a root that the parent has made (MountRoot::by_parent).
Result<MountedRoot> attach_root(BorrowedFd tree);
// `image`: the detached mount of root.image.
Result<MountedRoot> mount_root(const MountRoot& root, bool shared, BorrowedFd image);

// Parts of it, for the parent too. The file system as a detached mount; and a mount over a directory.
Result<UniqueFd> make_root_filesystem(const MountRoot& root);
Status cover_directory(const std::string& path, BorrowedFd mount);
inline constexpr unsigned kRootTreeFlags = OPEN_TREE_CLONE | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW;

struct MountEnvironment {
  const io::RootDir* root = nullptr;
  KernelMounts* kernel_mounts = nullptr;  // nullptr: nobody asks
  const cgroup::Layout* cgroup_layout = nullptr;
  std::string cgroup_path;
  bool private_cgroup_namespace = false;
  // cgroup_path is the caller's group in every hierarchy of v1 that has it, and these are mounted where the host's are.
  bool in_every_group = false;
  bool user_namespace = false;
  int source_fd = -1;  // bind source opened by the parent; -1: open it here
};
// The root of a procfs, not a part of one.
bool is_whole_proc(const struct statfs& fs, const struct stat& top);
// Refuses to cover a procfs, or anything in it, but a whole one with a whole one, which is `source_is_proc` (and files
// that resource views replace).
Status check_proc_target(const Mount& mount, BorrowedFd target, bool source_is_proc);
Status perform_mount(const Mount& mount, const MountEnvironment& environment);

// MS_SHARED|MS_REC ..., one after the other.
Status apply_propagation(BorrowedFd mount, const std::vector<std::uint64_t>& propagation);

// Maps the owners of a detached mount (kernel 5.12). Needs CAP_SYS_ADMIN over the file system's user namespace: the
// parent's work when the container has its own.
Status idmap_mount(BorrowedFd tree, const std::vector<oci::IdMapping>& uid, const std::vector<oci::IdMapping>& gid,
                   bool recursive);

// Where nodes and links are made. Neighbours have one directory, which is looked up once while nothing else is done to
// the tree.
class NodePlaces {
 public:
  struct Place {
    BorrowedFd dir;
    std::string name;
  };
  Result<Place> find(std::string_view path, const io::RootDir& root);
  void forget() { last_.reset(); }

 private:
  std::string directory_;
  UniqueFd last_;
};
Status create_device(const CreateDevice& device, const io::RootDir& root, NodePlaces& places);
Status create_symlink(const CreateSymlink& link, const io::RootDir& root, NodePlaces& places);
// The pty of the container: master returned, slave bound on /dev/console and made the controlling terminal on 0, 1, 2.
Result<UniqueFd> setup_console(const SetupConsole& console, const io::RootDir& root, bool bind_console);
// Leaves root as "/" with nothing of the old tree reachable.
// True: copies of the mounts have taken their places.
Result<bool> pivot_root(const PivotRoot& step, const io::RootDir& root, BorrowedFd shared_peer);
// Changes MOUNT_ATTR_* of an attached or detached mount; falls back to a remount on kernels before 5.12.
Status set_mount_attributes(BorrowedFd mount, std::uint64_t set, std::uint64_t clear, bool recursive);

// Bind of a path onto itself, read-only. Missing paths are fine.
Status make_readonly(const std::string& path, const io::RootDir& root);
// Masks share one /dev/null clone and one read-only tmpfs.
class Masker {
 public:
  // Opens the host's /dev/null before the root is switched; checked to be character device 1:3 (CVE-2025-31133).
  Status prepare();
  Status mask(const std::string& path, const io::RootDir& root);

 private:
  UniqueFd null_;
  bool null_attached_ = false;
  UniqueFd empty_directory_;
};

}  // namespace cooper::container
