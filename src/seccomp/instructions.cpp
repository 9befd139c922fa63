#include <linux/bpf_common.h>

#include <cstring>

#include "seccomp/seccomp.h"

namespace cooper::seccomp {

Result<Program> from_instructions(std::string_view bytes) {
  constexpr std::size_t kSize = sizeof(struct sock_filter);
  if (bytes.empty() || bytes.size() % kSize != 0) {
    return Error(Errc::kInvalidArgument, "a seccomp filter of " + std::to_string(bytes.size()) +
                                             " bytes is none: instructions have " + std::to_string(kSize) +
                                             " bytes each")
        .with_hint("write it with seccomp_export_bpf(3)");
  }
  if (bytes.size() / kSize > BPF_MAXINSNS) {
    return Error(Errc::kLimit, "a seccomp filter of " + std::to_string(bytes.size() / kSize) +
                                   " instructions is too long: the kernel takes " + std::to_string(BPF_MAXINSNS));
  }
  Program out;
  out.instructions.resize(bytes.size() / kSize);
  std::memcpy(out.instructions.data(), bytes.data(), bytes.size());
  return out;
}

}  // namespace cooper::seccomp
