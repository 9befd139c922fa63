// linux.memoryPolicy: the words of set_mempolicy(2).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "container/plan.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

struct PolicyWord {
  std::string_view word;
  int value;
};
// MPOL_BIND ...; MPOL_F_STATIC_NODES ...
std::span<const PolicyWord> memory_policy_modes();
std::span<const PolicyWord> memory_policy_flags();

// Errc::kInvalidArgument with the pointer of the member, for what the kernel could only answer EINVAL to.
Status check_memory_policy(const oci::MemoryPolicy& policy, std::string_view pointer);
// Of a checked policy.
SetMemoryPolicy plan_memory_policy(const oci::MemoryPolicy& policy);

// Zone S. The nodes must be in the cpuset of the calling process.
Status apply_memory_policy(const SetMemoryPolicy& step);
// Zone S: sched_setaffinity(2).
Status apply_affinity(const SetAffinity& step);

}  // namespace cooper::container
