#include "seccomp/confined.h"

#include <fcntl.h>
#include <sys/prctl.h>

#include <cerrno>
#include <utility>

namespace cooper::seccomp {
namespace {

std::vector<std::string> calls_of_every_program() {
  return {"read",          "write",          "readv",           "writev",      "pread64",
          "lseek",         "close",          "fcntl",           "fstat",       "stat",
          "lstat",         "newfstatat",     "statx",           "access",      "faccessat",
          "faccessat2",    "readlink",       "readlinkat",      "getdents64",  "mmap",
          "munmap",        "mremap",         "mprotect",        "madvise",     "brk",
          "futex",         "rseq",           "set_robust_list", "sched_yield", "sched_getaffinity",
          "rt_sigaction",  "rt_sigprocmask", "rt_sigreturn",    "sigaltstack", "tgkill",
          "exit",          "exit_group",     "restart_syscall", "nanosleep",   "clock_nanosleep",
          "clock_gettime", "clock_getres",   "gettimeofday",    "time",        "getrandom",
          "getpid",        "gettid",         "getuid",          "geteuid",     "getgid",
          "getegid",       "getcwd",         "uname",           "sysinfo",     "getrlimit"};
}

}  // namespace

oci::SeccompArg masked_argument(std::uint32_t index, std::uint64_t mask, std::uint64_t value) {
  return {.index = index, .value = mask, .value_two = value, .op = "SCMP_CMP_MASKED_EQ"};
}

void allow(oci::Seccomp& profile, std::vector<std::string> names, std::vector<oci::SeccompArg> args) {
  profile.syscalls.push_back(
      {.names = std::move(names), .action = "SCMP_ACT_ALLOW", .errno_ret = {}, .args = std::move(args)});
}

oci::Seccomp confined_profile() {
  oci::Seccomp out;
  out.default_action = "SCMP_ACT_ERRNO";
  out.default_errno_ret = EPERM;
#if defined(__x86_64__)
  out.architectures = {"SCMP_ARCH_X86_64"};
#elif defined(__aarch64__)
  out.architectures = {"SCMP_ARCH_AARCH64"};
#endif
  allow(out, calls_of_every_program());
  // Names of threads and of memory: not what happens when the parent ends.
  constexpr std::uint64_t kOption = 0xffffffff;  // the kernel looks at these 32 bits
  constexpr std::uint64_t kSetVma = 0x53564d41;
  for (const std::uint64_t option : {std::uint64_t{PR_SET_NAME}, std::uint64_t{PR_GET_NAME}, kSetVma})
    allow(out, {"prctl"}, {masked_argument(0, kOption, option)});
  // To ask only.
  allow(out, {"prlimit64"}, {masked_argument(2, ~std::uint64_t{0}, 0)});
  return out;
}

void allow_opening_to_read(oci::Seccomp& profile) {
  constexpr std::uint64_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
  allow(profile, {"openat"}, {masked_argument(2, kWriting, 0)});
  allow(profile, {"open"}, {masked_argument(1, kWriting, 0)});
}

}  // namespace cooper::seccomp
