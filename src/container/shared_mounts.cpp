#include "container/shared_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/strings.h"
#include "container/validate_rules.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace cooper::container {
namespace {

// Id of the mount that the path is on; 0 and errno when it cannot be told.
std::uint64_t mount_id(const char* path) {
  struct statx info = {};
  if (::statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &info) != 0) return 0;
  if ((info.stx_mask & STATX_MNT_ID) != 0) return info.stx_mnt_id;
  errno = EOPNOTSUPP;  // before kernel 5.8
  return 0;
}

struct Answer {
  int error = 0;
  std::uint64_t value = 0;
};

// Asks (undo == nullptr) or undoes, in the namespace the caller is in.
Answer act(const std::string& rootfs, const SharedMounts* undo) {
  const std::uint64_t now = mount_id(rootfs.c_str());
  if (now == 0) return {errno, 0};
  if (undo == nullptr || now == undo->before) return {0, now};
  if (::umount2(rootfs.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL) return {errno, now};
  return {0, now};
}

// In another mount namespace: by a child, because there is no way back for who has changed directories on the way.
Result<Answer> act_in(const std::string& path, const std::string& rootfs, const SharedMounts* undo) {
  ASSIGN_OR_RETURN(const UniqueFd target, sys::openat(sys::kCwd, path, O_RDONLY));
  ASSIGN_OR_RETURN(auto pair, sys::socketpair(SOCK_SEQPACKET));
  ASSIGN_OR_RETURN(const sys::Cloned helper, sys::clone3(0));
  if (helper.pid == 0) {
    Answer answer;
    if (const Status entered = sys::setns(target, CLONE_NEWNS); !entered.ok()) {
      answer.error = entered.error().errno_value();
    } else {
      answer = act(rootfs, undo);
    }
    (void)!sys::send_message(pair.second, {reinterpret_cast<const char*>(&answer), sizeof answer}).ok();
    ::_exit(0);
  }
  pair.second.reset();
  const auto message = sys::recv_message(pair.first, sizeof(Answer));
  (void)!sys::waitpid(helper.pid).ok();
  if (!message.ok() || message->data.size() != sizeof(Answer))
    return Error(Errc::kSystem, "lost the helper in mount namespace " + quoted(path));
  Answer answer;
  std::memcpy(&answer, message->data.data(), sizeof answer);
  return answer;
}

Result<std::uint64_t> ask_or_undo(const std::string& path, const std::string& rootfs, const SharedMounts* undo) {
  Answer answer;
  if (path.empty()) {
    answer = act(rootfs, undo);
  } else {
    ASSIGN_OR_RETURN(answer, act_in(path, rootfs, undo));
  }
  if (answer.error == 0) return answer.value;
  return Error::from_errno(answer.error, std::string(undo != nullptr ? "unmount" : "find the mount of") +
                                             " root file system " + quoted(rootfs));
}

}  // namespace

Result<SharedMounts> look_at_shared_mounts(const oci::Config& config, const std::string& rootfs) {
  SharedMounts out;
  const oci::Namespace* ns = rules::find_namespace(config, "mount");
  out.shared = ns == nullptr || !ns->path.empty();
  if (!out.shared) return out;
  out.path = ns == nullptr ? "" : ns->path;
  out.rootfs = rootfs;
  ASSIGN_OR_RETURN(out.before, ask_or_undo(out.path, rootfs, nullptr));
  return out;
}

Status undo_shared_mounts(const SharedMounts& mounts) {
  if (!mounts.shared) return {};
  const auto done = ask_or_undo(mounts.path, mounts.rootfs, &mounts);
  if (done.ok() || done.error().errno_value() == ENOENT) return {};
  return Error(done.error().code(), done.error().message(), done.error().errno_value());
}

}  // namespace cooper::container
