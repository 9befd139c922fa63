// Group::completed(): an update for systemd.
#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/files.h"

namespace cooper::cgroup {
namespace {

constexpr std::uint64_t kDefaultShares = 1024;  // the kernel's at the end of idleness

}  // namespace

Result<oci::Resources> Group::completed(oci::Resources resources) const {
  const Dir* memory = pure_v2() ? v2_dir() : nullptr;
  if (memory != nullptr && resources.memory && !resources.memory->limit && resources.memory->swap.value_or(0) > 0) {
    ASSIGN_OR_RETURN(const std::string limit, read_value(memory->directory + "/memory.max"));
    resources.memory->limit = parse_number<std::int64_t>(limit);
  }
  if (!resources.cpu) return resources;
  oci::Cpu& cpu = *resources.cpu;
  const bool quota = cpu.quota.value_or(0) != 0;
  const bool period = cpu.period.value_or(0) != 0;
  const Dir* dir = pure_v2() ? v2_dir() : find("cpu");
  // On v2 systemd takes idleness for a weight, which it forgets for another one only.
  if (pure_v2() && dir != nullptr && cpu.idle == 0 && cpu.shares.value_or(0) == 0 &&
      read_value(dir->directory + "/cpu.idle").value_or("") == "1")
    cpu.shares = kDefaultShares;
  if (quota == period || dir == nullptr) return resources;
  std::string quota_text;
  std::string period_text;
  if (pure_v2()) {
    ASSIGN_OR_RETURN(const std::string text, read_value(dir->directory + "/cpu.max"));
    const auto pair = split_once(text, ' ');
    if (!pair) return resources;
    quota_text = pair->first;
    period_text = pair->second;
  } else {
    ASSIGN_OR_RETURN(quota_text, read_value(dir->directory + "/cpu.cfs_quota_us"));
    ASSIGN_OR_RETURN(period_text, read_value(dir->directory + "/cpu.cfs_period_us"));
  }
  if (quota) {
    cpu.period = parse_number<std::uint64_t>(trim(period_text));
  } else {
    cpu.quota = parse_number<std::int64_t>(trim(quota_text)).value_or(-1);
  }
  return resources;
}

}  // namespace cooper::cgroup
