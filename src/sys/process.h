// Processes, namespaces, pidfds, signals, limits.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "sys/missing.h"

namespace cooper::sys {

struct Cloned {
  pid_t pid = 0;   // 0 in the child
  UniqueFd pidfd;  // parent only; close-on-exec
};
// clone3 without CLONE_VM: the child is a copy of the caller and continues at the same place (kernel 5.3;
// CLONE_INTO_CGROUP 5.7). The caller must be single-threaded (asserted by the room that clones). exit_signal is
// SIGCHLD. cgroup_fd < 0: no CLONE_INTO_CGROUP.
Result<Cloned> clone3(std::uint64_t flags, int cgroup_fd = -1);
// clone3 with CLONE_PARENT: the new process is a child of the caller's parent, which is told about its end by SIGCHLD
// as for its own.
Result<Cloned> clone3_sibling(std::uint64_t flags, int cgroup_fd = -1);
// A helper that shares memory, descriptors and nothing else with the caller and runs beside it: run(argument) on the
// given stack, which must outlive it. `run` may make async-signal-safe calls only (zone X). No signal tells of its end;
// wait_clone() collects it.
Result<pid_t> clone_sharing(int (*run)(void*), void* argument, std::span<std::byte> stack);
// Blocks until a child of any kind ended and reaps it.
Status wait_clone(pid_t pid);
Result<UniqueFd> pidfd_open(pid_t pid);
// ESRCH means the process has been reaped.
Status pidfd_send_signal(BorrowedFd pidfd, int signal);
// True when the process behind the pidfd has ended (zombie or reaped); never blocks.
Result<bool> pidfd_has_exited(BorrowedFd pidfd);
// Waits until it ended. timeout_ms < 0: for ever. Returns false on timeout.
Result<bool> pidfd_wait(BorrowedFd pidfd, int timeout_ms);

struct ExitStatus {
  int code = 0;    // exit code, meaningful when signal == 0
  int signal = 0;  // terminating signal, or 0
  bool core_dumped = false;
  // What a shell shows: code, or 128 + signal.
  int shell_code() const { return signal != 0 ? 128 + signal : code; }
};
ExitStatus exit_status_from_wait(int wait_status);
// How a process ended that need not be a child of ours. The kernel keeps it for open pidfds once the process was reaped
// (6.15); nullopt before that, and on older kernels.
Result<std::optional<ExitStatus>> pidfd_exit_status(BorrowedFd pidfd);
// Blocks until the child `pid` ended and reaps it.
Result<ExitStatus> waitpid(pid_t pid);
// Reaps the child if it ended; nullopt when still running.
Result<std::optional<ExitStatus>> try_waitpid(pid_t pid);

Status unshare(int flags);
Status setns(BorrowedFd fd, int nstype);
Status sethostname(std::string_view name);
Status setdomainname(std::string_view name);
Status prlimit(pid_t pid, int resource, const struct rlimit64& limit);
Result<struct rlimit64> get_rlimit(int resource);
Status close_range(unsigned first, unsigned last, unsigned flags);
// Number of threads of this process, from /proc/self/status.
Result<int> thread_count();
// Field 22 of /proc/PID/stat (clock ticks since boot), which together with the pid names a process for good.
Result<std::uint64_t> process_start_time(pid_t pid);
// One letter of /proc/PID/stat: R S D Z T ...; Errc::kNotFound when there is no such process.
struct ProcessStat {
  char state = '?';
  pid_t parent = 0;
  std::uint64_t start_time = 0;
  // Of a zombie ('Z'), as wait(2) will give it. The kernel shows 0 to whoever may not trace the process.
  int wait_status = 0;
};
Result<ProcessStat> process_stat(pid_t pid);
// The text of such a file. Exposed for tests.
Result<ProcessStat> parse_process_stat(std::string_view text);

}  // namespace cooper::sys
