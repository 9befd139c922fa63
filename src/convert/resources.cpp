#include <algorithm>

#include "base/strings.h"
#include "convert/convert.h"
#include "convert/internal/seccomp.h"
#include "spec/libcontainer/validate.h"

namespace cooper::convert {
namespace {

// 0 is "not set" there.
template <typename To, typename From>
void set(std::optional<To>& out, From value) {
  if (value != From{}) out = static_cast<To>(value);
}
template <typename To, typename From>
void take(To& out, const std::optional<From>& value) {
  if (value) out = static_cast<To>(*value);
}

oci::DeviceRule rule_of(const libcontainer::Device& device, bool allow) {
  oci::DeviceRule out{allow, std::string(1, static_cast<char>(device.type)), device.major, device.minor,
                      device.permissions.empty() ? "rwm" : device.permissions};
  if (out.type == "u") out.type = "c";
  if (device.major == libcontainer::kWildcard) out.major.reset();
  if (device.minor == libcontainer::kWildcard) out.minor.reset();
  return out;
}

// Allow everything but a list, or nothing but a list.
std::vector<oci::DeviceRule> device_rules(const libcontainer::Cgroup& cgroup) {
  std::vector<oci::DeviceRule> out;
  out.push_back({cgroup.allow_all_devices, "a", {}, {}, "rwm"});
  for (const auto& device : cgroup.allow_all_devices ? cgroup.denied_devices : cgroup.allowed_devices) {
    if (device.type != U'p') out.push_back(rule_of(device, !cgroup.allow_all_devices));
  }
  return out;
}

std::vector<oci::ThrottleDevice> throttles(const std::vector<libcontainer::ThrottleDevice>& devices) {
  std::vector<oci::ThrottleDevice> out;
  for (const auto& device : devices) out.push_back({device.major, device.minor, device.rate});
  return out;
}
std::vector<libcontainer::ThrottleDevice> throttles(const std::vector<oci::ThrottleDevice>& devices) {
  std::vector<libcontainer::ThrottleDevice> out;
  for (const auto& device : devices) out.push_back({device.major, device.minor, device.rate});
  return out;
}

oci::BlockIo block_io(const libcontainer::Cgroup& cgroup) {
  oci::BlockIo out;
  set(out.weight, cgroup.blkio_weight);
  set(out.leaf_weight, cgroup.blkio_leaf_weight);
  for (const auto& device : cgroup.blkio_weight_device) {
    oci::WeightDevice& entry = out.weight_devices.emplace_back();
    entry.major = device.major;
    entry.minor = device.minor;
    set(entry.weight, device.weight);
    set(entry.leaf_weight, device.leaf_weight);
  }
  out.read_bps = throttles(cgroup.read_bps);
  out.write_bps = throttles(cgroup.write_bps);
  out.read_iops = throttles(cgroup.read_iops);
  out.write_iops = throttles(cgroup.write_iops);
  return out;
}

bool denies_all(const oci::DeviceRule& rule) {
  return (rule.type.empty() || rule.type == "a") && rule.major.value_or(-1) == -1 && rule.minor.value_or(-1) == -1;
}

libcontainer::Device device_of(const oci::DeviceRule& rule) {
  libcontainer::Device out;
  out.type = rule.type == "b" ? U'b' : U'c';
  out.major = rule.major.value_or(libcontainer::kWildcard);
  out.minor = rule.minor.value_or(libcontainer::kWildcard);
  out.permissions = rule.access.empty() ? "rwm" : rule.access;
  return out;
}

bool same_rule(const libcontainer::Device& a, const libcontainer::Device& b) {
  return a.cgroup_string() == b.cgroup_string();
}

void read_devices(const std::vector<oci::DeviceRule>& rules, libcontainer::Cgroup& out, std::vector<Lost>& lost) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const oci::DeviceRule& rule = rules[i];
    if (denies_all(rule)) {
      // Whatever stood before it no longer counts.
      out.allow_all_devices = rule.allow;
      out.allowed_devices.clear();
      out.denied_devices.clear();
    } else if (rule.allow != out.allow_all_devices) {
      (rule.allow ? out.allowed_devices : out.denied_devices).push_back(device_of(rule));
    } else {
      lost.push_back({"/linux/resources/devices/" + std::to_string(i),
                      rule.allow ? "a device cannot be allowed again below a denial"
                                 : "a single device cannot be denied where all are denied already"});
    }
  }
  if (out.allow_all_devices) return;
  // Runtimes of the specification allow these without a rule.
  for (const libcontainer::Device& device : libcontainer::allowed_devices()) {
    const auto& have = out.allowed_devices;
    if (std::ranges::none_of(have, [&](const auto& other) { return same_rule(device, other); }))
      out.allowed_devices.push_back(device);
  }
}

void read_block_io(const oci::BlockIo& io, libcontainer::Cgroup& out) {
  take(out.blkio_weight, io.weight);
  take(out.blkio_leaf_weight, io.leaf_weight);
  for (const auto& device : io.weight_devices) {
    out.blkio_weight_device.push_back(
        {device.major, device.minor, device.weight.value_or(0), device.leaf_weight.value_or(0)});
  }
  out.read_bps = throttles(io.read_bps);
  out.write_bps = throttles(io.write_bps);
  out.read_iops = throttles(io.read_iops);
  out.write_iops = throttles(io.write_iops);
}

void read_memory(const oci::Memory& memory, libcontainer::Cgroup& out, std::vector<Lost>& lost) {
  take(out.memory, memory.limit);
  take(out.memory_reservation, memory.reservation);
  take(out.memory_swap, memory.swap);
  take(out.kernel_memory, memory.kernel);
  if (memory.swappiness && *memory.swappiness <= 100)
    out.memory_swappiness = static_cast<std::int64_t>(*memory.swappiness);
  out.oom_kill_disable = memory.disable_oom_killer.value_or(false);
  if (memory.kernel_tcp) lost.push_back({"/linux/resources/memory/kernelTCP", "there is no such limit"});
  if (memory.use_hierarchy) lost.push_back({"/linux/resources/memory/useHierarchy", "there is no such member"});
  if (memory.check_before_update)
    lost.push_back({"/linux/resources/memory/checkBeforeUpdate", "there is no such member"});
}

void read_cpu(const oci::Cpu& cpu, libcontainer::Cgroup& out, std::vector<Lost>& lost) {
  take(out.cpu_shares, cpu.shares);
  take(out.cpu_quota, cpu.quota);
  take(out.cpu_period, cpu.period);
  take(out.cpu_rt_runtime, cpu.realtime_runtime);
  take(out.cpu_rt_period, cpu.realtime_period);
  out.cpuset_cpus = cpu.cpus;
  out.cpuset_mems = cpu.mems;
  if (cpu.burst) lost.push_back({"/linux/resources/cpu/burst", "there is no such limit"});
  if (cpu.idle) lost.push_back({"/linux/resources/cpu/idle", "there is no such member"});
}

}  // namespace

oci::Resources resources_of(const libcontainer::Cgroup& cgroup) {
  oci::Resources out;
  out.devices = device_rules(cgroup);
  oci::Memory& memory = out.memory.emplace();
  set(memory.limit, cgroup.memory);
  set(memory.reservation, cgroup.memory_reservation);
  set(memory.swap, cgroup.memory_swap);
  set(memory.kernel, cgroup.kernel_memory);
  if (cgroup.memory_swappiness >= 0) memory.swappiness = static_cast<std::uint64_t>(cgroup.memory_swappiness);
  if (cgroup.oom_kill_disable) memory.disable_oom_killer = true;
  if (!memory.limit && !memory.reservation && !memory.swap && !memory.kernel && !memory.swappiness &&
      !memory.disable_oom_killer)
    out.memory.reset();
  oci::Cpu& cpu = out.cpu.emplace();
  set(cpu.shares, cgroup.cpu_shares);
  set(cpu.quota, cgroup.cpu_quota);
  set(cpu.period, cgroup.cpu_period);
  set(cpu.realtime_runtime, cgroup.cpu_rt_runtime);
  set(cpu.realtime_period, cgroup.cpu_rt_period);
  cpu.cpus = cgroup.cpuset_cpus;
  cpu.mems = cgroup.cpuset_mems;
  if (!cpu.shares && !cpu.quota && !cpu.period && !cpu.realtime_runtime && !cpu.realtime_period && cpu.cpus.empty() &&
      cpu.mems.empty())
    out.cpu.reset();
  set(out.pids_limit, cgroup.pids_limit);
  oci::BlockIo io = block_io(cgroup);
  if (io.weight || io.leaf_weight || !io.weight_devices.empty() || !io.read_bps.empty() || !io.write_bps.empty() ||
      !io.read_iops.empty() || !io.write_iops.empty())
    out.block_io = std::move(io);
  for (const auto& limit : cgroup.hugetlb_limit) out.hugepage_limits.push_back({limit.page_size, limit.limit});
  if (!cgroup.net_cls_classid.empty()) out.network_class_id = libcontainer::parse_class_id(cgroup.net_cls_classid);
  for (const auto& map : cgroup.net_prio_ifpriomap)
    out.network_priorities.push_back({map.interface_name, static_cast<std::uint32_t>(map.priority)});
  return out;
}

void read_resources(const oci::Resources& source, libcontainer::Cgroup& out, std::vector<Lost>& lost) {
  read_devices(source.devices, out, lost);
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
