#include "seccomp/internal/tables.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>

#include "sys/missing.h"

namespace cooper::seccomp {
namespace {

constexpr ActionName kActions[] = {
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false},  // kernel 4.14
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false},
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true},
    {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF, false},  // kernel 5.0
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG, false},  // kernel 4.14
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false},
};

constexpr OperatorName kOperators[] = {
    {"SCMP_CMP_NE", Op::kNotEqual},           {"SCMP_CMP_LT", Op::kLess},
    {"SCMP_CMP_LE", Op::kLessEqual},          {"SCMP_CMP_EQ", Op::kEqual},
    {"SCMP_CMP_GE", Op::kGreaterEqual},       {"SCMP_CMP_GT", Op::kGreater},
    {"SCMP_CMP_MASKED_EQ", Op::kMaskedEqual},
};

constexpr ArchName kArches[] = {
    {"SCMP_ARCH_X86", Arch::kX86},
    {"SCMP_ARCH_X86_64", Arch::kX64},
    {"SCMP_ARCH_X32", Arch::kX32},
    {"SCMP_ARCH_ARM", Arch::kArm},
    {"SCMP_ARCH_AARCH64", Arch::kAarch64},
    {"SCMP_ARCH_MIPS", {}},
    {"SCMP_ARCH_MIPS64", {}},
    {"SCMP_ARCH_MIPS64N32", {}},
    {"SCMP_ARCH_MIPSEL", {}},
    {"SCMP_ARCH_MIPSEL64", {}},
    {"SCMP_ARCH_MIPSEL64N32", {}},
    {"SCMP_ARCH_PPC", {}},
    {"SCMP_ARCH_PPC64", {}},
    {"SCMP_ARCH_PPC64LE", {}},
    {"SCMP_ARCH_S390", {}},
    {"SCMP_ARCH_S390X", {}},
    {"SCMP_ARCH_PARISC", {}},
    {"SCMP_ARCH_PARISC64", {}},
    {"SCMP_ARCH_RISCV64", {}},
    {"SCMP_ARCH_LOONGARCH64", {}},
    {"SCMP_ARCH_M68K", {}},
    {"SCMP_ARCH_SH", {}},
    {"SCMP_ARCH_SHEB", {}},
};

constexpr FlagName kFlags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},                // kernel 4.14
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},  // kernel 4.17
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

template <typename Row, std::size_t N>
const Row* find_row(const Row (&rows)[N], std::string_view name) {
  const Row* found = std::find_if(std::begin(rows), std::end(rows), [&](const Row& row) { return row.name == name; });
  return found == std::end(rows) ? nullptr : found;
}

}  // namespace

std::span<const ActionName> action_names() {
  return kActions;
}
const ActionName* find_action(std::string_view name) {
  return find_row(kActions, name);
}
std::span<const OperatorName> operator_names() {
  return kOperators;
}
const OperatorName* find_operator(std::string_view name) {
  return find_row(kOperators, name);
}
std::span<const ArchName> arch_names() {
  return kArches;
}
const ArchName* find_arch(std::string_view name) {
  return find_row(kArches, name);
}
std::span<const FlagName> flag_names() {
  return kFlags;
}
const FlagName* find_flag(std::string_view name) {
  return find_row(kFlags, name);
}

std::uint32_t audit_arch(Arch arch) {
  switch (arch) {
    case Arch::kX64:
    case Arch::kX32:
      return AUDIT_ARCH_X86_64;
    case Arch::kX86:
      return AUDIT_ARCH_I386;
    case Arch::kArm:
      return AUDIT_ARCH_ARM;
    case Arch::kAarch64:
      return AUDIT_ARCH_AARCH64;
  }
  return 0;
}

// x32 has 64-bit registers but its calls take 32-bit words, and libseccomp compares those.
bool compares_64_bits(Arch arch) {
  return arch == Arch::kX64 || arch == Arch::kAarch64;
}

Arch native_arch() {
#if defined(__x86_64__) && defined(__ILP32__)
  return Arch::kX32;
#elif defined(__x86_64__)
  return Arch::kX64;
#elif defined(__i386__)
  return Arch::kX86;
#elif defined(__aarch64__)
  return Arch::kAarch64;
#elif defined(__arm__)
  return Arch::kArm;
#else
#error "no seccomp filters for this machine: it needs a column in gen/make_syscalls.py, and a word in this file"
#endif
}

bool runs_here(Arch arch) {
  const auto is_arm = [](Arch one) { return one == Arch::kArm || one == Arch::kAarch64; };
  return is_arm(arch) == is_arm(native_arch());
}

}  // namespace cooper::seccomp
