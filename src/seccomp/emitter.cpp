#include "seccomp/internal/emitter.h"

#include <linux/seccomp.h>

#include <bit>
#include <cstddef>

namespace cooper::seccomp {
namespace {

static_assert(std::endian::native == std::endian::little, "argument halves are loaded little-endian");

constexpr int jump(int op) {
  return BPF_JMP | op | BPF_K;
}
constexpr std::uint32_t low(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
constexpr std::uint32_t high(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}
constexpr std::uint32_t low_word(std::uint8_t index) {
  return static_cast<std::uint32_t>(offsetof(struct seccomp_data, args)) + 8U * index;
}
constexpr std::uint32_t high_word(std::uint8_t index) {
  return low_word(index) + 4;
}

}  // namespace

// Lets `branch` of the test jump to the end of the program so far. Conditional jumps reach 255 instructions; farther
// ones go through an unconditional one right behind the test (relative jumps inside what moves stay as they are).
void Emitter::skip_from(std::size_t test, Branch branch) {
  std::size_t distance = out_.size() - test - 1;
  if (distance > 255) {
    out_.insert(out_.begin() + static_cast<std::ptrdiff_t>(test) + 1,
                {static_cast<std::uint16_t>(BPF_JMP | BPF_JA), 0, 0, static_cast<std::uint32_t>(distance)});
    out_[test].jt = branch == Branch::kTrue ? 0 : 1;
    out_[test].jf = branch == Branch::kTrue ? 1 : 0;
    return;
  }
  (branch == Branch::kTrue ? out_[test].jt : out_[test].jf) = static_cast<std::uint8_t>(distance);
}

void Emitter::tree(std::span<const Leaf> leaves) {
  if (leaves.size() == 1) return leaf(leaves.front());
  const std::size_t middle = leaves.size() / 2;
  const std::size_t test = out_.size();
  emit(jump(BPF_JGE), leaves[middle].start);
  tree(leaves.first(middle));
  skip_from(test, Branch::kTrue);
  tree(leaves.subspan(middle));
}

void Emitter::leaf(const Leaf& leaf) {
  for (const Rule* each : leaf.rules) rule(*each, leaf.wide);
  ret(leaf.action);
}

void Emitter::rule(const Rule& rule, bool wide) {
  std::vector<Miss> misses;
  for (const Condition& each : rule.conditions) condition(each, wide, misses);
  ret(rule.action);
  // At most 6 conditions of 5 instructions: always within reach.
  for (const Miss& miss : misses) skip_from(miss.at, miss.branch);
}

void Emitter::leave(int op, std::uint32_t k, Branch branch, std::vector<Miss>& misses) {
  misses.push_back({out_.size(), branch});
  emit(jump(op), k);
}

void Emitter::condition(const Condition& condition, bool wide, std::vector<Miss>& misses) {
  if (condition.op == Op::kMaskedEqual) {
    if (wide) masked_half(high_word(condition.index), high(condition.value), high(condition.datum), misses);
    masked_half(low_word(condition.index), low(condition.value), low(condition.datum), misses);
  } else if (wide) {
    compare_wide(condition, misses);
  } else {
    compare_low(condition, misses);
  }
}

void Emitter::masked_half(std::uint32_t offset, std::uint32_t mask, std::uint32_t datum, std::vector<Miss>& misses) {
  if (mask == 0) return;  // bits of the datum outside the mask do not count
  load(offset);
  if (mask != UINT32_MAX) emit(BPF_ALU | BPF_AND | BPF_K, mask);
  leave(BPF_JEQ, datum & mask, Branch::kFalse, misses);
}

void Emitter::compare_low(const Condition& condition, std::vector<Miss>& misses) {
  const std::uint32_t k = low(condition.value);
  load(low_word(condition.index));
  switch (condition.op) {
    case Op::kEqual:
      return leave(BPF_JEQ, k, Branch::kFalse, misses);
    case Op::kNotEqual:
      return leave(BPF_JEQ, k, Branch::kTrue, misses);
    case Op::kGreater:
      return leave(BPF_JGT, k, Branch::kFalse, misses);
    case Op::kGreaterEqual:
      return leave(BPF_JGE, k, Branch::kFalse, misses);
    case Op::kLess:
      return leave(BPF_JGE, k, Branch::kTrue, misses);
    case Op::kLessEqual:
      return leave(BPF_JGT, k, Branch::kTrue, misses);
    case Op::kMaskedEqual:
      return;
  }
}

// The high half decides unless it is equal; then the low half does. "other" skips the two instructions of the low half.
void Emitter::compare_wide(const Condition& condition, std::vector<Miss>& misses) {
  const std::uint32_t top = high(condition.value);
  load(high_word(condition.index));
  switch (condition.op) {
    case Op::kEqual:
      leave(BPF_JEQ, top, Branch::kFalse, misses);
      break;
    case Op::kNotEqual:
      emit(jump(BPF_JEQ), top, 0, 2);
      break;
    case Op::kGreater:
    case Op::kGreaterEqual:
      emit(jump(BPF_JGT), top, 3, 0);
      leave(BPF_JEQ, top, Branch::kFalse, misses);
      break;
    case Op::kLess:
    case Op::kLessEqual:
      leave(BPF_JGT, top, Branch::kTrue, misses);
      emit(jump(BPF_JEQ), top, 0, 2);
      break;
    case Op::kMaskedEqual:
      return;
  }
  compare_low(condition, misses);
}

}  // namespace cooper::seccomp
