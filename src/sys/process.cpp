#include "sys/process.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "base/strings.h"
#include "sys/retry.h"

namespace cooper::sys {
namespace {

// /proc files are small: one read suffices, and no allocation happens for the buffer.
Result<std::string> read_proc(const std::string& path) {
  const UniqueFd fd(retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!fd) return Error::from_errno(errno, "open " + quoted(path));
  std::string out;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t n = retry([&] { return ::read(fd.get(), buffer.data(), buffer.size()); });
    if (n < 0) return Error::from_errno(errno, "read " + quoted(path));
    if (n == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

Result<Cloned> clone_with(std::uint64_t flags, std::uint64_t exit_signal, int cgroup_fd) {
  int pidfd = -1;
  struct clone_args args = {};
  args.flags = flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = exit_signal;
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup_fd);
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return Error::from_errno(errno, "clone process");
  if (pid == 0) return Cloned{};
  return Cloned{static_cast<pid_t>(pid), UniqueFd(pidfd)};
}

}  // namespace

Result<Cloned> clone3(std::uint64_t flags, int cgroup_fd) {
  return clone_with(flags, SIGCHLD, cgroup_fd);
}

Result<Cloned> clone3_sibling(std::uint64_t flags, int cgroup_fd) {
  // The exit signal is inherited with CLONE_PARENT and may not be given.
  return clone_with(flags | CLONE_PARENT, 0, cgroup_fd);
}

Result<pid_t> clone_sharing(int (*run)(void*), void* argument, std::span<std::byte> stack) {
  const int pid = ::clone(run, stack.data() + stack.size(), CLONE_VM | CLONE_FILES, argument);
  if (pid < 0) return Error::from_errno(errno, "clone helper");
  return pid;
}

Status wait_clone(pid_t pid) {
  if (retry([&] { return ::waitpid(pid, nullptr, __WALL); }) < 0)
    return Error::from_errno(errno, "wait for process " + std::to_string(pid));
  return {};
}

Result<UniqueFd> pidfd_open(pid_t pid) {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return Error::from_errno(errno, "open process " + std::to_string(pid));
  return UniqueFd(static_cast<int>(fd));
}

Status pidfd_send_signal(BorrowedFd pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) != 0) {
    return Error::from_errno(errno, "send signal " + std::to_string(signal));
  }
  return {};
}

Result<bool> pidfd_wait(BorrowedFd pidfd, int timeout_ms) {
  struct pollfd poll_fd = {pidfd.get(), POLLIN, 0};
  const int n = retry([&] { return ::poll(&poll_fd, 1, timeout_ms); });
  if (n < 0) return Error::from_errno(errno, "poll process");
  return n == 1;
}

Result<bool> pidfd_has_exited(BorrowedFd pidfd) {
  return pidfd_wait(pidfd, 0);
}

ExitStatus exit_status_from_wait(int wait_status) {
  ExitStatus out;
  if (WIFSIGNALED(wait_status)) {
    out.signal = WTERMSIG(wait_status);
    out.core_dumped = WCOREDUMP(wait_status);
  } else {
    out.code = WEXITSTATUS(wait_status);
  }
  return out;
}

Result<std::optional<ExitStatus>> pidfd_exit_status(BorrowedFd pidfd) {
  struct pidfd_info info = {};
  info.mask = PIDFD_INFO_EXIT;
  const int done = ::ioctl(pidfd.get(), PIDFD_GET_INFO, &info);
  const int saved = errno;
  if (done == 0 && (info.mask & PIDFD_INFO_EXIT) != 0) return std::optional(exit_status_from_wait(info.exit_code));
  // ENOTTY, EINVAL: an older kernel. ESRCH: reaped, and the kernel keeps nothing.
  if (done == 0 || saved == ENOTTY || saved == EINVAL || saved == ESRCH || saved == EREMOTE)
    return std::optional<ExitStatus>();
  return Error::from_errno(saved, "ask for the exit status of a process");
}

Result<ExitStatus> waitpid(pid_t pid) {
  int status = 0;
  if (retry([&] { return ::waitpid(pid, &status, 0); }) < 0)
    return Error::from_errno(errno, "wait for process " + std::to_string(pid));
  return exit_status_from_wait(status);
}

Result<std::optional<ExitStatus>> try_waitpid(pid_t pid) {
  int status = 0;
  const pid_t got = retry([&] { return ::waitpid(pid, &status, WNOHANG); });
  if (got < 0) return Error::from_errno(errno, "wait for process " + std::to_string(pid));
  if (got == 0) return std::optional<ExitStatus>();
  return std::optional(exit_status_from_wait(status));
}

Status unshare(int flags) {
  if (::unshare(flags) != 0) return Error::from_errno(errno, "unshare namespaces");
  return {};
}

Status setns(BorrowedFd fd, int nstype) {
  if (::setns(fd.get(), nstype) != 0) return Error::from_errno(errno, "join namespace");
  return {};
}

Status sethostname(std::string_view name) {
  if (::sethostname(name.data(), name.size()) != 0) return Error::from_errno(errno, "set host name");
  return {};
}

Status setdomainname(std::string_view name) {
  if (::setdomainname(name.data(), name.size()) != 0) return Error::from_errno(errno, "set domain name");
  return {};
}

Status prlimit(pid_t pid, int resource, const struct rlimit64& limit) {
  if (::prlimit64(pid, static_cast<__rlimit_resource>(resource), &limit, nullptr) != 0) {
    return Error::from_errno(errno, "set resource limit");
  }
  return {};
}

Result<struct rlimit64> get_rlimit(int resource) {
  struct rlimit64 out = {};
  if (::prlimit64(0, static_cast<__rlimit_resource>(resource), nullptr, &out) != 0) {
    return Error::from_errno(errno, "get resource limit");
  }
  return out;
}

Status close_range(unsigned first, unsigned last, unsigned flags) {
  if (::close_range(first, last, static_cast<int>(flags)) != 0)
    return Error::from_errno(errno, "close file descriptors");
  return {};
}

Result<int> thread_count() {
  // proc(5): one directory a thread, and the two links every directory has.
  struct stat tasks = {};
  if (::stat("/proc/self/task", &tasks) != 0) return Error::from_errno(errno, "count threads in /proc/self/task");
  if (tasks.st_nlink < 3) return Error(Errc::kInternal, "no thread in /proc/self/task");
  return static_cast<int>(tasks.st_nlink) - 2;
}

Result<ProcessStat> process_stat(pid_t pid) {
  ASSIGN_OR_RETURN(const std::string text, read_proc("/proc/" + std::to_string(pid) + "/stat"));
  return parse_process_stat(text);
}

Result<ProcessStat> parse_process_stat(std::string_view text) {
  // The command name is in parentheses and may itself contain any byte: fields start after the last ')'.
  const auto close = text.rfind(')');
  if (close == std::string_view::npos || close + 2 >= text.size())
    return Error(Errc::kInternal, "malformed process stat");
  const auto fields = split(trim(text.substr(close + 2)), ' ');
  if (fields.size() < 20) return Error(Errc::kInternal, "short process stat");
  ProcessStat out;
  out.state = fields[0].empty() ? '?' : fields[0][0];
  out.parent = parse_number<pid_t>(fields[1]).value_or(0);
  out.start_time = parse_number<std::uint64_t>(fields[19]).value_or(0);
  if (fields.size() > 49) out.wait_status = parse_number<int>(fields[49]).value_or(0);
  return out;
}

Result<std::uint64_t> process_start_time(pid_t pid) {
  ASSIGN_OR_RETURN(const ProcessStat stat, process_stat(pid));
  return stat.start_time;
}

}  // namespace cooper::sys
