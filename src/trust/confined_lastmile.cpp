#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "seccomp/seccomp.h"
#include "trust/internal/confined_lastmile.h"

namespace cooper::trust {
namespace {

// "nobody" and "nogroup" of every distribution.
constexpr unsigned kNobody = 65534;
constexpr unsigned long kMaxDescriptors = 32;

[[noreturn]] void fail(const ConfinedStart& start, int saved) {
  (void)!::write(start.report, &saved, sizeof saved);
  ::_exit(127);
}

void limit(const ConfinedStart& start, unsigned resource, unsigned long value) {
  const struct rlimit64 both = {value, value};
  if (::syscall(SYS_prlimit64, 0, resource, &both, nullptr) != 0) fail(start, errno);
}

// Root of a user namespace that has no such user is the user outside who made it: its capabilities go, and groups that
// it may not give up are that user's (see confine::drop_root()). glibc's functions would tell other threads, of which a
// clone has none.
void become_nobody(const ConfinedStart& start) {
  const bool narrow = ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0;
  if (narrow && errno != EINVAL) fail(start, errno);
  if (::syscall(SYS_setgroups, 0, nullptr) != 0 && !(narrow && errno == EPERM)) fail(start, errno);
  if (::syscall(SYS_setresuid, kNobody, kNobody, kNobody) == 0) return;
  if (errno != EINVAL) fail(start, errno);
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const struct __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) fail(start, errno);
}

}  // namespace

void start_confined(const ConfinedStart& start) {
  for (int i = 0; i < start.descriptor_count; ++i) {
    if (::dup2(start.descriptors[i], i) < 0) fail(start, errno);
  }
  // Those of whoever has started cooper, too. The report and the ruleset are needed until the exec.
  if (::syscall(SYS_close_range, start.descriptor_count, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail(start, errno);
  sigset_t none;
  (void)::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
  // Away from the terminal: its signals are for cooper, which ends it.
  if (::setsid() < 0) fail(start, errno);
  limit(start, RLIMIT_CORE, 0);
  limit(start, RLIMIT_FSIZE, 0);
  limit(start, RLIMIT_NOFILE, kMaxDescriptors);
  limit(start, RLIMIT_CPU, start.cpu_s);
  limit(start, RLIMIT_AS, start.memory_bytes);
  if (start.drop_root) become_nobody(start);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail(start, errno);
  if (start.landlock >= 0 && ::syscall(SYS_landlock_restrict_self, start.landlock, 0) != 0) fail(start, errno);
  if (const int loaded = seccomp::load(start.filter, start.filter_count, start.filter_flags); loaded < 0)
    fail(start, -loaded);
  ::execve(start.program, start.args, start.env);
  fail(start, errno);
}

}  // namespace cooper::trust
