// Seccomp profiles in docker's and podman's form, and words of --security-opt, as arbitrary bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "stage1/seccomp_file.h"
#include "stage1/security.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper::stage1;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const ProfileContext context{{"CAP_SYS_ADMIN"}, "SCMP_ARCH_X86_64", "amd64", 6, 1};
  const auto profile = parse_profile(text, "profile", context);
  if (profile.ok()) {
    for (const auto& rule : profile->syscalls) {
      if (rule.names.empty()) std::abort();
    }
  }
  const auto security = parse_security({text});
  if (security.ok()) {
    for (const std::string& path : security->mask) {
      if (!path.starts_with('/')) std::abort();
    }
    (void)protected_paths(*security, false);
  }
  return 0;
}
