#include "seccomp/internal/syscalls.h"

#include <iterator>

namespace cooper::seccomp {
namespace {

constexpr SyscallRow kRows[] = {
#include "seccomp/internal/syscalls.inc"
};
constexpr std::size_t kCount = std::size(kRows);

// FNV-1a, case as written.
constexpr std::uint32_t hash_of(std::string_view text) {
  std::uint32_t hash = 2166136261U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash ^ (hash >> 15);
}

// Open addressing, built by the compiler: a lookup is one hash and about one comparison.
constexpr std::size_t kSlots = 2048;
constexpr std::uint16_t kEmpty = 0xffff;
static_assert(kCount * 2 < kSlots);

constexpr auto make_index() {
  std::array<std::uint16_t, kSlots> index{};
  index.fill(kEmpty);
  for (std::size_t row = 0; row < kCount; ++row) {
    std::size_t slot = hash_of(kRows[row].name) % kSlots;
    while (index[slot] != kEmpty) slot = (slot + 1) % kSlots;
    index[slot] = static_cast<std::uint16_t>(row);
  }
  return index;
}
constexpr auto kIndex = make_index();

constexpr Multiplexed kMultiplexed[] = {
    {"accept", "socketcall", 5},
    {"bind", "socketcall", 2},
    {"connect", "socketcall", 3},
    {"getpeername", "socketcall", 7},
    {"getsockname", "socketcall", 6},
    {"getsockopt", "socketcall", 15},
    {"listen", "socketcall", 4},
    {"msgctl", "ipc", 14},
    {"msgget", "ipc", 13},
    {"msgrcv", "ipc", 12},
    {"msgsnd", "ipc", 11},
    {"recv", "socketcall", 10},
    {"recvfrom", "socketcall", 12},
    {"recvmsg", "socketcall", 17},
    {"recvmmsg", "socketcall", 19},
    {"sendmmsg", "socketcall", 20},
    {"accept4", "socketcall", 18},
    {"semctl", "ipc", 3},
    {"semget", "ipc", 2},
    {"semop", "ipc", 1},
    {"semtimedop", "ipc", 4},
    {"send", "socketcall", 9},
    {"sendmsg", "socketcall", 16},
    {"sendto", "socketcall", 11},
    {"setsockopt", "socketcall", 14},
    {"shmat", "ipc", 21},
    {"shmctl", "ipc", 24},
    {"shmdt", "ipc", 22},
    {"shmget", "ipc", 23},
    {"shutdown", "socketcall", 13},
    {"socket", "socketcall", 1},
    {"socketpair", "socketcall", 8},
};

constexpr std::uint8_t kDirectOnly = 0xff;

// Row of kRows -> row of kMultiplexed.
constexpr auto make_multiplexed_index() {
  std::array<std::uint8_t, kCount> index{};
  index.fill(kDirectOnly);
  for (std::size_t row = 0; row < kCount; ++row) {
    for (std::size_t i = 0; i < std::size(kMultiplexed); ++i) {
      if (kRows[row].name == kMultiplexed[i].name) index[row] = static_cast<std::uint8_t>(i);
    }
  }
  return index;
}
constexpr auto kMultiplexedIndex = make_multiplexed_index();

}  // namespace

std::optional<SyscallEntry> find_syscall(std::string_view name) {
  for (std::size_t slot = hash_of(name) % kSlots; kIndex[slot] != kEmpty; slot = (slot + 1) % kSlots) {
    const std::size_t row = kIndex[slot];
    if (kRows[row].name != name) continue;
    const std::uint8_t multiplexed = kMultiplexedIndex[row];
    return SyscallEntry{kRows[row].numbers, multiplexed == kDirectOnly ? nullptr : &kMultiplexed[multiplexed]};
  }
  return std::nullopt;
}

const SyscallRow* syscall_rows() {
  return kRows;
}
std::size_t syscall_count() {
  return kCount;
}

}  // namespace cooper::seccomp
