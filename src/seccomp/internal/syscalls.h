// System call names and numbers per architecture.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cooper::seccomp {

// Order of the columns of syscalls.inc.
enum class Arch : std::uint8_t { kX64, kX86, kX32, kArm, kAarch64 };
inline constexpr std::size_t kArchCount = 5;

// Numbers of x32 come without the bit that marks them (kX32Bit). -1: no such call.
using Numbers = std::array<std::int32_t, kArchCount>;
inline constexpr std::uint32_t kX32Bit = 0x40000000;
// The private calls of 32-bit ARM (cacheflush, set_tls) start here, far above the others.
inline constexpr std::int32_t kArmPrivate = 0x0f0000;

// Calls that 32-bit x86 also (or only) reaches through socketcall(2) or ipc(2), and the selector in their first
// argument.
struct Multiplexed {
  std::string_view name;
  std::string_view through;  // "socketcall" or "ipc"
  std::uint32_t selector;
};

struct SyscallEntry {
  Numbers numbers;
  const Multiplexed* multiplexed;  // nullptr for most
};
// nullopt for a name no known kernel has.
std::optional<SyscallEntry> find_syscall(std::string_view name);

struct SyscallRow {
  std::string_view name;
  Numbers numbers;
};
// All rows, sorted by name (for tests and for printing).
const SyscallRow* syscall_rows();
std::size_t syscall_count();

}  // namespace cooper::seccomp
