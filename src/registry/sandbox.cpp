#include "registry/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "base/fd.h"
#include "io/landlock.h"
#include "seccomp/seccomp.h"
#include "spec/oci_runtime/types.h"
#include "sys/cred.h"

namespace cooper::registry {
namespace {

// What the resolver, TLS and the dynamic loader (which loads name services late) read.
constexpr std::array<const char*, 21> kReadable = {"/etc/resolv.conf",
                                                   "/etc/hosts",
                                                   "/etc/host.conf",
                                                   "/etc/nsswitch.conf",
                                                   "/etc/gai.conf",
                                                   "/etc/services",
                                                   "/etc/protocols",
                                                   "/etc/localtime",
                                                   "/etc/ssl",
                                                   "/etc/pki",
                                                   "/etc/ca-certificates",
                                                   "/usr/share/ca-certificates",
                                                   "/usr/local/share/ca-certificates",
                                                   "/etc/ld.so.cache",
                                                   "/lib",
                                                   "/lib64",
                                                   "/usr/lib",
                                                   "/usr/lib64",
                                                   "/usr/share/zoneinfo",
                                                   "/run/systemd/resolve",
                                                   "/dev/urandom"};

Status restrict_files(Purpose purpose) {
  io::Readable allowed{.read = {}};
  if (purpose == Purpose::kTransfer) allowed = {.read = kReadable, .connect = true};
  ASSIGN_OR_RETURN(const auto ruleset, io::reading_only(allowed));
  // The kernel lacks it: the system call filter refuses to open for writing all the same.
  if (!ruleset) return {};
  if (::syscall(SYS_landlock_restrict_self, ruleset->get(), 0) == 0) return {};
  const int saved = errno;
  return Error::from_errno(saved, "restrict the files by landlock");
}

constexpr const char* kAllow = "SCMP_ACT_ALLOW";

std::vector<std::string> always_allowed() {
  return {"read",
          "write",
          "readv",
          "writev",
          "pread64",
          "lseek",
          "close",
          "fcntl",
          "ioctl",
          "fstat",
          "stat",
          "lstat",
          "newfstatat",
          "statx",
          "access",
          "faccessat",
          "faccessat2",
          "readlink",
          "readlinkat",
          "getdents64",
          "mmap",
          "munmap",
          "mremap",
          "mprotect",
          "madvise",
          "brk",
          "futex",
          "rseq",
          "set_robust_list",
          "get_robust_list",
          "membarrier",
          "sched_yield",
          "sched_getaffinity",
          "rt_sigaction",
          "rt_sigprocmask",
          "rt_sigreturn",
          "sigaltstack",
          "tgkill",
          "exit",
          "exit_group",
          "restart_syscall",
          "nanosleep",
          "clock_nanosleep",
          "clock_gettime",
          "clock_getres",
          "gettimeofday",
          "time",
          "getrandom",
          "getpid",
          "gettid",
          "getuid",
          "geteuid",
          "getgid",
          "getegid",
          "getcwd",
          "uname",
          "sysinfo",
          "getrlimit",
          "prctl"};
}

// Of a client of registries.
std::vector<std::string> transfer_calls() {
  return {"poll",     "ppoll",       "select",      "pselect6",   "epoll_create1", "epoll_ctl", "epoll_wait",
          "eventfd2", "epoll_pwait", "pipe2",       "dup3",       "socketpair",    "connect",   "bind",
          "sendto",   "getsockname", "getpeername", "getsockopt", "setsockopt",    "shutdown",  "sendmsg",
          "recvmsg",  "sendmmsg",    "recvfrom",    "recvmmsg"};
}

oci::SeccompArg argument(std::uint32_t index, std::uint64_t mask, std::uint64_t value) {
  return {.index = index, .value = mask, .value_two = value, .op = "SCMP_CMP_MASKED_EQ"};
}

oci::Seccomp filter(Purpose purpose) {
  oci::Seccomp out;
  out.default_action = "SCMP_ACT_ERRNO";
  out.default_errno_ret = EPERM;
#if defined(__x86_64__)
  out.architectures = {"SCMP_ARCH_X86_64"};
#elif defined(__aarch64__)
  out.architectures = {"SCMP_ARCH_AARCH64"};
#endif
  const auto allow = [&](std::vector<std::string> names, std::vector<oci::SeccompArg> args) {
    out.syscalls.push_back({.names = std::move(names), .action = kAllow, .errno_ret = {}, .args = std::move(args)});
  };
  allow(always_allowed(), {});
  if (purpose == Purpose::kTransfer) {
    allow(transfer_calls(), {});
    // Threads, no processes.
    allow({"clone"}, {argument(0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)});
    // To the network, to a resolver's socket, and netlink, which getaddrinfo asks for addresses.
    for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK})
      allow({"socket"}, {argument(0, 0xffffffff, static_cast<std::uint64_t>(family))});
    // For reading only.
    constexpr std::uint64_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    allow({"openat"}, {argument(2, kWriting, 0)});
    allow({"open"}, {argument(1, kWriting, 0)});
  }
  out.syscalls.push_back({.names = {"clone3", "openat2"}, .action = "SCMP_ACT_ERRNO", .errno_ret = ENOSYS, .args = {}});
  // To ask only.
  allow({"prlimit64"}, {argument(2, ~std::uint64_t{0}, 0)});
  return out;
}

Status restrict_calls(Purpose purpose) {
  ASSIGN_OR_RETURN(const seccomp::Program program, seccomp::compile(filter(purpose)));
  const int loaded = seccomp::load(program.instructions.data(),
                                   static_cast<unsigned short>(program.instructions.size()), program.flags);
  if (loaded < 0) return Error::from_errno(-loaded, "load the system call filter");
  return {};
}

}  // namespace

Status drop_root() {
  // Credentials are in memory.
  const struct rlimit none = {0, 0};
  (void)::setrlimit(RLIMIT_CORE, &none);
  if (::geteuid() == 0) {
    RETURN_IF_ERROR(sys::setgroups({}));
    RETURN_IF_ERROR(sys::setresgid(kFetchUser));
    RETURN_IF_ERROR(sys::setresuid(kFetchUser));
  }
  RETURN_IF_ERROR(sys::capset(0, 0, 0));
  RETURN_IF_ERROR(sys::set_dumpable(false));
  return sys::set_no_new_privs();
}

Status enter_sandbox(Purpose purpose) {
  RETURN_IF_ERROR(restrict_files(purpose));
  return restrict_calls(purpose);
}

}  // namespace cooper::registry
