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

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/strings.h"
#include "container/seal_marker.h"
#include "container/validate_rules.h"
#include "sys/file.h"
#include "sys/mount.h"

int cooper_executable_clone = -1;

namespace cooper::container {
namespace {

constexpr char kSelf[] = "/proc/self/exe";
// Set for the second run only, so that a kernel on which the protection does not show cannot make us loop. Its value is
// the descriptor of the clone, which stays open: closing the last reference of a detached mount waits for an RCU grace
// period (50 us and more).
constexpr std::string_view kMarker = COOPER_SEALED_MARKER;
constexpr int kNothingKept = -1;
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// The descriptor of the clone for a second run, kNothingKept for one from a copy; nothing for a first run.
std::optional<int> second_run;
// Of the first call, for seal_executable_copy().
char** program_arguments = nullptr;
int kept_clone = kNothingKept;

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

// Returns only when the program could not be run.
Error run_again(BorrowedFd executable, char** argv, int kept) {
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  std::string marker(kMarker);
  marker += std::to_string(kept);
  environment.push_back(marker.data());
  environment.push_back(nullptr);
  (void)::syscall(SYS_execveat, executable.get(), "", argv, environment.data(), AT_EMPTY_PATH);
  return Error::from_errno(errno, "run the protected executable");
}

Error run_from_copy(char** argv) {
  auto copy = sealed_copy();
  return copy.ok() ? run_again(*copy, argv, kNothingKept) : std::move(copy).error();
}

Error run_from_clone(char** argv) {
  auto clone = readonly_clone();
  if (!clone.ok()) return std::move(clone).error();
  // Not close-on-exec from here on. A tiny descriptor limit (EINVAL) leaves no room for it.
  const UniqueFd kept(::fcntl(clone->get(), F_DUPFD, kCooperSealedLowestFd));
  if (!kept) return Error::from_errno(errno, "keep the clone of the executable's mount");
  return run_again(*clone, argv, kept.get());
}

// As second_run. Removes the marker from the environment.
std::optional<int> take_marker() {
  std::optional<int> found;
  char** out = environ;
  for (char** in = environ; *in != nullptr; ++in) {
    const std::string_view entry(*in);
    if (entry.starts_with(kMarker)) {
      const auto fd = parse_number<int>(entry.substr(kMarker.size()));
      found = fd && *fd >= kCooperSealedLowestFd ? *fd : kNothingKept;
    } else {
      *out++ = *in;
    }
  }
  *out = nullptr;
  return found;
}

// Nothing of the program is to be mapped from the clone any more.
Status run_from(int clone) {
  kept_clone = clone;
  return sys::mount_setattr(BorrowedFd(clone), "", AT_EMPTY_PATH, MOUNT_ATTR_NOEXEC, 0);
}

Status finish_second_run(int kept) {
  // execveat names the process after the descriptor.
  (void)::prctl(PR_SET_NAME, ::program_invocation_short_name, 0, 0, 0);
  if (kept != kNothingKept && on_readonly_mount()) return run_from(kept);
  if (is_sealed_copy()) return {};
  return Error(Errc::kUnsupported, "the runtime's executable cannot be protected from containers on this system");
}

bool has_sys_ptrace(const std::vector<std::string>& capabilities) {
  return std::ranges::find(capabilities, "CAP_SYS_PTRACE") != capabilities.end();
}

}  // namespace

void note_second_run() {
  second_run = take_marker();
  if (second_run && *second_run != kNothingKept) (void)::fcntl(*second_run, F_SETFD, FD_CLOEXEC);
}

Status seal_executable(char** argv) {
  program_arguments = argv;
  if (cooper_executable_clone >= 0) return run_from(cooper_executable_clone);
  if (second_run) return finish_second_run(*second_run);
  Error failed = run_from_clone(argv);
  if (may_fall_back(failed.errno_value())) {
    if (on_readonly_mount()) return {};
    failed = run_from_copy(argv);
  }
  return std::move(failed).with("protect the runtime's executable");
}

int sealed_clone() {
  return kept_clone;
}

void let_go_of_executable() {
  if (kept_clone == kNothingKept) return;
  (void)::close(kept_clone);
  kept_clone = kNothingKept;
}

bool may_open_executables(const oci::Config& config) {
  const oci::Namespace* pid = rules::find_namespace(config, "pid");
  const bool has_neighbours = pid != nullptr && !pid->path.empty() && rules::find_namespace(config, "user") == nullptr;
  return has_neighbours || grants_tracing(config);
}

bool grants_tracing(const oci::Config& config) {
  if (rules::find_namespace(config, "user") != nullptr || !config.process || !config.process->capabilities)
    return false;
  const oci::Capabilities& sets = *config.process->capabilities;
  return has_sys_ptrace(sets.bounding) || has_sys_ptrace(sets.permitted);
}

Status seal_executable_copy() {
  if (program_arguments == nullptr || is_sealed_copy()) return {};
  Error failed = run_from_copy(program_arguments);
  // vm.memfd_noexec=2. The clone goes on to keep the file from being written.
  if (may_fall_back(failed.errno_value()) && on_readonly_mount()) return {};
  return std::move(failed).with("protect the runtime's executable");
}

}  // namespace cooper::container
