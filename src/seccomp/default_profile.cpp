// The default profile, as data: what any program may call, what a capability adds, and what is refused in words
// programs understand.
#include <algorithm>
#include <array>
#include <cerrno>
#include <initializer_list>

#include "seccomp/internal/tables.h"
#include "seccomp/seccomp.h"

namespace cooper::seccomp {
namespace {

using Names = std::initializer_list<const char*>;

constexpr const char* kAllow = "SCMP_ACT_ALLOW";
constexpr const char* kErrno = "SCMP_ACT_ERRNO";

// Calls that act on the caller's own files, memory, processes and sockets, or that the kernel guards by capabilities
// well enough.
constexpr Names kFiles = {
    "_llseek",
    "access",
    "chdir",
    "chmod",
    "chown",
    "chown32",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fadvise64_64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchown32",
    "fchownat",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "futimesat",
    "getcwd",
    "getdents",
    "getdents64",
    "getxattr",
    "getxattrat",
    "ioctl",
    "lchown",
    "lchown32",
    "lgetxattr",
    "link",
    "linkat",
    "listxattr",
    "listxattrat",
    "llistxattr",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "lstat64",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "name_to_handle_at",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readdir",
    "readlink",
    "readlinkat",
    "readv",
    "removexattr",
    "removexattrat",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "sendfile64",
    "setxattr",
    "setxattrat",
    "splice",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "tee",
    "truncate",
    "truncate64",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimensat_time64",
    "utimes",
    "write",
    "writev",
};
constexpr Names kMounts = {"fsconfig",   "fsmount",   "fsopen",     "fspick", "mount",  "mount_setattr",
                           "move_mount", "open_tree", "pivot_root", "umount", "umount2"};
constexpr Names kWaiting = {
    "_newselect",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_ctl_old",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "epoll_wait_old",
    "eventfd",
    "eventfd2",
    "fanotify_mark",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "io_cancel",
    "io_destroy",
    "io_getevents",
    "io_setup",
    "io_submit",
    "pause",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "ppoll_time64",
    "pselect6",
    "pselect6_time64",
    "select",
    "signalfd",
    "signalfd4",
};
constexpr Names kMemory = {
    "brk",
    "cachestat",
    "get_mempolicy",
    "madvise",
    "map_shadow_stack",
    "mbind",
    "membarrier",
    "memfd_create",
    "memfd_secret",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mmap2",
    "mprotect",
    "mremap",
    "mseal",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "remap_file_pages",
    "set_mempolicy",
};
constexpr Names kProcesses = {
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "futex",
    "futex_requeue",
    "futex_time64",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "get_robust_list",
    "get_thread_area",
    "getcpu",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "ioprio_get",
    "ioprio_set",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "prlimit64",
    "process_mrelease",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_rr_get_interval_time64",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "seccomp",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "setpgid",
    "setpriority",
    "setrlimit",
    "setsid",
    "sigaction",
    "sigaltstack",
    "signal",
    "sigpending",
    "sigprocmask",
    "sigreturn",
    "sigsuspend",
    "syscall",
    "tgkill",
    "tkill",
    "ugetrlimit",
    "vfork",
    "wait4",
    "waitid",
    "waitpid",
};
constexpr Names kIdentity = {
    "capget",      "capset",    "getegid",     "getegid32",   "geteuid",     "geteuid32",  "getgid",
    "getgid32",    "getgroups", "getgroups32", "getresgid",   "getresgid32", "getresuid",  "getresuid32",
    "getuid",      "getuid32",  "keyctl",      "setfsgid",    "setfsgid32",  "setfsuid",   "setfsuid32",
    "setgid",      "setgid32",  "setgroups",   "setgroups32", "setregid",    "setregid32", "setresgid",
    "setresgid32", "setresuid", "setresuid32", "setreuid",    "setreuid32",  "setuid",     "setuid32",
};
constexpr Names kSystem = {"getrandom", "reboot", "sysinfo", "syslog", "uname"};
constexpr Names kTime = {
    "adjtimex",
    "alarm",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "getitimer",
    "gettimeofday",
    "nanosleep",
    "setitimer",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_gettime64",
    "timer_settime",
    "timer_settime64",
    "timerfd",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_gettime64",
    "timerfd_settime",
    "timerfd_settime64",
    "times",
};
constexpr Names kMessages = {
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "ipc",
    "listen",
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedreceive_time64",
    "mq_timedsend",
    "mq_timedsend_time64",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmmsg_time64",
    "recvmsg",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "semtimedop_time64",
    "send",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    "shutdown",
    "socketcall",
    "socketpair",
};
constexpr Names kX86Only = {"arch_prctl", "modify_ldt"};
constexpr Names kArmOnly = {"arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush",
                            "set_tls",          "sync_file_range2"};

// Calls a capability opens; refused like any other without it.
struct Privileged {
  const char* capability;
  Names names;
};
constexpr Privileged kPrivileged[] = {
    {"CAP_DAC_READ_SEARCH", {"open_by_handle_at"}},
    {"CAP_SYS_ADMIN",
     {"bpf", "clone", "clone3", "fanotify_init", "lookup_dcookie", "perf_event_open", "quotactl", "setdomainname",
      "sethostname", "setns", "unshare"}},
    {"CAP_SYS_CHROOT", {"chroot"}},
    {"CAP_SYS_MODULE", {"delete_module", "finit_module", "init_module", "query_module"}},
    {"CAP_SYS_PACCT", {"acct"}},
    {"CAP_SYS_PTRACE", {"kcmp", "process_madvise"}},
    {"CAP_SYS_RAWIO", {"ioperm", "iopl"}},
    {"CAP_SYS_TIME", {"clock_settime", "clock_settime64", "settimeofday", "stime"}},
    {"CAP_SYS_TTY_CONFIG", {"vhangup"}},
};

// Not granted, but tried by libraries that have another way and take it only when the call seems not to exist.
constexpr Names kSaidToBeMissing = {
    "file_getattr",      "file_setattr",   "io_uring_enter",    "io_uring_register",
    "io_uring_setup",    "listmount",      "lsm_get_self_attr", "lsm_list_modules",
    "lsm_set_self_attr", "open_tree_attr", "quotactl_fd",       "set_mempolicy_home_node",
    "statmount",
};

// personality(2): Linux and its 32-bit form, with and without the old kernel's version string, and the question.
constexpr std::array<std::uint64_t, 5> kPersonalities{0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

// CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}; for unshare also NEWTIME, whose bit is part of the exit signal in clone.
constexpr std::uint64_t kNamespaceFlags = 0x7e020000, kUnshareFlags = kNamespaceFlags | 0x80;
constexpr std::uint64_t kNetlinkFamily = 16, kAuditProtocol = 9;

class Builder {
 public:
  explicit Builder(oci::Seccomp& out) : out_(out) {}
  void rule(Names names, const char* action, std::vector<oci::SeccompArg> args = {},
            std::optional<std::uint32_t> errno_ret = {}) {
    oci::SeccompSyscall entry{.names = {}, .action = action, .errno_ret = errno_ret, .args = std::move(args)};
    entry.names.assign(names.begin(), names.end());
    out_.syscalls.push_back(std::move(entry));
  }

 private:
  oci::Seccomp& out_;
};

oci::SeccompArg argument(std::uint32_t index, const char* op, std::uint64_t value, std::uint64_t two = 0) {
  return {.index = index, .value = value, .value_two = two, .op = op};
}

// Without CAP_AUDIT_WRITE a netlink audit socket does not exist (programs then log elsewhere); everything else may be
// opened.
void add_sockets(Builder& out, bool audit) {
  if (audit) {
    out.rule({"socket"}, kAllow);
    return;
  }
  // A rule without conditions would be the only one.
  out.rule({"socket"}, kErrno, {argument(0, "SCMP_CMP_EQ", kNetlinkFamily), argument(2, "SCMP_CMP_EQ", kAuditProtocol)},
           EINVAL);
  out.rule({"socket"}, kAllow, {argument(2, "SCMP_CMP_NE", kAuditProtocol)});
  out.rule({"socket"}, kAllow, {argument(0, "SCMP_CMP_NE", kNetlinkFamily)});
}

// New namespaces would give a process capabilities over code of the kernel it has none for now.
void add_namespaces(Builder& out) {
  out.rule({"clone"}, kAllow, {argument(0, "SCMP_CMP_MASKED_EQ", kNamespaceFlags, 0)});
  out.rule({"unshare"}, kAllow, {argument(0, "SCMP_CMP_MASKED_EQ", kUnshareFlags, 0)});
  // Its flags lie in memory, out of a filter's sight; the C library falls back to clone.
  out.rule({"clone3"}, kErrno, {}, ENOSYS);
}

}  // namespace

oci::Seccomp default_profile(const std::vector<std::string>& capabilities) {
  const auto has = [&](std::string_view name) {
    return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
  };
  oci::Seccomp out;
  out.default_action = kErrno;
  out.default_errno_ret = EPERM;
  const bool x86 = native_arch() != Arch::kAarch64 && native_arch() != Arch::kArm;
  if (x86) {
    out.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  } else {
    out.architectures = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
  }
  Builder builder(out);
  for (const Names& names : {kFiles, kMounts, kWaiting, kMemory, kProcesses, kIdentity, kSystem, kTime, kMessages,
                             x86 ? kX86Only : kArmOnly}) {
    builder.rule(names, kAllow);
  }
  for (const std::uint64_t value : kPersonalities)
    builder.rule({"personality"}, kAllow, {argument(0, "SCMP_CMP_EQ", value)});
  for (const Privileged& group : kPrivileged) {
    if (has(group.capability)) builder.rule(group.names, kAllow);
  }
  if (!has("CAP_SYS_ADMIN")) add_namespaces(builder);
  add_sockets(builder, has("CAP_AUDIT_WRITE"));
  builder.rule(kSaidToBeMissing, kErrno, {}, ENOSYS);
  return out;
}

}  // namespace cooper::seccomp
