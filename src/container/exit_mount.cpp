#include "container/exit_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "sys/file.h"
#include "sys/mount.h"

namespace cooper::container {
namespace {

Error cannot_keep(Error error) {
  const int e = error.errno_value();
  const std::string what = "--keep-exit-status: the init's pidfd cannot be mounted";
  if (e == EINVAL || e == ENOSYS)
    return Error(Errc::kUnsupported, what + ": this kernel does not do that", e)
        .with_hint("it takes kernel 6.15; a 'coop wait' that is started before the end keeps the status as well");
  if (e == EPERM)
    return Error(Errc::kPermission, what + " without CAP_SYS_ADMIN on the host", e)
        .with_hint("a 'coop wait' that is started before the end keeps the status as well");
  return std::move(error).with(what);
}

}  // namespace

Status keep_exit_status(const StatePaths& paths, BorrowedFd pidfd) {
  const std::string path = paths.exit_mount();
  ASSIGN_OR_RETURN(const UniqueFd place,
                   sys::openat(sys::kCwd, path, O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0600));
  ScopeExit undo([&] { (void)::unlink(path.c_str()); });
  const auto tree = sys::open_tree(pidfd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
  if (!tree.ok()) return cannot_keep(Error(tree.error().code(), tree.error().message(), tree.error().errno_value()));
  Status moved = sys::move_mount(*tree, place);
  if (!moved.ok()) return cannot_keep(std::move(moved).error());
  undo.dismiss();
  return {};
}

std::optional<sys::ExitStatus> kept_exit_status(const StatePaths& paths) {
  const auto pidfd = sys::openat(sys::kCwd, paths.exit_mount(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!pidfd.ok()) return std::nullopt;
  const auto status = sys::pidfd_exit_status(*pidfd);
  return status.ok() ? *status : std::nullopt;
}

Status remove_kept_exit_status(const StatePaths& paths) {
  const std::string path = paths.exit_mount();
  if (::unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENAMETOOLONG) return {};
  if (errno != EBUSY) return Error::from_errno(errno, "remove " + quoted(path));
  if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
    return Error::from_errno(errno, "unmount " + quoted(path));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Error::from_errno(errno, "remove " + quoted(path));
  return {};
}

}  // namespace cooper::container
