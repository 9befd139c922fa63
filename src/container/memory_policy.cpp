#include "container/memory_policy.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <limits>

#include "base/strings.h"
#include "container/number_list.h"
#include "container/validate_rules.h"

namespace cooper::container {
namespace {

// linux/mempolicy.h, under names of our own: the header of Debian 12 lacks the newer ones.
constexpr int kDefault = 0, kPreferred = 1, kBind = 2, kInterleave = 3, kLocal = 4;
constexpr int kPreferredMany = 5;       // 5.15
constexpr int kWeightedInterleave = 6;  // 6.9
constexpr int kStaticNodes = 1 << 15, kRelativeNodes = 1 << 14;
constexpr int kNumaBalancing = 1 << 13;  // 5.12

constexpr std::array<PolicyWord, 7> kModes{{{"MPOL_DEFAULT", kDefault},
                                            {"MPOL_PREFERRED", kPreferred},
                                            {"MPOL_BIND", kBind},
                                            {"MPOL_INTERLEAVE", kInterleave},
                                            {"MPOL_LOCAL", kLocal},
                                            {"MPOL_PREFERRED_MANY", kPreferredMany},
                                            {"MPOL_WEIGHTED_INTERLEAVE", kWeightedInterleave}}};
constexpr std::array<PolicyWord, 3> kFlags{{{"MPOL_F_NUMA_BALANCING", kNumaBalancing},
                                            {"MPOL_F_RELATIVE_NODES", kRelativeNodes},
                                            {"MPOL_F_STATIC_NODES", kStaticNodes}}};

const PolicyWord* find(std::span<const PolicyWord> words, std::string_view word) {
  for (const PolicyWord& entry : words) {
    if (entry.word == word) return &entry;
  }
  return nullptr;
}

}  // namespace

std::span<const PolicyWord> memory_policy_modes() {
  return kModes;
}
std::span<const PolicyWord> memory_policy_flags() {
  return kFlags;
}

Status check_memory_policy(const oci::MemoryPolicy& policy, std::string_view pointer) {
  const std::string base(pointer);
  const PolicyWord* mode = find(kModes, policy.mode);
  if (mode == nullptr) return rules::fail(base + "/mode", "unknown memory policy " + quoted(policy.mode));
  int flags = 0;
  for (std::size_t i = 0; i < policy.flags.size(); ++i) {
    const PolicyWord* flag = find(kFlags, policy.flags[i]);
    if (flag == nullptr)
      return rules::fail(rules::at(base + "/flags", i, ""), "unknown memory policy flag " + quoted(policy.flags[i]));
    flags |= flag->value;
  }
  const auto nodes = parse_number_list(policy.nodes);
  if (!nodes) return rules::fail(base + "/nodes", quoted(policy.nodes) + " is not a list of memory nodes such as 0-1");
  const bool takes_none = mode->value == kDefault || mode->value == kLocal;
  if (takes_none && !nodes->empty()) return rules::fail(base + "/nodes", policy.mode + " takes no nodes");
  if (!takes_none && mode->value != kPreferred && nodes->empty())
    return rules::fail(base + "/nodes", policy.mode + " needs nodes");
  if (nodes->empty() && flags != 0)
    return rules::fail(base + "/flags", "flags need nodes, and " + policy.mode + " is used without");
  if ((flags & kStaticNodes) != 0 && (flags & kRelativeNodes) != 0)
    return rules::fail(base + "/flags", "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other");
  if ((flags & kNumaBalancing) != 0 && mode->value != kBind && mode->value != kPreferredMany)
    return rules::fail(base + "/flags", "MPOL_F_NUMA_BALANCING is for MPOL_BIND and MPOL_PREFERRED_MANY only");
  return {};
}

SetMemoryPolicy plan_memory_policy(const oci::MemoryPolicy& policy) {
  SetMemoryPolicy out;
  out.policy = policy;
  if (const PolicyWord* mode = find(kModes, policy.mode)) out.mode = mode->value;
  for (const std::string& word : policy.flags) {
    if (const PolicyWord* flag = find(kFlags, word)) out.mode |= flag->value;
  }
  out.nodes = parse_number_list(policy.nodes).value_or(std::vector<std::uint32_t>());
  return out;
}

// set_mempolicy(2), kernel 2.6.7. The kernel reads one bit less than it is told (a wart of the interface).
Status apply_memory_policy(const SetMemoryPolicy& step) {
  const std::vector<unsigned long> mask = number_mask(step.nodes);
  const unsigned long bits = mask.empty() ? 0 : mask.size() * std::numeric_limits<unsigned long>::digits + 1;
  if (::syscall(SYS_set_mempolicy, step.mode, mask.empty() ? nullptr : mask.data(), bits) == 0) return {};
  const int saved = errno;
  Error error = Error::from_errno(saved, "set memory policy " + quoted(step.policy.mode) +
                                             (step.policy.nodes.empty() ? "" : " on nodes " + step.policy.nodes));
  if (saved == EINVAL)
    return std::move(error).with_hint(
        "the nodes must have memory and be in the container's cpuset (linux.resources.cpu.mems), and the kernel must "
        "know the mode");
  if (saved == ENOSYS) return std::move(error).with_hint("this kernel is built without NUMA");
  return error;
}

Status apply_affinity(const SetAffinity& step) {
  const std::vector<unsigned long> mask = number_mask(step.cpus);
  if (::syscall(SYS_sched_setaffinity, 0, mask.size() * sizeof(unsigned long), mask.data()) == 0) return {};
  const int saved = errno;
  Error error = Error::from_errno(saved, "set the " + step.when + " CPU affinity to " + step.text);
  if (saved == EINVAL)
    return std::move(error).with_hint("none of the processors is online and in the cpuset of the process");
  return error;
}

}  // namespace cooper::container
