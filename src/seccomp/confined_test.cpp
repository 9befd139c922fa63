#include "seccomp/confined.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "seccomp/internal/testing.h"
#include "seccomp/seccomp.h"

namespace cooper::seccomp {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

bool allows(const oci::Seccomp& profile, int number, std::uint64_t second = 0, std::uint64_t third = 0,
            std::uint64_t first = 0) {
  const auto program = compile(profile);
  COOPER_ASSERT(program.ok());
  struct seccomp_data data = {};
  data.nr = number;
  data.arch = kArchitecture;
  data.args[0] = first;
  data.args[1] = second;
  data.args[2] = third;
  return testing::run(program->instructions, data) == SECCOMP_RET_ALLOW;
}

TEST(Confined, RunsAndReadsAndNothingElse) {
  const oci::Seccomp profile = confined_profile();
  for (const int number : {SYS_read, SYS_write, SYS_mmap, SYS_exit_group, SYS_clock_gettime, SYS_newfstatat})
    EXPECT_TRUE(allows(profile, number)) << number;
  for (const int number :
       {SYS_openat, SYS_execve, SYS_clone, SYS_clone3, SYS_socket, SYS_unlinkat, SYS_ptrace, SYS_kill})
    EXPECT_FALSE(allows(profile, number)) << number;
  EXPECT_TRUE(allows(profile, SYS_prlimit64));
  EXPECT_TRUE(allows(profile, SYS_prctl, 0, 0, PR_SET_NAME));
  for (const std::uint64_t option : {std::uint64_t{PR_SET_PDEATHSIG}, (std::uint64_t{1} << 32) | PR_SET_PDEATHSIG})
    EXPECT_FALSE(allows(profile, SYS_prctl, 0, 0, option)) << "it would outlive its parent";
  EXPECT_FALSE(allows(profile, SYS_prlimit64, 0, 0x1000)) << "limits are asked for, not set";
}

TEST(Confined, OpensToReadOnly) {
  oci::Seccomp profile = confined_profile();
  allow_opening_to_read(profile);
  EXPECT_TRUE(allows(profile, SYS_openat, 0, O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  for (const int flags : {O_WRONLY, O_RDWR, O_RDONLY | O_CREAT, O_RDONLY | O_TRUNC, O_TMPFILE})
    EXPECT_FALSE(allows(profile, SYS_openat, 0, static_cast<std::uint64_t>(flags))) << flags;
}

}  // namespace
}  // namespace cooper::seccomp
