#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "seccomp/internal/podman_profile.h"
#include "seccomp/internal/syscalls.h"
#include "seccomp/internal/tables.h"
#include "seccomp/internal/testing.h"
#include "seccomp/seccomp.h"
#include "sys/process.h"

// Tests name the members they are about.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace cooper::seccomp {
namespace {

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr std::uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;

oci::SeccompSyscall entry(std::vector<std::string> names, std::string action, std::vector<oci::SeccompArg> args = {},
                          std::optional<std::uint32_t> ret = {}) {
  return {.names = std::move(names), .action = std::move(action), .errno_ret = ret, .args = std::move(args)};
}
oci::SeccompArg arg(std::uint32_t index, std::string op, std::uint64_t value, std::uint64_t two = 0) {
  return {.index = index, .value = value, .value_two = two, .op = std::move(op)};
}
oci::Seccomp profile(std::string action, std::vector<oci::SeccompSyscall> entries,
                     std::vector<std::string> arches = {"SCMP_ARCH_X86_64"}) {
  oci::Seccomp out;
  out.default_action = std::move(action);
  out.syscalls = std::move(entries);
  out.architectures = std::move(arches);
  return out;
}
std::uint32_t ask_on(std::uint32_t arch, const oci::Seccomp& profile, std::uint32_t number,
                     std::vector<std::uint64_t> args = {}) {
  const auto program = compile(profile);
  EXPECT_TRUE(program.ok()) << program.error().message();
  struct seccomp_data data = {.nr = static_cast<int>(number), .arch = arch, .instruction_pointer = 0, .args = {}};
  std::copy(args.begin(), args.end(), data.args);
  return testing::run(program->instructions, data);
}
std::uint32_t ask(const oci::Seccomp& profile, std::uint32_t number, std::vector<std::uint64_t> args = {}) {
  return ask_on(AUDIT_ARCH_X86_64, profile, number, std::move(args));
}
Errc code_of(const oci::Seccomp& profile) {
  const auto program = compile(profile);
  return program.ok() ? Errc::kInternal : program.error().code();
}

TEST(Compile, ErrnoDefaultsAndValues) {
  oci::Seccomp p =
      profile("SCMP_ACT_ERRNO", {entry({"read"}, "SCMP_ACT_ALLOW"), entry({"write"}, "SCMP_ACT_ERRNO", {}, 22),
                                 entry({"open"}, "SCMP_ACT_TRACE"), entry({"close"}, "SCMP_ACT_ERRNO", {}, 0),
                                 entry({"seccomp"}, "SCMP_ACT_ALLOW")});
  EXPECT_EQ(ask(p, 0), kAllow);
  EXPECT_EQ(ask(p, 1), SECCOMP_RET_ERRNO | 22U);
  EXPECT_EQ(ask(p, 2), SECCOMP_RET_TRACE | EPERM);
  EXPECT_EQ(ask(p, 3), SECCOMP_RET_ERRNO);
  EXPECT_EQ(ask(p, 4), kEperm);
  EXPECT_EQ(ask(p, 318), kEnosys) << "above seccomp(317), the highest the profile names";
  EXPECT_EQ(ask(p, UINT32_MAX), kEperm) << "a call skipped by a tracer";
  EXPECT_EQ(ask(p, kX32Bit), static_cast<std::uint32_t>(SECCOMP_RET_KILL_THREAD));
  EXPECT_EQ(ask_on(AUDIT_ARCH_I386, p, 3), static_cast<std::uint32_t>(SECCOMP_RET_KILL_THREAD));
  p.default_errno_ret = 13;
  EXPECT_EQ(ask(p, 4), SECCOMP_RET_ERRNO | 13U);
}

TEST(Compile, DefaultsThatLetCallsThroughAnswerNewOnes) {
  const auto newer = [](const char* action) {
    return ask(profile(action, {entry({"read"}, "SCMP_ACT_ERRNO", {}, 7)}), 400);
  };
  EXPECT_EQ(newer("SCMP_ACT_ALLOW"), kAllow);
  EXPECT_EQ(newer("SCMP_ACT_LOG"), SECCOMP_RET_LOG);
  EXPECT_EQ(newer("SCMP_ACT_TRACE"), SECCOMP_RET_TRACE | EPERM);
  for (const char* action : {"SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"})
    EXPECT_EQ(newer(action), kEnosys) << action;
  EXPECT_EQ(ask(profile("SCMP_ACT_ERRNO", {}), 400), kEperm);
}

TEST(Compile, SeveralConditionsAreAndSeveralRulesAreOr) {
  const auto p = profile("SCMP_ACT_ALLOW",
                         {entry({"socket"}, "SCMP_ACT_ERRNO", {arg(0, "SCMP_CMP_EQ", 16), arg(2, "SCMP_CMP_EQ", 9)}),
                          entry({"socket"}, "SCMP_ACT_KILL", {arg(0, "SCMP_CMP_EQ", 40)})});
  EXPECT_EQ(ask(p, 41, {16, 0, 9}), kEperm);
  EXPECT_EQ(ask(p, 41, {16, 0, 8}), kAllow);
  EXPECT_EQ(ask(p, 41, {40, 0, 9}), static_cast<std::uint32_t>(SECCOMP_RET_KILL_THREAD));
}

TEST(Compile, RepeatedIndexesAreSeparateRules) {
  const auto p =
      profile("SCMP_ACT_ALLOW",
              {entry({"personality"}, "SCMP_ACT_ERRNO", {arg(0, "SCMP_CMP_EQ", 1), arg(0, "SCMP_CMP_EQ", 2)})});
  EXPECT_EQ(ask(p, 135, {1}), kEperm);
  EXPECT_EQ(ask(p, 135, {2}), kEperm);
  EXPECT_EQ(ask(p, 135, {3}), kAllow);
}

TEST(Compile, ProfileOrderDecidesBetweenConditions) {
  const auto p = profile("SCMP_ACT_ERRNO", {entry({"ioctl"}, "SCMP_ACT_KILL", {arg(1, "SCMP_CMP_EQ", 0x5412)}),
                                            entry({"ioctl"}, "SCMP_ACT_ALLOW", {arg(1, "SCMP_CMP_GT", 0)})});
  EXPECT_EQ(ask(p, 16, {0, 0x5412}), static_cast<std::uint32_t>(SECCOMP_RET_KILL_THREAD));
  EXPECT_EQ(ask(p, 16, {0, 1}), kAllow);
  EXPECT_EQ(ask(p, 16, {0, 0}), kEperm);
}

TEST(Compile, ARuleWithoutConditionsIsTheOnlyOneOfItsCall) {
  const auto whole = entry({"ioctl", "connect"}, "SCMP_ACT_ALLOW");
  const auto part = entry({"ioctl", "connect"}, "SCMP_ACT_KILL", {arg(1, "SCMP_CMP_EQ", 0x5412)});
  for (const auto& entries : {std::vector{part, whole}, std::vector{whole, part}, std::vector{part, whole, part}}) {
    const auto p = profile("SCMP_ACT_ERRNO", entries, {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"});
    EXPECT_EQ(ask(p, 16, {0, 0x5412}), kAllow);
    EXPECT_EQ(ask_on(AUDIT_ARCH_I386, p, 102, {3, 0x5412}), kAllow) << "connect, behind socketcall";
    EXPECT_EQ(ask_on(AUDIT_ARCH_I386, p, 102, {2, 0x5412}), kEperm) << "bind";
  }
  EXPECT_EQ(ask(profile("SCMP_ACT_ERRNO", {whole, entry({"ioctl"}, "SCMP_ACT_TRAP")}), 16), kAllow) << "the first";
}

TEST(Compile, WhatTheDefaultSaysIsNoRule) {
  const auto part = entry({"mkdir"}, "SCMP_ACT_ERRNO", {arg(1, "SCMP_CMP_EQ", 0777)}, 5);
  const auto p = profile("SCMP_ACT_ALLOW", {entry({"mkdir"}, "SCMP_ACT_ALLOW"), part});
  EXPECT_EQ(ask(p, 83, {0, 0777}), SECCOMP_RET_ERRNO | 5U);
  EXPECT_EQ(ask(p, 83, {0, 0700}), kAllow);
  const auto allow = entry({"mkdir"}, "SCMP_ACT_ALLOW", {arg(1, "SCMP_CMP_EQ", 0700)});
  EXPECT_EQ(ask(profile("SCMP_ACT_ERRNO", {entry({"mkdir"}, "SCMP_ACT_ERRNO"), allow}), 83, {0, 0700}), kAllow);
  EXPECT_EQ(ask(profile("SCMP_ACT_ERRNO", {entry({"mkdir"}, "SCMP_ACT_ERRNO", {}, 5), allow}), 83, {0, 0700}),
            SECCOMP_RET_ERRNO | 5U)
      << "another errno is another action";
  // Its name counts all the same: the profile's author knew the call.
  const auto newest =
      profile("SCMP_ACT_ERRNO", {entry({"read"}, "SCMP_ACT_ALLOW"), entry({"seccomp"}, "SCMP_ACT_ERRNO")});
  EXPECT_EQ(ask(newest, 317), kEperm);
  EXPECT_EQ(ask(newest, 318), kEnosys);
  EXPECT_EQ(code_of(profile("SCMP_ACT_ALLOW", {entry({"read"}, "SCMP_ACT_ALLOW", {arg(6, "SCMP_CMP_EQ", 0)})})),
            Errc::kInvalidArgument);
}

TEST(Compile, MaskedEqualUsesValueAsMask) {
  const auto p =
      profile("SCMP_ACT_ERRNO", {entry({"clone"}, "SCMP_ACT_ALLOW", {arg(0, "SCMP_CMP_MASKED_EQ", 0x7e020000, 0)})});
  EXPECT_EQ(ask(p, 56, {0x11}), kAllow);
  EXPECT_EQ(ask(p, 56, {0x10000011}), kEperm);
}

TEST(Compile, MultiplexedCallsOfX86) {
  const auto p = profile("SCMP_ACT_ERRNO", {entry({"connect", "semop"}, "SCMP_ACT_ALLOW")}, {"SCMP_ARCH_X86"});
  EXPECT_EQ(ask_on(AUDIT_ARCH_I386, p, 362), kAllow);
  EXPECT_EQ(ask_on(AUDIT_ARCH_I386, p, 102, {3}), kAllow);
  EXPECT_EQ(ask_on(AUDIT_ARCH_I386, p, 102, {2}), kEperm);
  EXPECT_EQ(ask_on(AUDIT_ARCH_I386, p, 117, {1}), kAllow);
}

TEST(Compile, RefusesWhatItDoesNotUnderstand) {
  EXPECT_EQ(code_of(profile("SCMP_ACT_MAYBE", {})), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(profile("", {})), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(profile("SCMP_ACT_NOTIFY", {})), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(profile("SCMP_ACT_ALLOW", {}, {"SCMP_ARCH_PDP11"})), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(profile("SCMP_ACT_ALLOW", {entry({"read"}, "SCMP_ACT_ERRNO", {arg(6, "SCMP_CMP_EQ", 0)})})),
            Errc::kInvalidArgument);
  EXPECT_EQ(code_of(profile("SCMP_ACT_ALLOW", {entry({"read"}, "SCMP_ACT_ERRNO", {arg(1, "SCMP_CMP_XX", 0)})})),
            Errc::kInvalidArgument);
  EXPECT_EQ(code_of(profile("SCMP_ACT_ALLOW", {entry({"read"}, "SCMP_ACT_ERRNO", {}, 4096)})), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(profile("SCMP_ACT_ALLOW", {entry({"read"}, "SCMP_ACT_KILL", {}, 1)})), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(profile("SCMP_ACT_ALLOW", {entry({"write"}, "SCMP_ACT_NOTIFY")})), Errc::kInvalidArgument);
  oci::Seccomp flags = profile("SCMP_ACT_ALLOW", {});
  flags.flags = {"SECCOMP_FILTER_FLAG_FAST"};
  EXPECT_EQ(code_of(flags), Errc::kInvalidArgument);
}

TEST(Compile, IgnoresUnknownCallsAndForeignMachines) {
  const auto p = profile("SCMP_ACT_ALLOW", {entry({"no_such_call", "read"}, "SCMP_ACT_ERRNO")},
                         {"SCMP_ARCH_X86_64", "SCMP_ARCH_S390X", "SCMP_ARCH_MIPS"});
  EXPECT_EQ(ask(p, 0), kEperm);
  EXPECT_EQ(ask_on(AUDIT_ARCH_S390X, p, 0), static_cast<std::uint32_t>(SECCOMP_RET_KILL_THREAD));
}

TEST(Compile, GivesNoPartToMachinesThatCannotOccur) {
  const auto x86 =
      profile("SCMP_ACT_ALLOW", {entry({"read"}, "SCMP_ACT_ERRNO")}, {"SCMP_ARCH_X86", "SCMP_ARCH_X86_64"});
  const auto arm =
      profile("SCMP_ACT_ALLOW", {entry({"read"}, "SCMP_ACT_ERRNO")}, {"SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"});
  const bool on_arm = native_arch() == Arch::kArm || native_arch() == Arch::kAarch64;
  const auto& here = on_arm ? arm : x86;
  const auto& elsewhere = on_arm ? x86 : arm;
  EXPECT_EQ(ask_on(on_arm ? AUDIT_ARCH_ARM : AUDIT_ARCH_I386, here, 3), kEperm);
  EXPECT_EQ(ask_on(on_arm ? AUDIT_ARCH_I386 : AUDIT_ARCH_ARM, elsewhere, 3),
            static_cast<std::uint32_t>(SECCOMP_RET_KILL_THREAD));
  EXPECT_EQ(*architectures_elsewhere(elsewhere), elsewhere.architectures);
  EXPECT_TRUE(architectures_elsewhere(here)->empty());
  EXPECT_THAT(supported_architectures(), ::testing::IsSupersetOf(here.architectures));
  EXPECT_THAT(supported_architectures(), ::testing::Not(::testing::Contains(elsewhere.architectures[0])));
}

// Every name of the specification's page (1.3), so that profiles of other machines are taken.
TEST(Compile, KnowsTheArchitecturesOfTheSpecification) {
  const auto p = profile(
      "SCMP_ACT_ALLOW", {},
      {"SCMP_ARCH_X86",         "SCMP_ARCH_X86_64", "SCMP_ARCH_X32",       "SCMP_ARCH_ARM",     "SCMP_ARCH_AARCH64",
       "SCMP_ARCH_MIPS",        "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",  "SCMP_ARCH_MIPSEL64",
       "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",    "SCMP_ARCH_PPC64",     "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390",
       "SCMP_ARCH_S390X",       "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64",  "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64",
       "SCMP_ARCH_M68K",        "SCMP_ARCH_SH",     "SCMP_ARCH_SHEB"});
  EXPECT_TRUE(compile(p).ok());
  EXPECT_EQ(arch_names().size(), p.architectures.size());
}

TEST(Compile, Flags) {
  oci::Seccomp p = profile("SCMP_ACT_ALLOW", {});
  p.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
             "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  EXPECT_EQ(compile(p)->flags, SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW);
  EXPECT_FALSE(compile(p)->needs_listener);
  p.syscalls = {entry({"mkdir"}, "SCMP_ACT_NOTIFY")};
  EXPECT_TRUE(compile(p)->needs_listener);
  EXPECT_EQ(compile(p)->flags, SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW |
                                   SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
}

TEST(Compile, TooLargeIsALimit) {
  oci::Seccomp p = profile("SCMP_ACT_ALLOW", {});
  for (std::uint64_t value = 0; value < 2000; ++value)
    p.syscalls.push_back(entry({"ioctl"}, "SCMP_ACT_ERRNO", {arg(1, "SCMP_CMP_EQ", value)}));
  EXPECT_EQ(code_of(p), Errc::kLimit);
  p.syscalls.resize(600);  // long jumps over it
  EXPECT_EQ(ask(p, 16, {0, 599}), kEperm);
  EXPECT_EQ(ask(p, 16, {0, 600}), kAllow);
  EXPECT_EQ(ask(p, 17), kAllow);
  EXPECT_EQ(ask_on(AUDIT_ARCH_I386, p, 17), static_cast<std::uint32_t>(SECCOMP_RET_KILL_THREAD));
}

// What a profile means, said plainly: the first rule of the call without conditions, or else the first whose conditions
// hold; rules that say what the default says are none.
bool holds(const oci::SeccompArg& a, std::uint64_t x, bool wide) {
  const std::uint64_t mask = wide ? UINT64_MAX : UINT32_MAX;
  x &= mask;
  const std::uint64_t v = a.value & mask;
  switch (find_operator(a.op)->op) {
    case Op::kNotEqual:
      return x != v;
    case Op::kLess:
      return x < v;
    case Op::kLessEqual:
      return x <= v;
    case Op::kEqual:
      return x == v;
    case Op::kGreaterEqual:
      return x >= v;
    case Op::kGreater:
      return x > v;
    case Op::kMaskedEqual:
      return (x & v) == (a.value_two & v);
  }
  return false;
}
std::uint32_t meaning(const oci::Seccomp& p, Arch arch, std::int32_t number, const std::uint64_t (&args)[6]) {
  const std::size_t column = static_cast<std::size_t>(arch);
  const auto value = [](const std::string& action) {
    return find_action(action)->value | (find_action(action)->takes_errno ? EPERM : 0U);
  };
  std::int32_t highest = -1;
  const oci::SeccompSyscall* first = nullptr;
  for (const auto& e : p.syscalls) {
    for (const auto& name : e.names)
      highest = std::max(highest,
                         find_syscall(name)->numbers[column] < kArmPrivate ? find_syscall(name)->numbers[column] : -1);
    const bool named = std::any_of(e.names.begin(), e.names.end(),
                                   [&](const auto& name) { return find_syscall(name)->numbers[column] == number; });
    if (!named || value(e.action) == value(p.default_action)) continue;
    const bool hold = std::all_of(e.args.begin(), e.args.end(),
                                  [&](const auto& a) { return holds(a, args[a.index], compares_64_bits(arch)); });
    if (hold && (first == nullptr || (e.args.empty() && !first->args.empty()))) first = &e;
  }
  if (first != nullptr) return value(first->action);
  const bool known = std::any_of(p.syscalls.begin(), p.syscalls.end(),
                                 [&](const auto& e) { return find_syscall(e.names[0])->numbers[column] == number; });
  const bool lets_through = p.default_action == "SCMP_ACT_ALLOW" || p.default_action == "SCMP_ACT_TRACE";
  if (!lets_through && highest >= 0 && number > highest && !known) return kEnosys;
  return value(p.default_action);
}

TEST(Compile, RandomProfilesMeanWhatTheySay) {
  std::mt19937 random(3);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const std::vector<std::string> actions{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP",
                                         "SCMP_ACT_TRACE"};
  const std::vector<std::string> ops{"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
                                     "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
  const std::vector<std::uint64_t> constants{
      0, 1, 2, 3, UINT32_MAX, std::uint64_t{1} << 32, (std::uint64_t{1} << 32) + 1, UINT64_MAX};
  for (int round = 0; round < 20; ++round) {
    oci::Seccomp p =
        profile(actions[below(actions.size())], {},
                {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"});
    for (std::size_t i = 0, n = 1 + below(30); i < n; ++i) {
      const SyscallRow& row = syscall_rows()[below(syscall_count())];
      if (find_syscall(row.name)->multiplexed != nullptr || row.name == "socketcall" || row.name == "ipc") continue;
      for (std::size_t r = 0, rules = 1 + below(4); r < rules; ++r) {
        std::vector<oci::SeccompArg> args;
        for (std::uint32_t index = 0; index < 6; ++index) {
          if (below(4) == 0)
            args.push_back(arg(index, ops[below(ops.size())], constants[below(constants.size())],
                               constants[below(constants.size())]));
        }
        p.syscalls.push_back(entry({std::string(row.name)}, actions[below(actions.size())], std::move(args)));
      }
    }
    const auto program = compile(p, Sections::kAll);
    ASSERT_TRUE(program.ok()) << program.error().message();
    for (std::size_t a = 0; a < kArchCount; ++a) {
      const Arch arch = static_cast<Arch>(a);
      for (std::int32_t number = 0; number < 480; ++number) {
        struct seccomp_data data = {.nr = number | (arch == Arch::kX32 ? static_cast<int>(kX32Bit) : 0),
                                    .arch = audit_arch(arch),
                                    .instruction_pointer = 0,
                                    .args = {}};
        std::uint64_t args[6];
        for (std::size_t i = 0; i < 6; ++i) data.args[i] = args[i] = constants[below(constants.size())];
        ASSERT_EQ(testing::run(program->instructions, data), meaning(p, arch, number, args))
            << "round " << round << " machine " << a << " call " << number;
      }
    }
  }
}

TEST(Compile, PodmanProfileIsSmallAndFast) {
  const auto p = testing::podman_profile(testing::kDefaultCapabilities);
  if (!p) GTEST_SKIP() << "needs podman's profile";
  const auto start = std::chrono::steady_clock::now();
  constexpr int kRounds = 20;
  std::size_t size = 0;
  for (int i = 0; i < kRounds; ++i) size = compile(*p)->instructions.size();
  const auto each =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count() / kRounds;
  RecordProperty("microseconds", static_cast<int>(each));
  EXPECT_LT(size, 1000U);
  EXPECT_LT(each, 5000);  // 28 us in a release build; the bound only catches a change of order
}

TEST(Load, TheKernelTakesItAndObeys) {
  const auto p = profile("SCMP_ACT_ALLOW", {entry({"mkdir", "mkdirat"}, "SCMP_ACT_ERRNO", {}, 71)});
  const auto program = *compile(p);
  auto cloned = sys::clone3(0);
  ASSERT_TRUE(cloned.ok());
  if (cloned->pid == 0) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
    if (load(program.instructions.data(), static_cast<unsigned short>(program.instructions.size()), program.flags) != 0)
      ::_exit(2);
    if (::mkdir("/proc/never", 0700) != -1 || errno != 71) ::_exit(3);
    ::_exit(::access("/", F_OK) == 0 ? 0 : 4);
  }
  EXPECT_EQ(sys::waitpid(cloned->pid)->code, 0);
  EXPECT_EQ(load(program.instructions.data(), 0, 0), -EINVAL);
}

TEST(Errors, NameThePlaceInTheConfiguration) {
  const auto message = [](const oci::Seccomp& wrong) { return compile(wrong).error().message(); };
  const auto good = entry({"read"}, "SCMP_ACT_ALLOW");
  EXPECT_EQ(message(profile("SCMP_ACT_MAYBE", {})), "/linux/seccomp/defaultAction: unknown action 'SCMP_ACT_MAYBE'");
  EXPECT_EQ(message(profile("SCMP_ACT_ERRNO", {good, entry({"write"}, "SCMP_ACT_FOO")})),
            "/linux/seccomp/syscalls/1/action: unknown action 'SCMP_ACT_FOO'");
  EXPECT_EQ(message(profile("SCMP_ACT_ALLOW", {entry({"read"}, "SCMP_ACT_ERRNO", {}, 5000)})),
            "/linux/seccomp/syscalls/0/errnoRet: 5000 is above 4095, the most that action 'SCMP_ACT_ERRNO' can carry");
  EXPECT_EQ(message(profile("SCMP_ACT_ERRNO",
                            {entry({"read"}, "SCMP_ACT_ALLOW", {arg(0, "SCMP_CMP_EQ", 0), arg(7, "SCMP_CMP_EQ", 0)})})),
            "/linux/seccomp/syscalls/0/args/1/index: argument index 7 is not between 0 and 5");
  EXPECT_EQ(message(profile("SCMP_ACT_ERRNO", {entry({"read"}, "SCMP_ACT_ALLOW", {arg(0, "SCMP_CMP_NEARLY", 0)})})),
            "/linux/seccomp/syscalls/0/args/0/op: unknown operator 'SCMP_CMP_NEARLY'");
  EXPECT_EQ(message(profile("SCMP_ACT_ERRNO", {entry({}, "SCMP_ACT_ALLOW")})),
            "/linux/seccomp/syscalls/0/names: must name at least one system call");
  EXPECT_EQ(message(profile("SCMP_ACT_ALLOW", {good}, {"SCMP_ARCH_X86_64", "SCMP_ARCH_PDP11"})),
            "/linux/seccomp/architectures/1: unknown architecture 'SCMP_ARCH_PDP11'");
  oci::Seccomp flags = profile("SCMP_ACT_ALLOW", {good});
  flags.flags = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_MAYBE"};
  EXPECT_EQ(message(flags), "/linux/seccomp/flags/1: unknown flag 'SECCOMP_FILTER_FLAG_MAYBE'");
}

TEST(Features, NamesOfTheTables) {
  EXPECT_THAT(supported_actions(), ::testing::Contains("SCMP_ACT_ALLOW"));
  EXPECT_THAT(supported_operators(), ::testing::SizeIs(7));
  EXPECT_THAT(supported_architectures(), ::testing::Contains("SCMP_ARCH_X32"));
  EXPECT_THAT(known_flags(), ::testing::Contains("SECCOMP_FILTER_FLAG_LOG"));
  EXPECT_THAT(supported_flags(), ::testing::IsSubsetOf(known_flags()));
}

}  // namespace
}  // namespace cooper::seccomp
