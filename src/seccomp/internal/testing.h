// For tests and fuzzers: runs a filter without a kernel.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace cooper::seccomp::testing {

inline constexpr std::uint32_t kBroken = 0x12345678;  // no action has this value

// The instructions seccomp admits. kBroken for any other, and for a jump, load or end out of bounds.
inline std::uint32_t run(std::span<const struct sock_filter> program, const struct seccomp_data& data) {
  std::uint32_t a = 0;
  std::uint32_t x = 0;
  std::uint32_t memory[BPF_MEMWORDS] = {};
  for (std::size_t pc = 0; pc < program.size(); ++pc) {
    const auto& i = program[pc];
    const auto branch = [&](bool taken) { pc += taken ? i.jt : i.jf; };
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (i.k % 4 != 0 || i.k + 4 > sizeof data) return kBroken;
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, 4);
        break;
      case BPF_LD | BPF_MEM:
        if (i.k >= BPF_MEMWORDS) return kBroken;
        a = memory[i.k];
        break;
      case BPF_ST:
        if (i.k >= BPF_MEMWORDS) return kBroken;
        memory[i.k] = a;
        break;
      case BPF_LDX | BPF_IMM:
        x = i.k;
        break;
      case BPF_MISC | BPF_TAX:
        x = a;
        break;
      case BPF_MISC | BPF_TXA:
        a = x;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= i.k;
        break;
      case BPF_JMP | BPF_JA:
        pc += i.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        branch(a == i.k);
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        branch(a > i.k);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        branch(a >= i.k);
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        branch((a & i.k) != 0);
        break;
      case BPF_RET | BPF_K:
        return i.k;
      default:
        return kBroken;
    }
  }
  return kBroken;
}

}  // namespace cooper::seccomp::testing
