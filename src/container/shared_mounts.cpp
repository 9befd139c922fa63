#include "container/shared_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/strings.h"
#include "container/open_namespace.h"
#include "container/validate_rules.h"
#include "io/file.h"
#include "io/mountinfo.h"
#include "log/log.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace cooper::container {
namespace {

constexpr int kMaxCovers = 64;  // mounts stacked on the root by others

struct Place {
  std::uint64_t id = 0;  // of the mount
  std::uint64_t inode = 0;
};

// An errno.
int look(const std::string& path, Place& out) {
  struct statx info = {};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_MNT_ID | STATX_INO, &info) != 0) return errno;
  if ((info.stx_mask & STATX_MNT_ID) == 0) return EOPNOTSUPP;  // before kernel 5.8
  out = {info.stx_mnt_id, info.stx_ino};
  return 0;
}

int unmount(const std::string& path) {
  return ::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 ? 0 : errno;
}

// Lies on the mount, or on one that does, at the place of the mount itself.
bool covers(const std::vector<io::MountLine>& lines, std::uint64_t id, const io::MountLine& mount) {
  for (std::size_t steps = 0; steps <= lines.size(); ++steps) {
    const auto line = std::find_if(lines.begin(), lines.end(), [&](const io::MountLine& l) { return l.id == id; });
    if (line == lines.end() || line->point != mount.point) return false;
    if (line->id == mount.id) return true;
    id = line->parent;
  }
  return false;
}

// The directory may have been moved, and the mount covered by others, which lie on it and go with it. What covers a
// directory above it is somebody else's: it stays in the way.
int undo_noted(const SharedMounts& mounts, BorrowedFd self) {
  for (int round = 0; round < kMaxCovers; ++round) {
    const auto table = io::read_file(self, "mountinfo");
    if (!table.ok()) return table.error().errno_value();
    const std::vector<io::MountLine> lines = io::parse_mount_lines(*table);
    const auto line =
        std::find_if(lines.begin(), lines.end(), [&](const io::MountLine& l) { return l.id == mounts.id; });
    if (line == lines.end()) return 0;
    Place now;
    if (const int failed = look(line->point, now); failed != 0) return failed == ENOENT ? EBUSY : failed;
    // Numbers are given anew.
    if (now.id == mounts.id && now.inode != mounts.inode) return 0;
    if (!covers(lines, now.id, *line)) return EBUSY;
    if (const int failed = unmount(line->point); failed != 0) return failed;
  }
  return EBUSY;
}

struct Answer {
  int error = 0;
  Place place;
};

// Asks (undo == nullptr) or undoes, in the namespace the caller is in. `self`: the caller's own directory of /proc.
Answer act(const std::string& rootfs, const SharedMounts* undo, BorrowedFd self) {
  Answer out;
  if (undo != nullptr && undo->id != 0) {
    out.error = undo_noted(*undo, self);
    return out;
  }
  out.error = look(rootfs, out.place);
  if (undo == nullptr || out.error != 0 || out.place.id == undo->before) return out;
  if (const int failed = unmount(rootfs); failed != EINVAL) out.error = failed;
  return out;
}

Result<UniqueFd> own_proc() {
  return sys::openat(sys::kCwd, "/proc/self", O_PATH | O_DIRECTORY);
}

// In another mount namespace: by a child, because there is no way back for who has changed directories on the way.
Result<Answer> act_in(BorrowedFd target, const std::string& rootfs, const SharedMounts* undo) {
  ASSIGN_OR_RETURN(auto pair, sys::socketpair(SOCK_SEQPACKET));
  ASSIGN_OR_RETURN(const sys::Cloned helper, sys::clone3(0));
  if (helper.pid == 0) {
    Answer answer;
    const auto self = own_proc();
    if (!self.ok()) {
      answer.error = self.error().errno_value();
    } else if (const Status entered = sys::setns(target, CLONE_NEWNS); !entered.ok()) {
      answer.error = entered.error().errno_value();
    } else {
      answer = act(rootfs, undo, *self);
    }
    (void)!sys::send_message(pair.second, {reinterpret_cast<const char*>(&answer), sizeof answer}).ok();
    ::_exit(0);
  }
  pair.second.reset();
  const auto message = sys::recv_message(pair.first, sizeof(Answer));
  (void)!sys::waitpid(helper.pid).ok();
  if (!message.ok() || message->data.size() != sizeof(Answer))
    return Error(Errc::kSystem, "lost the helper in the mount namespace of root file system " + quoted(rootfs));
  Answer answer;
  std::memcpy(&answer, message->data.data(), sizeof answer);
  return answer;
}

// `target`: not valid for the caller's own namespace.
Result<Place> ask_or_undo(BorrowedFd target, const std::string& rootfs, const SharedMounts* undo) {
  Answer answer;
  if (!target.valid()) {
    ASSIGN_OR_RETURN(const UniqueFd self, own_proc());
    answer = act(rootfs, undo, self);
  } else {
    ASSIGN_OR_RETURN(answer, act_in(target, rootfs, undo));
  }
  if (answer.error == 0) return answer.place;
  return Error::from_errno(answer.error, std::string(undo != nullptr ? "unmount" : "find the mount of") +
                                             " root file system " + quoted(rootfs));
}

// 0: there is none.
std::uint64_t inode_of(const std::string& path) {
  const auto info = sys::fstatat(sys::kCwd, path, 0);
  return info.ok() ? info->st_ino : 0;
}

// The namespace of the mounts; not valid for the caller's own. Errc::kNotFound when it has ended, as far as can be
// seen.
Result<UniqueFd> find_namespace(const SharedMounts& mounts) {
  if (mounts.space == 0)
    return mounts.path.empty() ? Result<UniqueFd>(UniqueFd()) : sys::openat(sys::kCwd, mounts.path, O_RDONLY);
  if (inode_of("/proc/self/ns/mnt") == mounts.space) return UniqueFd();
  std::vector<std::string> places = {mounts.path};
  ASSIGN_OR_RETURN(const UniqueFd proc, sys::openat(sys::kCwd, "/proc", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, sys::list_directory(proc));
  for (const std::string& name : names) {
    if (parse_number<pid_t>(name)) places.push_back("/proc/" + name + "/ns/mnt");
  }
  for (const std::string& place : places) {
    if (place.empty() || inode_of(place) != mounts.space) continue;
    auto fd = sys::openat(sys::kCwd, place, O_RDONLY);
    if (!fd.ok()) continue;  // ended meanwhile
    const auto info = sys::fstat(*fd);
    if (info.ok() && info->st_ino == mounts.space) return fd;
  }
  return Error(Errc::kNotFound, "the mount namespace of root file system " + quoted(mounts.rootfs) + " has ended",
               ENOENT);
}

}  // namespace

Result<SharedMounts> look_at_shared_mounts(const oci::Config& config, const std::string& rootfs) {
  SharedMounts out;
  const oci::Namespace* ns = rules::find_namespace(config, "mount");
  out.shared = ns == nullptr || !ns->path.empty();
  if (!out.shared) return out;
  out.path = ns == nullptr ? "" : ns->path;
  out.rootfs = rootfs;
  UniqueFd target;
  if (!out.path.empty()) {
    ASSIGN_OR_RETURN(target, open_namespace("mount", out.path));
  }
  out.space = inode_of(out.path.empty() ? "/proc/self/ns/mnt" : out.path);
  ASSIGN_OR_RETURN(const Place place, ask_or_undo(target, rootfs, nullptr));
  out.before = place.id;
  return out;
}

void note_shared_mount(SharedMounts& mounts) {
  if (!mounts.shared) return;
  const auto target = find_namespace(mounts);
  if (!target.ok()) return;
  const auto place = ask_or_undo(*target, mounts.rootfs, nullptr);
  if (!place.ok() || place->id == mounts.before) return;
  mounts.id = place->id;
  mounts.inode = place->inode;
}

Status undo_shared_mounts(const SharedMounts& mounts) {
  if (!mounts.shared) return {};
  const auto target = find_namespace(mounts);
  if (!target.ok()) {
    log::debug("nothing to unmount: " + target.error().message());
    return {};
  }
  const auto done = ask_or_undo(*target, mounts.rootfs, &mounts);
  if (done.ok() || done.error().errno_value() == ENOENT) return {};
  return Error(done.error().code(), done.error().message(), done.error().errno_value());
}

}  // namespace cooper::container
