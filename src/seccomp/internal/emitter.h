// Classic BPF for seccomp: one decision tree per architecture behind a dispatch on the architecture.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <vector>

#include "seccomp/internal/tables.h"

namespace cooper::seccomp {

struct Condition {
  std::uint8_t index = 0;  // argument 0..5
  Op op = Op::kEqual;
  std::uint64_t value = 0;  // kMaskedEqual: the mask
  std::uint64_t datum = 0;  // kMaskedEqual: what the masked argument must be
};

// All conditions hold -> action.
struct Rule {
  std::uint32_t action = 0;
  std::vector<Condition> conditions;
  bool whole_call = false;  // asks nothing but which call it is
};

// What happens to the call numbers from `start` up to the next leaf: the rules in order, then `action`.
struct Leaf {
  std::uint32_t start = 0;
  std::uint32_t action = 0;
  bool wide = false;               // arguments are compared as 64-bit values
  std::vector<const Rule*> rules;  // with conditions only
};

class Emitter {
 public:
  // A = word at `offset` of struct seccomp_data.
  void load(std::uint32_t offset) { emit(BPF_LD | BPF_W | BPF_ABS, offset); }
  void ret(std::uint32_t action) { emit(BPF_RET | BPF_K, action); }
  // Skips what `body` emits unless A == value.
  template <typename Body>
  void only_if_equal(std::uint32_t value, Body body) {
    const std::size_t test = out_.size();
    emit(BPF_JMP | BPF_JEQ | BPF_K, value);
    body();
    skip_from(test, Branch::kFalse);
  }
  // A binary search of A (the call number) over leaves sorted by start; the first must start at or below every possible
  // A. Every path ends in a return.
  void tree(std::span<const Leaf> leaves);

  std::size_t size() const { return out_.size(); }
  std::vector<struct sock_filter> take() { return std::move(out_); }

 private:
  enum class Branch { kTrue, kFalse };
  struct Miss {
    std::size_t at;
    Branch branch;
  };
  void emit(int code, std::uint32_t k, unsigned jt = 0, unsigned jf = 0) {
    out_.push_back({static_cast<std::uint16_t>(code), static_cast<std::uint8_t>(jt), static_cast<std::uint8_t>(jf), k});
  }
  void skip_from(std::size_t test, Branch branch);
  void leaf(const Leaf& leaf);
  void rule(const Rule& rule, bool wide);
  void condition(const Condition& condition, bool wide, std::vector<Miss>& misses);
  void compare_wide(const Condition& condition, std::vector<Miss>& misses);
  void compare_low(const Condition& condition, std::vector<Miss>& misses);
  void masked_half(std::uint32_t offset, std::uint32_t mask, std::uint32_t datum, std::vector<Miss>& misses);
  // A conditional jump whose `branch` leads out of the rule.
  void leave(int op, std::uint32_t k, Branch branch, std::vector<Miss>& misses);

  std::vector<struct sock_filter> out_;
};

}  // namespace cooper::seccomp
