#include "cgroup/internal/realtime.h"

#include <algorithm>

#include "base/strings.h"
#include "cgroup/internal/files.h"

namespace cooper::cgroup {
namespace {

constexpr const char* kRuntime = "cpu.rt_runtime_us";
constexpr const char* kPeriod = "cpu.rt_period_us";

struct Budget {
  std::int64_t runtime = 0, period = 0;  // microseconds; a runtime of -1 is all of it
};

Result<std::int64_t> read_us(const std::string& directory, const char* file) {
  const std::string path = directory + "/" + file;
  ASSIGN_OR_RETURN(const std::string text, read_value(path));
  const auto number = parse_number<std::int64_t>(text);
  if (!number) return Error(Errc::kSystem, quoted(path) + " holds no number but " + quoted(text), EINVAL);
  return *number;
}

Result<Budget> read_budget(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::int64_t runtime, read_us(directory, kRuntime));
  ASSIGN_OR_RETURN(const std::int64_t period, read_us(directory, kPeriod));
  return Budget{runtime, period};
}

// The kernel compares parts of a processor in this fixed point, rounded down.
constexpr std::int64_t kWhole = std::int64_t{1} << 20;

std::int64_t share(const Budget& budget) {
  if (budget.runtime < 0) return kWhole;
  std::int64_t scaled = 0;
  if (budget.period <= 0 || __builtin_mul_overflow(budget.runtime, kWhole, &scaled)) return kWhole;
  return scaled / budget.period;
}

// The least runtime with that share; more than any period where numbers end.
std::int64_t runtime_of(std::int64_t share, std::int64_t period) {
  std::int64_t scaled = 0;
  if (__builtin_mul_overflow(share, period, &scaled)) return INT64_MAX;
  return scaled / kWhole + (scaled % kWhole != 0 ? 1 : 0);
}

Status write_us(const std::string& directory, const char* file, std::int64_t value, std::int64_t former,
                std::vector<Undo>& undo) {
  if (value == former) return {};
  const std::string path = directory + "/" + file;
  RETURN_IF_ERROR(write_control(path, std::to_string(value)));
  undo.push_back({.path = path, .value = std::to_string(former)});
  return {};
}

// `wanted` is the budget that `child` will have.
Status raise_parent(const std::string& mount_point, const std::string& child, const Budget& wanted,
                    std::vector<Undo>& undo) {
  const std::string parent = child.substr(0, child.rfind('/'));
  if (parent.size() <= mount_point.size()) return {};
  std::int64_t needed = share(wanted);
  ASSIGN_OR_RETURN(const auto children, child_groups(parent));
  for (const std::string& name : children) {
    const std::string sibling = parent + "/" + name;
    if (sibling == child) continue;
    auto budget = read_budget(sibling);
    if (budget.ok()) needed += share(*budget);
    if (!budget.ok() && budget.error().code() != Errc::kNotFound) return std::move(budget).error();
  }
  ASSIGN_OR_RETURN(const Budget former, read_budget(parent));
  if (share(former) >= needed) return {};
  // One without a budget takes the period of the first that asks for one.
  Budget raised{0, former.runtime == 0 ? wanted.period : former.period};
  raised.runtime = runtime_of(needed, raised.period);
  RETURN_IF_ERROR(raise_parent(mount_point, parent, raised, undo));
  RETURN_IF_ERROR(write_us(parent, kPeriod, raised.period, former.period, undo));
  return write_us(parent, kRuntime, raised.runtime, former.runtime, undo);
}

}  // namespace

Status make_room_for_realtime(const std::string& mount_point, const std::string& directory, const Setting& setting,
                              std::vector<Undo>& undo) {
  const auto value = parse_number<std::int64_t>(setting.value);
  if (!value) return Error(Errc::kInvalidArgument, quoted(setting.value) + " is no number", EINVAL);
  ASSIGN_OR_RETURN(Budget wanted, read_budget(directory));
  (setting.file == kPeriod ? wanted.period : wanted.runtime) = *value;
  return raise_parent(mount_point, directory, wanted, undo);
}

}  // namespace cooper::cgroup
