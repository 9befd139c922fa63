// Limits as properties of a unit. The two maps differ because systemd names the knobs of the two versions of cgroups
// differently.
#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/settings.h"
#include "cgroup/internal/systemd_devices.h"
#include "cgroup/systemd.h"
#include "log/log.h"

namespace cooper::cgroup {
namespace {

using dbus::Value;

constexpr std::uint64_t kInfinity = UINT64_MAX;
constexpr std::uint64_t kDefaultPeriodUs = 100000;
constexpr std::uint64_t kSecondUs = 1000000;
constexpr std::uint64_t kPercentUs = kSecondUs / 100;
constexpr std::size_t kMaxCpu = 8192;

constexpr int kHasQuotaPeriod = 242;
constexpr int kHasAllowedCpus = 244;
constexpr int kHasIdleWeight = 252;
constexpr int kScopeHasOomPolicy = 253;

class Builder {
 public:
  void number(std::string name, std::uint64_t value, int since = 0) {
    out_.push_back({std::move(name), Value::u64(value), since});
  }
  void add(std::string name, Value value, int since = 0) { out_.push_back({std::move(name), std::move(value), since}); }
  Status cpuset(std::string name, const std::string& list) {
    ASSIGN_OR_RETURN(const auto bits, range_bits(list));
    add(std::move(name), Value::bytes(bits), kHasAllowedCpus);
    return {};
  }
  std::vector<UnitProperty> take() { return std::move(out_); }

 private:
  std::vector<UnitProperty> out_;
};

std::uint64_t or_infinity(std::int64_t limit) {
  return limit < 0 ? kInfinity : static_cast<std::uint64_t>(limit);
}

// Microseconds of processor time a second; systemd keeps whole percents.
std::uint64_t quota_per_second(std::int64_t quota, std::uint64_t period) {
  if (quota <= 0) return kInfinity;
  std::uint64_t scaled = 0;
  if (__builtin_mul_overflow(static_cast<std::uint64_t>(quota), kSecondUs, &scaled)) return kInfinity;
  return (scaled / period + kPercentUs - 1) / kPercentUs * kPercentUs;
}

// On v2; the literal value counts.
bool becomes_idle(const oci::Resources& resources) {
  const auto literal = resources.unified.find("cpu.idle");
  if (literal != resources.unified.end()) return trim(literal->second) == "1";
  return resources.cpu && resources.cpu->idle.value_or(0) == 1;
}

// No weight for who is to be idle, which on v2 is a weight of its own.
Status add_cpu(Builder& out, const oci::Cpu& cpu, Tree tree, bool idle) {
  const std::uint64_t shares = cpu.shares.value_or(0);
  if (shares != 0 && !idle) {
    if (tree == Tree::kV1) {
      out.number("CPUShares", shares);
    } else {
      out.number("CPUWeight", cpu_weight_from_shares(shares));
    }
  }
  const std::int64_t quota = cpu.quota.value_or(0);
  const std::uint64_t period = cpu.period.value_or(0);
  if (period != 0) out.number("CPUQuotaPeriodUSec", period, kHasQuotaPeriod);
  if (quota != 0 || period != 0)
    out.number("CPUQuotaPerSecUSec", quota_per_second(quota, period == 0 ? kDefaultPeriodUs : period));
  if (!cpu.cpus.empty()) RETURN_IF_ERROR(out.cpuset("AllowedCPUs", cpu.cpus));
  if (!cpu.mems.empty()) RETURN_IF_ERROR(out.cpuset("AllowedMemoryNodes", cpu.mems));
  return {};
}

void add_memory(Builder& out, const oci::Memory& memory, Tree tree) {
  const std::int64_t limit = memory.limit.value_or(0);
  if (tree == Tree::kV1) {
    if (limit != 0) out.number("MemoryLimit", or_infinity(limit));
    return;
  }
  if (limit != 0) out.number("MemoryMax", or_infinity(limit));
  if (const auto low = memory.reservation.value_or(0); low != 0) out.number("MemoryLow", or_infinity(low));
  // Ours counts both, systemd's swap alone.
  const std::int64_t sum = memory.swap.value_or(0);
  if (sum < 0 || (sum == 0 && limit == -1)) {
    out.number("MemorySwapMax", kInfinity);
  } else if (sum > 0 && limit == -1) {
    out.number("MemorySwapMax", static_cast<std::uint64_t>(sum));
  } else if (sum > 0 && limit > 0 && sum >= limit) {
    out.number("MemorySwapMax", static_cast<std::uint64_t>(sum - limit));
  }
}

// Limits of single devices. A device is named by its number, which needs no node of its own name; systemd looks it up
// when it writes the file.
std::string device_path(std::int64_t major, std::int64_t minor) {
  return "/dev/block/" + std::to_string(major) + ":" + std::to_string(minor);
}

void add_device_numbers(Builder& out, std::string name, std::vector<Value> entries) {
  if (!entries.empty()) out.add(std::move(name), Value::array("(st)", std::move(entries)));
}

void add_throttles(Builder& out, std::string name, const std::vector<oci::ThrottleDevice>& devices) {
  std::vector<Value> entries;
  for (const auto& device : devices) {
    entries.push_back(Value::structure({Value::string(device_path(device.major, device.minor)),
                                        Value::u64(device.rate == 0 ? kInfinity : device.rate)}));
  }
  add_device_numbers(out, std::move(name), std::move(entries));
}

void add_block_io(Builder& out, const oci::BlockIo& io, Tree tree) {
  const bool v1 = tree == Tree::kV1;
  const auto scaled = [&](std::uint64_t weight) { return v1 ? weight : io_weight_from_blkio(weight); };
  if (const std::uint64_t weight = io.weight.value_or(0); weight != 0)
    out.number(v1 ? "BlockIOWeight" : "IOWeight", scaled(weight));
  std::vector<Value> weights;
  for (const auto& device : io.weight_devices) {
    const std::uint64_t weight = device.weight.value_or(0);
    if (weight == 0) continue;
    weights.push_back(
        Value::structure({Value::string(device_path(device.major, device.minor)), Value::u64(scaled(weight))}));
  }
  add_device_numbers(out, v1 ? "BlockIODeviceWeight" : "IODeviceWeight", std::move(weights));
  add_throttles(out, v1 ? "BlockIOReadBandwidth" : "IOReadBandwidthMax", io.read_bps);
  add_throttles(out, v1 ? "BlockIOWriteBandwidth" : "IOWriteBandwidthMax", io.write_bps);
  if (v1) return;  // operations a second: cgroupfs alone
  add_throttles(out, "IOReadIOPSMax", io.read_iops);
  add_throttles(out, "IOWriteIOPSMax", io.write_iops);
}

std::optional<std::uint64_t> max_or_number(std::string_view text) {
  text = trim(text);
  if (text == "max") return kInfinity;
  return parse_number<std::uint64_t>(text);
}

Status add_cpu_max(Builder& out, std::string_view value) {
  const auto words = split(trim(value), ' ');
  const auto quota = max_or_number(words[0]);
  const auto period = words.size() > 1 ? parse_number<std::uint64_t>(words[1]) : kDefaultPeriodUs;
  if (!quota || !period || *period == 0 || words.size() > 2)
    return Error(Errc::kInvalidArgument, "unified resource 'cpu.max': malformed value " + quoted(value), EINVAL);
  if (words.size() > 1) out.number("CPUQuotaPeriodUSec", *period, kHasQuotaPeriod);
  const bool unlimited = *quota > std::uint64_t{INT64_MAX};  // kInfinity, too
  out.number("CPUQuotaPerSecUSec", quota_per_second(unlimited ? -1 : static_cast<std::int64_t>(*quota), *period));
  return {};
}

struct NumberKnob {
  std::string_view file;
  std::string_view property;
};
constexpr std::array kNumberKnobs = std::to_array<NumberKnob>({
    {"cpu.weight", "CPUWeight"},
    {"memory.high", "MemoryHigh"},
    {"memory.low", "MemoryLow"},
    {"memory.max", "MemoryMax"},
    {"memory.min", "MemoryMin"},
    {"memory.swap.max", "MemorySwapMax"},
    {"pids.max", "TasksMax"},
});

// What systemd has no property for is written through cgroupfs alone.
Status add_unified(Builder& out, const std::map<std::string, std::string>& unified, Occasion occasion, bool idle) {
  for (const auto& [file, value] : unified) {
    if (file == "cpu.max") RETURN_IF_ERROR(add_cpu_max(out, value));
    if (file == "cpuset.cpus") RETURN_IF_ERROR(out.cpuset("AllowedCPUs", std::string(trim(value))));
    if (file == "cpuset.mems") RETURN_IF_ERROR(out.cpuset("AllowedMemoryNodes", std::string(trim(value))));
    // What an update to 0 would bring back is not known.
    if (file == "memory.oom.group" && occasion == Occasion::kCreate)
      out.add("OOMPolicy", Value::string(trim(value) == "1" ? "kill" : "continue"), kScopeHasOomPolicy);
    for (const NumberKnob& knob : kNumberKnobs) {
      if (knob.file != file || (idle && file == "cpu.weight")) continue;
      const auto number = max_or_number(value);
      if (!number)
        return Error(Errc::kInvalidArgument,
                     "unified resource " + quoted(file) + ": " + quoted(value) + " is no number and not 'max'", EINVAL);
      out.number(std::string(knob.property), file == "pids.max" && *number == 0 ? 1 : *number);
    }
  }
  return {};
}

}  // namespace

std::vector<dbus::Property> for_version(const std::vector<UnitProperty>& properties, int version) {
  std::vector<dbus::Property> out;
  for (const UnitProperty& property : properties) {
    if (property.since > version) {
      log::debug("systemd " + std::to_string(version) + " has no property " + quoted(property.name) +
                 ", which came with " + std::to_string(property.since));
      continue;
    }
    out.push_back({property.name, property.value});
  }
  return out;
}

int newest_needed(const std::vector<UnitProperty>& properties) {
  int out = 0;
  for (const UnitProperty& property : properties) out = std::max(out, property.since);
  return out;
}

std::vector<UnitProperty> unit_properties(const UnitName& name, std::string_view id, Tree tree) {
  Builder out;
  out.add("Description", Value::string("coop container " + std::string(id)));
  if (name.is_slice()) {
    // A slice's parent is in its name.
    out.add("Wants", Value::strings({name.slice}));
  } else {
    out.add("Slice", Value::string(name.slice));
    // The container writes below the scope; systemd stays out of there.
    out.add("Delegate", Value::boolean(true));
  }
  for (const char* what : {"Memory", "CPU", tree == Tree::kV2 ? "IO" : "BlockIO", "Tasks"})
    out.add(std::string(what) + "Accounting", Value::boolean(true));
  // No ordering before the host's shutdown: who runs the container stops it.
  out.add("DefaultDependencies", Value::boolean(false));
  return out.take();
}

Result<std::vector<UnitProperty>> resource_properties(const oci::Resources& resources, Tree tree, Occasion occasion) {
  Builder out;
  if (resources.memory) add_memory(out, *resources.memory, tree);
  const bool idle = tree == Tree::kV2 && becomes_idle(resources);
  if (idle) out.number("CPUWeight", 0, kHasIdleWeight);
  if (resources.cpu) RETURN_IF_ERROR(add_cpu(out, *resources.cpu, tree, idle));
  // systemd takes 0 for "not set": the file gets it afterwards.
  if (resources.pids_limit) out.number("TasksMax", *resources.pids_limit == 0 ? 1 : or_infinity(*resources.pids_limit));
  if (resources.block_io) add_block_io(out, *resources.block_io, tree);
  if (tree == Tree::kV2) RETURN_IF_ERROR(add_unified(out, resources.unified, occasion, idle));
  std::vector<UnitProperty> all = out.take();
  if (occasion == Occasion::kUpdate && resources.devices.empty()) return all;
  std::vector<UnitProperty> devices = device_properties(resources.devices);
  std::move(devices.begin(), devices.end(), std::back_inserter(all));
  return all;
}

void round_quota(oci::Resources& resources) {
  if (!resources.cpu || resources.cpu->quota.value_or(0) <= 0) return;
  std::uint64_t period = resources.cpu->period.value_or(0);
  if (period == 0) period = kDefaultPeriodUs;
  const std::uint64_t per_second = quota_per_second(*resources.cpu->quota, period);
  if (per_second == kInfinity) return;
  std::uint64_t scaled = 0;
  if (__builtin_mul_overflow(per_second, period, &scaled)) return;
  resources.cpu->quota = static_cast<std::int64_t>(scaled / kSecondUs);
}

Result<std::vector<std::uint8_t>> range_bits(std::string_view list) {
  const auto bad = [&] {
    return Error(Errc::kInvalidArgument,
                 quoted(list) + " is no list of numbers below " + std::to_string(kMaxCpu) + " such as '0-2,5'", EINVAL);
  };
  std::vector<std::uint8_t> out;
  for (const auto part : split(list, ',')) {
    const auto range = split_once(part, '-');
    const auto first = parse_number<std::size_t>(trim(range ? range->first : part));
    const auto last = parse_number<std::size_t>(trim(range ? range->second : part));
    if (!first || !last || *first > *last || *last >= kMaxCpu) return bad();
    if (out.size() <= *last / 8) out.resize(*last / 8 + 1);
    for (std::size_t bit = *first; bit <= *last; ++bit)
      out[bit / 8] = static_cast<std::uint8_t>(out[bit / 8] | 1U << (bit % 8));
  }
  return out;
}

}  // namespace cooper::cgroup
