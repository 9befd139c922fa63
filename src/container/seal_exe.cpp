#include "container/seal_exe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/strings.h"
#include "container/seal_marker.h"
#include "sys/file.h"
#include "sys/mount.h"

namespace cooper::container {
namespace {

constexpr char kSelf[] = "/proc/self/exe";
// Set for the second run only, so that a kernel on which the protection does not show cannot make us loop. Its value is
// the descriptor of the clone, which stays open: closing the last reference of a detached mount waits for an RCU grace
// period (50 us and more), so it is left to the end of the process, when nobody waits, or to the container's init,
// which has inherited it.
constexpr std::string_view kMarker = COOPER_SEALED_MARKER;
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

bool on_readonly_mount() {
  struct statfs info = {};
  return ::statfs(kSelf, &info) == 0 && (static_cast<unsigned long>(info.f_flags) & ST_RDONLY) != 0;
}

bool is_sealed_copy() {
  const auto self = sys::openat(sys::kCwd, kSelf, O_RDONLY);
  if (!self.ok()) return false;
  const int seals = ::fcntl(self->get(), F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals;
}

Result<UniqueFd> readonly_clone() {
  ASSIGN_OR_RETURN(UniqueFd tree, sys::open_tree(sys::kCwd, kSelf, OPEN_TREE_CLONE));
  RETURN_IF_ERROR(sys::mount_setattr(tree, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0));
  return tree;
}

Result<UniqueFd> sealed_copy() {
  ASSIGN_OR_RETURN(const UniqueFd self, sys::openat(sys::kCwd, kSelf, O_RDONLY));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(self));
  // MFD_EXEC (6.3) is wanted where memfds are not executable by default; older kernels know no such flag.
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
  auto copy = sys::memfd_create("coop", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  // COMPAT(kernel 6.3)
  if (!copy.ok() && copy.error().errno_value() == EINVAL)
    copy = sys::memfd_create("coop", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (!copy.ok()) return std::move(copy).error();
  off_t done = 0;
  while (done < info.st_size) {
    const ssize_t n = ::sendfile(copy->get(), self.get(), &done, static_cast<std::size_t>(info.st_size - done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno(errno, "copy the executable");
    if (n == 0) return Error(Errc::kSystem, "copy the executable: it became shorter");
  }
  if (::fcntl(copy->get(), F_ADD_SEALS, kSeals) != 0)
    return Error::from_errno(errno, "seal the copy of the executable");
  return copy;
}

// Calls that a container host's seccomp filter or a missing right may refuse; anything else is a real error.
bool may_fall_back(int errno_value) {
  return errno_value == ENOSYS || errno_value == EPERM || errno_value == EACCES || errno_value == EINVAL ||
         errno_value == EOPNOTSUPP;
}

Error run_again(BorrowedFd executable, char** argv) {
  // Not close-on-exec from here on. With a tiny descriptor limit it keeps its number and is closed by the exec.
  const int high = ::fcntl(executable.get(), F_DUPFD, kCooperSealedLowestFd);
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  std::string marker(kMarker);
  marker += std::to_string(high);
  environment.push_back(marker.data());
  environment.push_back(nullptr);
  (void)::syscall(SYS_execveat, executable.get(), "", argv, environment.data(), AT_EMPTY_PATH);
  const int saved = errno;
  if (high >= 0) (void)::close(high);
  return Error::from_errno(saved, "run the protected executable");
}

// True when this is the second run; removes the marker from the environment, which hooks and logs must not see.
bool take_marker() {
  bool found = false;
  char** out = environ;
  for (char** in = environ; *in != nullptr; ++in) {
    const std::string_view entry(*in);
    if (entry.starts_with(kMarker)) {
      found = true;
      const auto fd = parse_number<int>(entry.substr(kMarker.size()));
      if (fd && *fd >= kCooperSealedLowestFd) (void)::fcntl(*fd, F_SETFD, FD_CLOEXEC);
    } else {
      *out++ = *in;
    }
  }
  *out = nullptr;
  return found;
}

}  // namespace

Status seal_executable(char** argv) {
  const bool second_run = take_marker();
  if (on_readonly_mount() || (second_run && is_sealed_copy())) {
    // execveat names the process after the descriptor.
    if (second_run) (void)::prctl(PR_SET_NAME, ::program_invocation_short_name, 0, 0, 0);
    return {};
  }
  if (second_run)
    return Error(Errc::kUnsupported, "the runtime's executable cannot be protected from containers on this system");
  auto protected_exe = readonly_clone();
  if (protected_exe.ok()) {
    const Error failed = run_again(*protected_exe, argv);
    if (!may_fall_back(failed.errno_value())) return Error(failed.code(), failed.message(), failed.errno_value());
  } else if (!may_fall_back(protected_exe.error().errno_value())) {
    return std::move(protected_exe).error().with("protect the runtime's executable");
  }
  auto copy = sealed_copy();
  if (!copy.ok()) return std::move(copy).error().with("protect the runtime's executable");
  return run_again(*copy, argv);
}

}  // namespace cooper::container
