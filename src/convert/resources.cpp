#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>

#include "base/strings.h"
#include "convert/convert.h"
#include "convert/internal/seccomp.h"
#include "spec/libcontainer/validate.h"

namespace cooper::convert {
namespace {

using libcontainer::Cgroup;

// A member of a section there, and the one of libcontainer that says the same; 0 is "not set" here.
template <typename Section, typename To, typename From>
struct Limit {
  std::optional<To> Section::*there;
  From Cgroup::*here;
};
template <typename Section, typename To, typename From>
Limit(std::optional<To> Section::*, From Cgroup::*) -> Limit<Section, To, From>;

constexpr std::tuple kMemory{
    Limit{&oci::Memory::limit, &Cgroup::memory}, Limit{&oci::Memory::reservation, &Cgroup::memory_reservation},
    Limit{&oci::Memory::swap, &Cgroup::memory_swap}, Limit{&oci::Memory::kernel, &Cgroup::kernel_memory}};
constexpr std::tuple kCpu{Limit{&oci::Cpu::shares, &Cgroup::cpu_shares}, Limit{&oci::Cpu::quota, &Cgroup::cpu_quota},
                          Limit{&oci::Cpu::period, &Cgroup::cpu_period},
                          Limit{&oci::Cpu::realtime_runtime, &Cgroup::cpu_rt_runtime},
                          Limit{&oci::Cpu::realtime_period, &Cgroup::cpu_rt_period}};
constexpr std::tuple kBlockIo{Limit{&oci::BlockIo::weight, &Cgroup::blkio_weight},
                              Limit{&oci::BlockIo::leaf_weight, &Cgroup::blkio_leaf_weight}};

template <typename To, typename From>
void set(std::optional<To>& out, From value) {
  if (value != From{}) out = static_cast<To>(value);
}
template <typename To, typename From>
void take(To& out, const std::optional<From>& value) {
  if (value) out = static_cast<To>(*value);
}
// True when there is one.
template <typename Limits, typename Section>
bool set_limits(const Limits& limits, Section& out, const Cgroup& cgroup) {
  return std::apply(
      [&](const auto&... limit) {
        (set(out.*limit.there, cgroup.*limit.here), ...);
        return ((out.*limit.there).has_value() || ...);
      },
      limits);
}
template <typename Limits, typename Section>
void take_limits(const Limits& limits, const Section& section, Cgroup& out) {
  std::apply([&](const auto&... limit) { (take(out.*limit.here, section.*limit.there), ...); }, limits);
}

struct Throttles {
  std::vector<oci::ThrottleDevice> oci::BlockIo::*there;
  std::vector<libcontainer::ThrottleDevice> Cgroup::*here;
};
constexpr std::array<Throttles, 4> kThrottles{{{&oci::BlockIo::read_bps, &Cgroup::read_bps},
                                               {&oci::BlockIo::write_bps, &Cgroup::write_bps},
                                               {&oci::BlockIo::read_iops, &Cgroup::read_iops},
                                               {&oci::BlockIo::write_iops, &Cgroup::write_iops}}};

oci::DeviceRule rule_of(const libcontainer::Device& device, bool allow) {
  oci::DeviceRule out{allow, std::string(1, static_cast<char>(device.type)), device.major, device.minor,
                      device.permissions.empty() ? "rwm" : device.permissions};
  if (out.type == "u") out.type = "c";
  if (out.type == "a" || device.major == libcontainer::kWildcard) out.major.reset();
  if (out.type == "a" || device.minor == libcontainer::kWildcard) out.minor.reset();
  return out;
}

// Allow everything but a list, or nothing but a list; or what an ordered list says.
std::vector<oci::DeviceRule> device_rules(const libcontainer::Cgroup& cgroup) {
  std::vector<oci::DeviceRule> out;
  out.push_back({cgroup.allow_all_devices, "a", {}, {}, "rwm"});
  for (const auto& device : cgroup.allow_all_devices ? cgroup.denied_devices : cgroup.allowed_devices) {
    if (device.type != U'p') out.push_back(rule_of(device, !cgroup.allow_all_devices));
  }
  for (const auto& rule : cgroup.device_rules) {
    if (rule.device.type != U'p') out.push_back(rule_of(rule.device, rule.allow));
  }
  return out;
}

template <typename To, typename From>
void copy_throttles(std::vector<To>& out, const std::vector<From>& devices) {
  out.clear();
  for (const From& device : devices) out.push_back({device.major, device.minor, device.rate});
}

// nullopt when nothing is limited.
std::optional<oci::BlockIo> block_io(const Cgroup& cgroup) {
  oci::BlockIo out;
  bool any = set_limits(kBlockIo, out, cgroup) || !cgroup.blkio_weight_device.empty();
  for (const auto& device : cgroup.blkio_weight_device) {
    oci::WeightDevice& entry = out.weight_devices.emplace_back();
    entry.major = device.major;
    entry.minor = device.minor;
    set(entry.weight, device.weight);
    set(entry.leaf_weight, device.leaf_weight);
  }
  for (const Throttles& kind : kThrottles) {
    copy_throttles(out.*kind.there, cgroup.*kind.here);
    any = any || !(out.*kind.there).empty();
  }
  return any ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<oci::Memory> memory(const Cgroup& cgroup) {
  oci::Memory out;
  bool any = set_limits(kMemory, out, cgroup);
  if (cgroup.memory_swappiness >= 0) out.swappiness = static_cast<std::uint64_t>(cgroup.memory_swappiness);
  if (cgroup.oom_kill_disable) out.disable_oom_killer = true;
  any = any || out.swappiness || out.disable_oom_killer;
  return any ? std::optional(out) : std::nullopt;
}

std::optional<oci::Cpu> cpu(const Cgroup& cgroup) {
  oci::Cpu out;
  const bool any = set_limits(kCpu, out, cgroup);
  out.cpus = cgroup.cpuset_cpus;
  out.mems = cgroup.cpuset_mems;
  return any || !out.cpus.empty() || !out.mems.empty() ? std::optional(std::move(out)) : std::nullopt;
}

bool is_of_all(const oci::DeviceRule& rule) {
  const auto has = [&](char letter) { return rule.access.find(letter) != std::string::npos; };
  return (rule.type.empty() || rule.type == "a") && rule.major.value_or(-1) == -1 && rule.minor.value_or(-1) == -1 &&
         (rule.access.empty() || (has('r') && has('w') && has('m')));
}

// Two for a rule of both kinds.
std::vector<libcontainer::Device> devices_of(const oci::DeviceRule& rule) {
  libcontainer::Device device;
  device.major = rule.major.value_or(libcontainer::kWildcard);
  device.minor = rule.minor.value_or(libcontainer::kWildcard);
  device.permissions = rule.access.empty() ? "rwm" : rule.access;
  std::vector<libcontainer::Device> out;
  const bool both = rule.type.empty() || rule.type == "a";
  for (const char32_t type : {U'c', U'b'}) {
    if (!both && (rule.type == "b") != (type == U'b')) continue;
    device.type = type;
    out.push_back(device);
  }
  return out;
}

bool same_rule(const libcontainer::Device& a, const libcontainer::Device& b) {
  return a.cgroup_string() == b.cgroup_string();
}

// Whether there is a use of a device that both mean.
bool overlap(const libcontainer::Device& a, const libcontainer::Device& b) {
  const auto same = [](std::int64_t x, std::int64_t y) {
    return x == y || x == libcontainer::kWildcard || y == libcontainer::kWildcard;
  };
  return a.type == b.type && same(a.major, b.major) && same(a.minor, b.minor) &&
         a.permissions.find_first_of(b.permissions) != std::string::npos;
}

// Whether `a` means all uses of all devices that `b` means.
bool covers(const libcontainer::Device& a, const libcontainer::Device& b) {
  const auto within = [](std::int64_t x, std::int64_t y) { return x == y || x == libcontainer::kWildcard; };
  return a.type == b.type && within(a.major, b.major) && within(a.minor, b.minor) &&
         b.permissions.find_first_not_of(a.permissions) == std::string::npos;
}

// The rules of the specification, as far as the two lists can say them, and in order where they cannot.
class ReadDevices {
 public:
  ReadDevices(libcontainer::Generation generation, libcontainer::Cgroup& out, std::vector<Lost>& lost)
      : numeric_(generation == libcontainer::Generation::kNumeric), out_(out), lost_(lost) {}

  void read(const std::vector<oci::DeviceRule>& rules) {
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const std::string pointer = "/linux/resources/devices/" + std::to_string(i);
      if (is_of_all(rules[i])) {
        // Whatever stood before it no longer counts.
        out_.allow_all_devices = rules[i].allow;
        rules_.clear();
        takes_back_.clear();
        continue;
      }
      for (auto& device : devices_of(rules[i])) take({std::move(device), rules[i].allow}, pointer);
    }
    if (takes_back_.empty() || numeric_) {
      write_lists();
    } else {
      for (const std::string& pointer : takes_back_)
        lost_.push_back({pointer, "readers of the two lists do not know rules in an order", true});
      out_.device_rules = std::move(rules_);
      // Runtimes of the specification allow these without a rule.
      for (const libcontainer::Device& device : libcontainer::allowed_devices())
        out_.device_rules.push_back({device, true});
    }
  }

 private:
  void take(libcontainer::DeviceRule rule, const std::string& pointer) {
    if (rule.allow != out_.allow_all_devices) {
      rules_.push_back(std::move(rule));
      return;
    }
    const auto taken = std::erase_if(rules_, [&](const auto& other) { return covers(rule.device, other.device); });
    const bool more = std::ranges::any_of(
        rules_, [&](const auto& other) { return other.allow != rule.allow && overlap(other.device, rule.device); });
    if (more) {
      rules_.push_back(std::move(rule));
      if (takes_back_.empty() || takes_back_.back() != pointer) takes_back_.push_back(pointer);
    } else if (taken == 0 && (lost_.empty() || lost_.back().pointer != pointer)) {
      lost_.push_back({pointer, rule.allow ? "a single device cannot be allowed where all are allowed already"
                                           : "a single device cannot be denied where all are denied already"});
    }
  }

  void write_lists() {
    for (const std::string& pointer : takes_back_)
      lost_.push_back({pointer, out_.allow_all_devices ? "a device cannot be allowed again after a denial"
                                                       : "a device cannot be denied again after it was allowed"});
    for (auto& rule : rules_) {
      if (rule.allow != out_.allow_all_devices)
        (rule.allow ? out_.allowed_devices : out_.denied_devices).push_back(std::move(rule.device));
    }
    if (out_.allow_all_devices) return;
    // Runtimes of the specification allow these without a rule.
    for (const libcontainer::Device& device : libcontainer::allowed_devices()) {
      const auto& have = out_.allowed_devices;
      if (std::ranges::none_of(have, [&](const auto& other) { return same_rule(device, other); }))
        out_.allowed_devices.push_back(device);
    }
  }

  bool numeric_;
  libcontainer::Cgroup& out_;
  std::vector<Lost>& lost_;
  std::vector<libcontainer::DeviceRule> rules_;
  std::vector<std::string> takes_back_;  // pointers of rules that take back part of an earlier one
};

void read_devices(const std::vector<oci::DeviceRule>& rules, libcontainer::Generation generation,
                  libcontainer::Cgroup& out, std::vector<Lost>& lost) {
  ReadDevices(generation, out, lost).read(rules);
}

void read_block_io(const oci::BlockIo& io, libcontainer::Cgroup& out) {
  take_limits(kBlockIo, io, out);
  for (const auto& device : io.weight_devices) {
    out.blkio_weight_device.push_back(
        {device.major, device.minor, device.weight.value_or(0), device.leaf_weight.value_or(0)});
  }
  for (const Throttles& kind : kThrottles) copy_throttles(out.*kind.here, io.*kind.there);
}

void read_memory(const oci::Memory& memory, libcontainer::Cgroup& out, std::vector<Lost>& lost) {
  take_limits(kMemory, memory, out);
  if (memory.swappiness && *memory.swappiness <= 100)
    out.memory_swappiness = static_cast<std::int64_t>(*memory.swappiness);
  else if (memory.swappiness)
    lost.push_back({"/linux/resources/memory/swappiness", "it is at most 100"});
  out.oom_kill_disable = memory.disable_oom_killer.value_or(false);
  if (memory.kernel_tcp) lost.push_back({"/linux/resources/memory/kernelTCP", "there is no such limit"});
  if (memory.use_hierarchy) lost.push_back({"/linux/resources/memory/useHierarchy", "there is no such member"});
  if (memory.check_before_update)
    lost.push_back({"/linux/resources/memory/checkBeforeUpdate", "there is no such member"});
}

void read_cpu(const oci::Cpu& cpu, libcontainer::Cgroup& out, std::vector<Lost>& lost) {
  take_limits(kCpu, cpu, out);
  constexpr std::int64_t kFewest = 2, kMost = 262144;
  if (const std::int64_t given = out.cpu_shares; cpu.shares.value_or(0) != 0) {
    // What does not fit into the signed number is far too much as well.
    out.cpu_shares = given < 0 ? kMost : std::clamp(given, kFewest, kMost);
    if (out.cpu_shares != given)
      lost.push_back({"/linux/resources/cpu/shares",
                      "becomes " + std::to_string(out.cpu_shares) + ", which is what the kernel makes of it"});
  }
  out.cpuset_cpus = cpu.cpus;
  out.cpuset_mems = cpu.mems;
  if (cpu.burst) lost.push_back({"/linux/resources/cpu/burst", "there is no such limit"});
  if (cpu.idle) lost.push_back({"/linux/resources/cpu/idle", "there is no such member"});
}

}  // namespace

oci::Resources resources_of(const libcontainer::Cgroup& cgroup) {
  oci::Resources out;
  out.devices = device_rules(cgroup);
  out.memory = memory(cgroup);
  out.cpu = cpu(cgroup);
  out.block_io = block_io(cgroup);
  set(out.pids_limit, cgroup.pids_limit);
  for (const auto& limit : cgroup.hugetlb_limit) out.hugepage_limits.push_back({limit.page_size, limit.limit});
  if (!cgroup.net_cls_classid.empty()) out.network_class_id = libcontainer::parse_class_id(cgroup.net_cls_classid);
  for (const auto& map : cgroup.net_prio_ifpriomap)
    out.network_priorities.push_back({map.interface_name, static_cast<std::uint32_t>(map.priority)});
  return out;
}

void read_resources(const oci::Resources& source, libcontainer::Generation generation, libcontainer::Cgroup& out,
                    std::vector<Lost>& lost) {
  read_devices(source.devices, generation, out, lost);
  if (source.memory) read_memory(*source.memory, out, lost);
  if (source.cpu) read_cpu(*source.cpu, out, lost);
  take(out.pids_limit, source.pids_limit);
  if (source.block_io) read_block_io(*source.block_io, out);
  for (const auto& limit : source.hugepage_limits) out.hugetlb_limit.push_back({limit.page_size, limit.limit});
  if (source.network_class_id) out.net_cls_classid = std::to_string(*source.network_class_id);
  for (const auto& entry : source.network_priorities) out.net_prio_ifpriomap.push_back({entry.name, entry.priority});
  if (!source.rdma.empty()) lost.push_back({"/linux/resources/rdma", "there is no such limit"});
  if (!source.unified.empty()) lost.push_back({"/linux/resources/unified", "cgroup v2 came later"});
}

}  // namespace cooper::convert
