#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <set>

#include "seccomp/internal/podman_profile.h"
#include "seccomp/internal/syscalls.h"
#include "seccomp/internal/tables.h"
#include "seccomp/internal/testing.h"
#include "seccomp/seccomp.h"

namespace cooper::seccomp {
namespace {

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;

std::uint32_t ask(const Program& program, Arch arch, std::int32_t number, std::uint64_t a0 = 0, std::uint64_t a1 = 0,
                  std::uint64_t a2 = 0) {
  const int bit = arch == Arch::kX32 ? static_cast<int>(kX32Bit) : 0;
  const struct seccomp_data data = {
      .nr = number | bit, .arch = audit_arch(arch), .instruction_pointer = 0, .args = {a0, a1, a2, 0, 0, 0}};
  return testing::run(program.instructions, data);
}
std::uint32_t ask(const Program& program, std::string_view name, std::uint64_t a0 = 0, std::uint64_t a1 = 0,
                  std::uint64_t a2 = 0) {
  return ask(program, Arch::kX64, find_syscall(name)->numbers[0], a0, a1, a2);
}

TEST(DefaultProfile, EveryNameIsKnown) {
  for (const auto& capabilities :
       {std::vector<std::string>{}, std::vector<std::string>{"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_TIME"}}) {
    std::set<std::string> seen;
    for (const auto& entry : default_profile(capabilities).syscalls) {
      for (const auto& name : entry.names) {
        EXPECT_TRUE(find_syscall(name)) << name;
        const bool once = !entry.args.empty() || name == "socket" || seen.insert(name).second;
        EXPECT_TRUE(once) << name << " twice";
      }
    }
  }
}

// Against the profile podman ships: the same calls for the same capabilities, with the differences below and no others.
TEST(DefaultProfile, AsStrictAsPodmans) {
  // Newer than the profile Debian 12's podman has, harmless, and allowed by later ones.
  const std::set<std::string_view> newer{"cachestat",  "fchmodat2",     "futex_waitv",      "futex_wake",
                                         "futex_wait", "futex_requeue", "map_shadow_stack", "mseal",
                                         "setxattrat", "getxattrat",    "listxattrat",      "removexattrat"};
  // podman lets every container make user namespaces and, by naming it twice, setns; here that takes CAP_SYS_ADMIN.
  const std::set<std::string_view> stricter{"clone", "clone3", "unshare", "setns"};
  const std::vector<std::vector<std::string>> sets{testing::kDefaultCapabilities,
                                                   {},
                                                   {"CAP_SYS_ADMIN"},
                                                   {"CAP_AUDIT_WRITE", "CAP_SYS_PTRACE", "CAP_SYS_TIME"},
                                                   {"CAP_DAC_READ_SEARCH", "CAP_SYS_CHROOT", "CAP_SYS_MODULE",
                                                    "CAP_SYS_PACCT", "CAP_SYS_RAWIO", "CAP_SYS_TTY_CONFIG"}};
  const std::vector<std::uint64_t> values{0, 1, 8, 9, 16, 0x11, 0x20000, 0x20008, 0x10000000, 0x7e020000, 0xffffffff};
  for (const auto& capabilities : sets) {
    const auto reference = testing::podman_profile(capabilities);
    if (!reference) GTEST_SKIP() << "needs podman's profile";
    const Program theirs = *compile(*reference);
    const Program ours = *compile(default_profile(capabilities));
    const bool admin = std::find(capabilities.begin(), capabilities.end(), "CAP_SYS_ADMIN") != capabilities.end();
    for (std::size_t i = 0; i < syscall_count(); ++i) {
      const SyscallRow& row = syscall_rows()[i];
      for (const Arch arch : {Arch::kX64, Arch::kX86, Arch::kX32}) {
        const std::int32_t number = row.numbers[static_cast<std::size_t>(arch)];
        if (number < 0) continue;
        for (const std::uint64_t a0 : values) {
          for (const std::uint64_t a2 : {std::uint64_t{0}, std::uint64_t{9}}) {
            const bool we = ask(ours, arch, number, a0, 0, a2) == kAllow;
            const bool they = ask(theirs, arch, number, a0, 0, a2) == kAllow;
            const bool explained =
                we == they || (we ? newer.contains(row.name) : stricter.contains(row.name) && !admin);
            EXPECT_TRUE(explained) << row.name << (we ? " is allowed here only, a0 " : " is refused here only, a0 ")
                                   << a0;
          }
        }
      }
    }
  }
}

TEST(DefaultProfile, NamespacesNeedSysAdmin) {
  const Program program = *compile(default_profile(testing::kDefaultCapabilities));
  EXPECT_EQ(ask(program, "clone", 0x01200011), kAllow);
  EXPECT_EQ(ask(program, "clone", 0x10000011), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(ask(program, "clone3"), SECCOMP_RET_ERRNO | ENOSYS);
  EXPECT_EQ(ask(program, "unshare", 0x400), kAllow);
  EXPECT_EQ(ask(program, "unshare", 0x80), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(ask(program, "unshare", 0x20000), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(ask(program, "setns"), SECCOMP_RET_ERRNO | EPERM);
  const Program admin = *compile(default_profile({"CAP_SYS_ADMIN"}));
  for (const char* name : {"clone", "clone3", "unshare", "setns"})
    EXPECT_EQ(ask(admin, name, 0x10000000), kAllow) << name;
}

TEST(DefaultProfile, RefusalsInTheRightWords) {
  const Program program = *compile(default_profile(testing::kDefaultCapabilities));
  EXPECT_EQ(ask(program, "kexec_load"), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(ask(program, "userfaultfd"), SECCOMP_RET_ERRNO | EPERM);
  EXPECT_EQ(ask(program, "io_uring_setup"), SECCOMP_RET_ERRNO | ENOSYS);
  EXPECT_EQ(ask(program, Arch::kX64, 9999), SECCOMP_RET_ERRNO | ENOSYS);
  EXPECT_EQ(ask(program, "socket", 16, 3, 9), SECCOMP_RET_ERRNO | EINVAL);
  EXPECT_EQ(ask(program, "socket", 16, 3, 0), kAllow);
  EXPECT_EQ(ask(program, "personality", 1), SECCOMP_RET_ERRNO | EPERM);
}

}  // namespace
}  // namespace cooper::seccomp
