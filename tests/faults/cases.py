"""Which faults are worth trying at which system call, and how they are named."""

import dataclasses
import errno
import functools
import pathlib
import re

HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h")

# They cannot fail, or what they answer is not looked at by design (close, munmap), or they are the end of the process.
NEVER = set(
    "exit exit_group getpid getppid gettid getuid geteuid getgid getegid umask close munmap rt_sigreturn restart_syscall "
    "clock_gettime gettimeofday time arch_prctl set_tid_address set_robust_list rseq brk alarm getpgrp sched_yield vfork "
    "rt_sigaction rt_sigprocmask sigaltstack getpgid getsid madvise futex sched_getaffinity times getrusage uname".split()
)
# Made by the C library before main(): their failure is its own business. Only the first after an exec counts as such.
BEFORE_MAIN = set("mprotect prlimit64 getrandom readlink readlinkat mmap".split())

MAKES_FD = set(
    "open openat openat2 creat pipe2 pipe dup dup2 dup3 socket socketpair accept accept4 epoll_create1 signalfd4 timerfd_create eventfd2 "
    "inotify_init1 memfd_create fsopen fsmount fspick open_tree pidfd_open pidfd_getfd clone3 recvmsg fcntl bpf seccomp userfaultfd".split()
)
BLOCKS = set(
    "read pread64 write pwrite64 writev sendfile copy_file_range open openat openat2 connect accept accept4 recvmsg recvfrom sendmsg "
    "sendto wait4 waitid poll ppoll select pselect6 epoll_wait epoll_pwait flock fcntl nanosleep clock_nanosleep fsync fallocate "
    "ftruncate getrandom semop mount clone3 clone".split()
)
FILLS = set(
    "write pwrite64 writev sendfile copy_file_range open openat openat2 mkdir mkdirat mknod mknodat symlink symlinkat link linkat rename "
    "renameat renameat2 ftruncate fallocate fsync bind mount unshare clone clone3 setns keyctl open_tree move_mount fsmount fsetxattr".split()
)
PRIVILEGED = set(
    "mount umount2 setns unshare clone clone3 fork pivot_root chroot chdir fchdir setuid setgid setreuid setregid setresuid setresgid "
    "setgroups setfsuid setfsgid capset capget prctl mknod mknodat mkdir mkdirat symlinkat unlink unlinkat rmdir rename renameat renameat2 "
    "sethostname setdomainname open openat openat2 write kill tkill tgkill pidfd_send_signal pidfd_getfd bpf seccomp keyctl "
    "sched_setattr sched_setscheduler sched_setaffinity setpriority ioprio_set prlimit64 setrlimit chown fchown fchownat chmod fchmod fchmodat "
    "fsopen fsconfig fsmount open_tree move_mount mount_setattr socket sendmsg sendto connect bind listen ioctl setsid setpgid personality execve "
    "execveat statx newfstatat fstat statfs readlinkat readlink getdents64 ptrace set_mempolicy fsetxattr lremovexattr memfd_create "
    "pidfd_open close_range name_to_handle_at perf_event_open userfaultfd".split()
)
NEWER = set(
    "openat2 clone3 close_range pidfd_open pidfd_send_signal pidfd_getfd fsopen fsconfig fsmount fspick open_tree move_mount mount_setattr "
    "statx faccessat2 memfd_create seccomp getrandom copy_file_range name_to_handle_at execveat renameat2 keyctl bpf epoll_pwait2 "
    "sched_setattr prlimit64".split()
)


@functools.lru_cache(maxsize=1)
def numbers():
    """{number: name} of this machine's system calls."""
    header = next(pathlib.Path(h) for h in HEADERS if pathlib.Path(h).exists())
    return {int(number): name for name, number in re.findall(r"^#define __NR_(\w+) (\d+)$", header.read_text(), re.M)}


def number_of(name):
    """The number of a system call."""
    return next(number for number, known in numbers().items() if known == name)


def errnos(name):
    """The errnos with which a call may plausibly fail, by name."""
    if name in NEVER:
        return []
    listed = []
    if name in NEWER:
        listed.append("ENOSYS")
    if name in PRIVILEGED:
        listed.append("EPERM")
    if name not in TAKES_NO_MEMORY:
        listed.append("ENOMEM")
    if name in FILLS:
        listed.append("ENOSPC")
    if name in BLOCKS:
        listed.append("EINTR")
    if name in MAKES_FD:
        listed.append("EMFILE")
    return listed


# What changes files or decides that they are on the disk.
CHANGES = set(
    "open openat openat2 mkdir mkdirat mknod mknodat symlink symlinkat link linkat rename renameat renameat2 unlink unlinkat rmdir write pwrite64 writev "
    "ftruncate fallocate chown fchown fchownat chmod fchmod fchmodat utimensat setxattr fsetxattr lsetxattr fsync fdatasync syncfs flock copy_file_range "
    "sync_file_range".split()
)
# The kernel has no way to say of these that memory is lacking.
TAKES_NO_MEMORY = set("epoll_wait epoll_pwait wait4 waitid".split())
READS = set("read pread64 getdents64 readlink readlinkat newfstatat fstat statx".split())


@dataclasses.dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. Its text form names it in reports and on the command line."""

    kind: str  # kill, fail or gone
    process: int
    call: str  # name of the system call
    index: int  # kill: the index among all calls of the process; fail: among its calls of this name
    error: str = ""

    def __str__(self):
        if self.kind == "kill":
            return f"kill:{self.process}.{self.index}:{self.call}"
        if self.kind == "gone":
            return f"gone:{self.call}:{self.error}"
        return f"fail:{self.process}.{self.call}.{self.index}:{self.error}"

    @staticmethod
    def parse(text):
        """The inverse of str()."""
        kind, place, last = text.split(":")
        if kind == "gone":
            return Fault("gone", 0, place, 0, last)
        parts = place.split(".")
        if kind == "kill":
            return Fault("kill", int(parts[0]), last, int(parts[1]))
        return Fault("fail", int(parts[0]), parts[1], int(parts[2]), last)

    def options(self):
        """The options of the injector."""
        if self.kind == "kill":
            return ["--kill", f"{self.process}:{self.index}"]
        code = getattr(errno, self.error)
        if self.kind == "gone":
            return ["--gone", f"{number_of(self.call)}:{code}"]
        return ["--fail", f"{self.process}:{number_of(self.call)}:{self.index}:{code}"]


def from_trace(calls, kinds=("kill", "fail", "gone")):
    """All faults for a traced run: calls is [(process, index, number)]."""
    kills, fails, gone, seen = [], [], {}, {}
    started = {}
    for process, index, number in calls:
        name = numbers().get(number, str(number))
        if name in ("execve", "execveat"):
            started = {}  # the runtime runs itself again, with a C library that starts again
        kills.append(Fault("kill", process, name, index))
        if name.isdigit():
            continue
        nth = seen[process, name] = seen.get((process, name), 0) + 1
        started[process, name] = started.get((process, name), 0) + 1
        if started[process, name] == 1 and name in BEFORE_MAIN:
            continue
        fails += [Fault("fail", process, name, nth, error) for error in errnos(name)]
        if (name in NEWER or name in PRIVILEGED) and name != "write":  # without write nobody could say what is wrong
            for error in ("ENOSYS", "EPERM"):
                gone[name, error] = Fault("gone", 0, name, 0, error)
    found = {"kill": kills, "fail": fails, "gone": list(gone.values())}
    return [fault for kind in kinds for fault in found[kind]]


def on_disk(calls, kinds=("kill", "fail")):
    """Faults of disks and of memory for a command that keeps files: kills where one is changed; failures of all calls, EIO among them."""
    kills = [fault for fault in from_trace(calls, ("kill",)) if fault.call in CHANGES]
    fails = [fault for fault in from_trace(calls, ("fail",)) if fault.error not in ("ENOSYS", "EPERM")]
    seen = {(fault.process, fault.call, fault.index): fault for fault in fails if fault.call in CHANGES | READS}
    fails += [dataclasses.replace(fault, error="EIO") for fault in seen.values()]
    found = {"kill": kills, "fail": fails}
    return [fault for kind in kinds for fault in found.get(kind, [])]


def spread(items, count):
    """count of the items, evenly spread (all of them when there are fewer)."""
    if count is None or count >= len(items):
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]
