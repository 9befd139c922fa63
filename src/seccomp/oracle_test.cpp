// libseccomp as an oracle: the same profile through both compilers, every call number, many arguments, the same answer.
#ifdef COOPER_HAVE_LIBSECCOMP

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <set>

#include "io/file.h"
#include "seccomp/internal/podman_profile.h"
#include "seccomp/internal/syscalls.h"
#include "seccomp/internal/tables.h"
#include "seccomp/internal/testing.h"
#include "seccomp/seccomp.h"
#include "sys/file.h"

namespace cooper::seccomp {
namespace {

std::uint32_t oracle_action(const std::string& name, std::optional<std::uint32_t> errno_ret) {
  const std::uint32_t data = errno_ret.value_or(EPERM);
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(data);
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(data);
  return find_action(name)->value;
}

std::uint32_t oracle_arch(const std::string& name) {
  std::string lower;
  for (const char c : name.substr(sizeof "SCMP_ARCH_" - 1)) lower += static_cast<char>(std::tolower(c));
  return seccomp_arch_resolve_name(lower.c_str());
}

scmp_compare oracle_op(const std::string& name) {
  switch (find_operator(name)->op) {
    case Op::kNotEqual:
      return SCMP_CMP_NE;
    case Op::kLess:
      return SCMP_CMP_LT;
    case Op::kLessEqual:
      return SCMP_CMP_LE;
    case Op::kEqual:
      return SCMP_CMP_EQ;
    case Op::kGreaterEqual:
      return SCMP_CMP_GE;
    case Op::kGreater:
      return SCMP_CMP_GT;
    case Op::kMaskedEqual:
      return SCMP_CMP_MASKED_EQ;
  }
  return SCMP_CMP_EQ;
}

// The filter as runc builds it.
std::vector<struct sock_filter> oracle_compile(const oci::Seccomp& profile) {
  const std::uint32_t fallback = oracle_action(profile.default_action, profile.default_errno_ret);
  scmp_filter_ctx context = seccomp_init(fallback);
  for (const auto& arch : profile.architectures) (void)seccomp_arch_add(context, oracle_arch(arch));
  for (const auto& entry : profile.syscalls) {
    const std::uint32_t action = oracle_action(entry.action, entry.errno_ret);
    if (action == fallback) continue;
    std::vector<scmp_arg_cmp> args;
    std::set<std::uint32_t> indexes;
    for (const auto& arg : entry.args) {
      args.push_back({arg.index, oracle_op(arg.op), arg.value, arg.value_two});
      indexes.insert(arg.index);
    }
    for (const auto& name : entry.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number == __NR_SCMP_ERROR) continue;
      if (indexes.size() == args.size()) {
        (void)seccomp_rule_add_array(context, action, number, static_cast<unsigned>(args.size()), args.data());
      } else {
        for (const auto& arg : args) (void)seccomp_rule_add_array(context, action, number, 1, &arg);
      }
    }
  }
  const UniqueFd file = *sys::memfd_create("oracle", 0);
  EXPECT_EQ(seccomp_export_bpf(context, file.get()), 0);
  seccomp_release(context);
  std::string bytes(1 << 20, '\0');
  bytes.resize(*sys::pread(file, bytes, 0));
  std::vector<struct sock_filter> out(bytes.size() / sizeof(struct sock_filter));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

struct Machine {
  std::uint32_t audit;
  std::uint32_t token;
  std::uint32_t base;
};
constexpr Machine kMachines[] = {{AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, 0},
                                 {AUDIT_ARCH_I386, SCMP_ARCH_X86, 0},
                                 {AUDIT_ARCH_X86_64, SCMP_ARCH_X32, kX32Bit},
                                 {AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0},
                                 {AUDIT_ARCH_ARM, SCMP_ARCH_ARM, 0}};

// runc's rule for numbers newer than the profile, said with libseccomp's tables. The private numbers of ARM are far
// above all others and say nothing about age.
struct Named {
  std::int64_t highest = -1;
  std::set<std::int64_t> numbers;
};
Named named_calls(const oci::Seccomp& profile, const Machine& machine) {
  Named out;
  for (const auto& entry : profile.syscalls) {
    for (const auto& name : entry.names) {
      int number = seccomp_syscall_resolve_name_arch(machine.token, name.c_str());
      // The library names multiplexed calls by negative numbers of its own; those with a number in the kernel count by
      // that.
      if (const auto known = find_syscall(name); machine.token == SCMP_ARCH_X86 && known)
        number = known->numbers[static_cast<std::size_t>(Arch::kX86)];
      if (number < 0) continue;
      out.numbers.insert(number);
      if (number < 0x0f0000 + static_cast<int>(machine.base)) out.highest = std::max<std::int64_t>(out.highest, number);
    }
  }
  return out;
}

bool in_filter(const oci::Seccomp& profile, const Machine& machine) {
  if (machine.token == SCMP_ARCH_X86_64) return true;
  return std::any_of(profile.architectures.begin(), profile.architectures.end(),
                     [&](const auto& name) { return oracle_arch(name) == machine.token; });
}

// Values around every constant of the profile.
std::vector<std::uint64_t> interesting_values(const oci::Seccomp& profile) {
  std::set<std::uint64_t> out{0, 1, UINT32_MAX, std::uint64_t{1} << 32, UINT64_MAX};
  for (const auto& entry : profile.syscalls) {
    for (const auto& arg : entry.args) {
      for (const std::uint64_t v : {arg.value, arg.value_two}) {
        out.insert({v, v - 1, v + 1, v ^ (std::uint64_t{1} << 33), v | std::uint64_t{1} << 63});
      }
    }
  }
  return {out.begin(), out.end()};
}

void compare(const oci::Seccomp& profile) {
  const auto ours = compile(profile, Sections::kAll);
  ASSERT_TRUE(ours.ok()) << ours.error().message();
  const auto theirs = oracle_compile(profile);
  ASSERT_FALSE(theirs.empty());
  const auto values = interesting_values(profile);
  const std::set<std::string> lets_through{"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"};
  const bool enosys = !lets_through.contains(profile.default_action);
  std::mt19937 random(7);
  std::uniform_int_distribution<std::size_t> pick(0, values.size() - 1);
  int failures = 0;
  const auto check = [&](const Machine& machine, const Named& named, std::uint32_t number) {
    struct seccomp_data data = {
        .nr = static_cast<int>(number), .arch = machine.audit, .instruction_pointer = 0, .args = {}};
    for (int round = 0; round < 4 && failures < 10; ++round) {
      for (auto& arg : data.args) {
        arg = values[pick(random)];
        if (machine.token == SCMP_ARCH_X86 || machine.token == SCMP_ARCH_ARM) arg &= UINT32_MAX;
      }
      const std::uint32_t got = testing::run(ours->instructions, data);
      std::uint32_t want = testing::run(theirs, data);
      ASSERT_NE(want, testing::kBroken);
      const bool newer = enosys && named.highest >= 0 && number > named.highest && !named.numbers.contains(number) &&
                         number != UINT32_MAX &&
                         (machine.base != 0 || machine.audit != AUDIT_ARCH_X86_64 || number < kX32Bit);
      if (newer && in_filter(profile, machine)) want = SECCOMP_RET_ERRNO | ENOSYS;
      if (got == want) continue;
      ++failures;
      ADD_FAILURE() << std::hex << "machine " << machine.token << " call " << std::dec << number << std::hex << " args "
                    << data.args[0] << ' ' << data.args[1] << ' ' << data.args[2] << ": " << got << ", libseccomp says "
                    << want;
    }
  };
  for (const Machine& machine : kMachines) {
    const Named named = named_calls(profile, machine);
    for (std::uint32_t number = 0; number < 700; ++number) check(machine, named, machine.base + number);
    for (const std::uint32_t number : {0x0f0000U, 0x0f0001U, 0x0f0002U, 0x0f0005U, 0x0f0006U, 0x3fffffffU, 0x40000000U,
                                       0x7fffffffU, 0x80000000U, UINT32_MAX - 1, UINT32_MAX}) {
      if (machine.token == SCMP_ARCH_ARM || number >= kX32Bit - 1) {
        if (machine.base != 0 && number < machine.base) continue;
        if (machine.token == SCMP_ARCH_X86_64 && number >= kX32Bit && in_filter(profile, kMachines[2]))
          continue;  // x32's
        check(machine, named, number);
      }
    }
  }
  check({AUDIT_ARCH_S390X, 0, 0}, {}, 1);
}

oci::SeccompSyscall entry(std::vector<std::string> names, std::string action, std::vector<oci::SeccompArg> args = {},
                          std::optional<std::uint32_t> ret = {}) {
  return {.names = std::move(names), .action = std::move(action), .errno_ret = ret, .args = std::move(args)};
}

const std::vector<std::vector<std::string>> kArchSets{{},
                                                      {"SCMP_ARCH_X86_64"},
                                                      {"SCMP_ARCH_X86"},
                                                      {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"},
                                                      {"SCMP_ARCH_X32", "SCMP_ARCH_X32"},
                                                      {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"}};

TEST(Oracle, PodmanProfile) {
  for (const auto& capabilities : {testing::kDefaultCapabilities, std::vector<std::string>{},
                                   std::vector<std::string>{"CAP_SYS_ADMIN", "CAP_AUDIT_WRITE", "CAP_SYS_PTRACE"}}) {
    const auto profile = testing::podman_profile(capabilities);
    if (!profile) GTEST_SKIP() << "needs podman's profile";
    compare(*profile);
  }
}

TEST(Oracle, DefaultActions) {
  for (const char* action : {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                             "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"}) {
    for (const auto& arches : kArchSets) {
      oci::Seccomp profile;
      profile.default_action = action;
      profile.architectures = arches;
      profile.syscalls = {
          entry({"read", "write", "futex_time64", "socket", "semop", "no_such_call"}, "SCMP_ACT_ERRNO", {}, 22),
          entry({"clone3"}, "SCMP_ACT_ALLOW"), entry({"mount"}, "SCMP_ACT_TRACE", {}, 7),
          entry({"getpid"}, "SCMP_ACT_KILL_PROCESS"), entry({"gettid"}, "SCMP_ACT_LOG")};
      compare(profile);
    }
  }
}

TEST(Oracle, EveryOperatorOnEveryArgument) {
  for (const char* op : {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                         "SCMP_CMP_MASKED_EQ"}) {
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{UINT32_MAX},
                                      std::uint64_t{1} << 32, (std::uint64_t{7} << 32) + 9, UINT64_MAX}) {
      oci::Seccomp profile;
      profile.default_action = "SCMP_ACT_ALLOW";
      profile.architectures = kArchSets[3];
      std::vector<std::string> names{"read", "write", "open", "close", "stat", "fstat"};
      for (std::uint32_t index = 0; index < 6; ++index) {
        profile.syscalls.push_back(
            entry({names[index]}, "SCMP_ACT_ERRNO",
                  {{.index = index, .value = value, .value_two = value & 0x500000005, .op = op}}));
      }
      profile.syscalls.push_back(entry({"mmap"}, "SCMP_ACT_ERRNO",
                                       {{.index = 0, .value = value, .value_two = 0, .op = op},
                                        {.index = 2, .value = 3, .value_two = 3, .op = "SCMP_CMP_EQ"}}));
      compare(profile);
    }
  }
}

// One rule for each call here: from several libseccomp builds a tree that merges conditions in its own order, and at
// times wrongly (with "a0 <= 1 and a4 ..." beside "a0 < 7 and a1 > MAX" it accepts a0 = 5). compile_test.cpp checks
// several rules by their meaning.
TEST(Oracle, RandomProfiles) {
  std::mt19937 random(42);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const std::vector<std::string> actions{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP",
                                         "SCMP_ACT_LOG"};
  const std::vector<std::string> ops{"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
                                     "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
  const std::vector<std::uint64_t> constants{
      0, 1, 2, 16, 0x7e020000, UINT32_MAX, std::uint64_t{1} << 32, (std::uint64_t{1} << 40) + 3, UINT64_MAX};
  for (int round = 0; round < 25; ++round) {
    oci::Seccomp profile;
    profile.default_action = actions[below(actions.size())];
    profile.architectures = kArchSets[below(kArchSets.size())];
    const std::size_t calls = 1 + below(120);
    for (std::size_t i = 0; i < calls; ++i) {
      const std::string name(syscall_rows()[below(syscall_count())].name);
      const bool taken = std::any_of(profile.syscalls.begin(), profile.syscalls.end(),
                                     [&](const auto& e) { return e.names.front() == name; });
      // libseccomp knows no arguments of multiplexed calls on x86, and merges rules that reach one call by two names.
      if (taken || name == "socketcall" || name == "ipc" || name == "newfstatat" || name == "arm_sync_file_range" ||
          name == "sync_file_range2")
        continue;
      // Newer than the library, or not of this machine: libseccomp 2.5.4 loses the rule of pread64 when truncate64 is
      // beside it.
      if (seccomp_syscall_resolve_name(name.c_str()) < 0) continue;
      const auto known = find_syscall(name);
      const std::string& action = actions[below(actions.size())];
      std::vector<oci::SeccompArg> args;
      if (known->multiplexed == nullptr && below(2) == 0) {
        for (std::uint32_t index = 0; index < 6; ++index) {
          if (below(3) == 0)
            args.push_back({.index = index,
                            .value = constants[below(constants.size())],
                            .value_two = constants[below(constants.size())],
                            .op = ops[below(ops.size())]});
        }
      }
      profile.syscalls.push_back(entry({name}, action, std::move(args)));
    }
    SCOPED_TRACE(round);
    compare(profile);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Oracle, TablesAgree) {
  for (std::size_t i = 0; i < syscall_count(); ++i) {
    const SyscallRow& row = syscall_rows()[i];
    const std::string name(row.name);
    for (std::size_t m = 0; m < std::size(kMachines); ++m) {
      const Arch arch = std::array{Arch::kX64, Arch::kX86, Arch::kX32, Arch::kAarch64, Arch::kArm}[m];
      const int number = seccomp_syscall_resolve_name_arch(kMachines[m].token, name.c_str());
      if (number < 0) continue;  // newer than the library, or multiplexed only
      EXPECT_EQ(number, row.numbers[static_cast<std::size_t>(arch)] + static_cast<int>(kMachines[m].base)) << name;
    }
  }
}

}  // namespace
}  // namespace cooper::seccomp

#endif
