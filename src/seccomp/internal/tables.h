// Words of the runtime specification and their values. Each table is the only place its names are written.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "seccomp/internal/syscalls.h"

namespace cooper::seccomp {

struct ActionName {
  std::string_view name;
  std::uint32_t value;  // SECCOMP_RET_*
  bool takes_errno;     // the low 16 bits carry errnoRet
};
std::span<const ActionName> action_names();
const ActionName* find_action(std::string_view name);

enum class Op : std::uint8_t { kNotEqual, kLess, kLessEqual, kEqual, kGreaterEqual, kGreater, kMaskedEqual };
struct OperatorName {
  std::string_view name;
  Op op;
};
std::span<const OperatorName> operator_names();
const OperatorName* find_operator(std::string_view name);

struct ArchName {
  std::string_view name;     // SCMP_ARCH_X86_64
  std::optional<Arch> arch;  // empty: there is no table of numbers, and no build for such a machine
};
std::span<const ArchName> arch_names();
const ArchName* find_arch(std::string_view name);
// AUDIT_ARCH_* as seccomp_data carries it. x86_64 and x32 share one.
std::uint32_t audit_arch(Arch arch);
// 64-bit arguments are compared whole only where registers have 64 bits; elsewhere the low half.
bool compares_64_bits(Arch arch);
// The architecture this program was built for.
Arch native_arch();
// Whether a kernel that runs this program may run programs of that one: 32 and 64 bits of one family.
bool runs_here(Arch arch);

struct FlagName {
  std::string_view name;
  std::uint32_t value;
};
std::span<const FlagName> flag_names();
const FlagName* find_flag(std::string_view name);

}  // namespace cooper::seccomp
