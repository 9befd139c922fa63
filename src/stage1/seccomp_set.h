// Sets of system calls as images of the App Container specification name them: what they leave of a profile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/types.h"

namespace cooper::stage1 {

struct SeccompSet {
  bool retain = false;                     // these calls and no others; false: all but these
  std::vector<std::string> names;          // of calls, and "@group"
  std::optional<std::uint32_t> errno_ret;  // what other calls are answered; none: they end the process
};

// "retain|remove[,errno=NAME],CALL|@GROUP[,...]". Errc::kInvalidArgument for an unknown errno, and for a group whose
// calls are not known.
Result<SeccompSet> parse_seccomp_set(std::string_view text);

// What the profile and the set both allow: a set never allows what the profile does not. What a program needs to begin
// and to end is not taken away by a set that retains others.
oci::Seccomp apply_seccomp_set(oci::Seccomp profile, const SeccompSet& set);

}  // namespace cooper::stage1
