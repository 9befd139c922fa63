// Profiles made of arbitrary bytes: the compiler neither crashes nor emits a program that leaves its bounds.
#include <linux/audit.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "seccomp/internal/syscalls.h"
#include "seccomp/internal/tables.h"
#include "seccomp/internal/testing.h"
#include "seccomp/seccomp.h"

namespace {

using namespace cooper;

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return at_ >= size_; }
  std::uint8_t byte() { return empty() ? std::uint8_t{0} : data_[at_++]; }
  std::uint64_t word() {
    std::uint64_t out = 0;
    for (int i = 0; i < 8; ++i) out = out << 8 | byte();
    return out;
  }
  // Mostly a valid word of the table, sometimes rubbish.
  template <typename Table>
  std::string name(const Table& table) {
    const std::uint8_t n = byte();
    return n == 0xff ? std::string("rubbish") : std::string(table[n % table.size()].name);
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

oci::Seccomp read_profile(Bytes& in) {
  oci::Seccomp out;
  out.default_action = in.name(seccomp::action_names());
  if ((in.byte() & 1) != 0) out.default_errno_ret = in.byte();
  for (int i = in.byte() % 4; i > 0; --i) out.architectures.push_back(in.name(seccomp::arch_names()));
  for (int i = in.byte() % 3; i > 0; --i) out.flags.push_back(in.name(seccomp::flag_names()));
  while (!in.empty()) {
    oci::SeccompSyscall entry;
    entry.action = in.name(seccomp::action_names());
    for (int i = in.byte() % 8; i >= 0; --i)
      entry.names.emplace_back(seccomp::syscall_rows()[in.word() % seccomp::syscall_count()].name);
    for (int i = in.byte() % 4; i > 0; --i) {
      entry.args.push_back({.index = in.byte() % 7U,
                            .value = in.word(),
                            .value_two = in.word(),
                            .op = in.name(seccomp::operator_names())});
    }
    out.syscalls.push_back(std::move(entry));
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes in(data, size);
  const auto program = cooper::seccomp::compile(read_profile(in), cooper::seccomp::Sections::kAll);
  if (!program.ok()) return 0;
  for (const std::uint32_t arch :
       {std::uint32_t{AUDIT_ARCH_X86_64}, std::uint32_t{AUDIT_ARCH_I386}, std::uint32_t{AUDIT_ARCH_ARM},
        std::uint32_t{AUDIT_ARCH_AARCH64}, std::uint32_t{AUDIT_ARCH_PPC64LE}}) {
    for (const std::uint32_t number :
         {0U, 56U, 102U, 334U, 500U, 0x0f0002U, 0x3fffffffU, 0x40000000U, 0x40000200U, 0xffffffffU}) {
      const struct seccomp_data call = {.nr = static_cast<int>(number),
                                        .arch = arch,
                                        .instruction_pointer = 0,
                                        .args = {number, 1, 2, 3, 4, UINT64_MAX}};
      if (cooper::seccomp::testing::run(program->instructions, call) == cooper::seccomp::testing::kBroken) std::abort();
    }
  }
  return 0;
}
