#include <cmath>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/settings.h"
#include "log/log.h"

namespace cooper::cgroup {
namespace {

using Missing = Setting::Missing;

constexpr std::uint64_t kMinShares = 2, kMaxShares = 262144;

std::string device_key(std::int64_t major, std::int64_t minor) {
  return std::to_string(major) + ":" + std::to_string(minor);
}

class Builder {
 public:
  void add(std::string controller, std::string file, std::string value, Missing missing = Missing::kError) {
    out_.push_back(
        {.controller = std::move(controller), .file = std::move(file), .value = std::move(value), .missing = missing});
  }
  Setting& last() { return out_.back(); }
  std::vector<Setting> take() { return std::move(out_); }

 private:
  std::vector<Setting> out_;
};

Status add_memory(Builder& out, const oci::Memory& memory) {
  if (memory.kernel.value_or(0) != 0 || memory.kernel_tcp.value_or(0) != 0)
    log::debug("kernel memory limits are ignored: the kernel dropped them");
  // Kernels since 5.11 know only 1, and some have no file left.
  if (memory.use_hierarchy == true) out.add("memory", "memory.use_hierarchy", "1", Missing::kIgnore);
  if (memory.use_hierarchy == false)
    log::warning("memory.useHierarchy false is ignored: the kernel counts the memory of groups below in any case");
  const std::int64_t limit = memory.limit.value_or(0);
  std::int64_t swap = memory.swap.value_or(0);
  if (limit == -1 && swap == 0) swap = -1;
  if (limit > 0 && swap > 0 && swap < limit) {
    return Error(Errc::kInvalidArgument,
                 "memory+swap limit " + std::to_string(swap) + " is smaller than memory limit " + std::to_string(limit),
                 EINVAL);
  }
  if (limit != 0)
    out.add("memory", "memory.limit_in_bytes", std::to_string(limit), limit < 0 ? Missing::kIgnore : Missing::kError);
  if (swap != 0) {
    out.add("memory", "memory.memsw.limit_in_bytes", std::to_string(swap),
            swap < 0 ? Missing::kIgnore : Missing::kWarn);
    // Removing the memory limit needs the sum unlimited first.
    if (limit < 0) std::swap(out.last(), *(&out.last() - 1));
  }
  if (const auto reservation = memory.reservation.value_or(0); reservation != 0) {
    out.add("memory", "memory.soft_limit_in_bytes", std::to_string(reservation),
            reservation < 0 ? Missing::kIgnore : Missing::kError);
  }
  if (memory.swappiness && *memory.swappiness != UINT64_MAX) {
    if (*memory.swappiness > 100) {
      return Error(Errc::kInvalidArgument,
                   "memory swappiness " + std::to_string(*memory.swappiness) + " is not between 0 and 100", EINVAL);
    }
    out.add("memory", "memory.swappiness", std::to_string(*memory.swappiness));
  }
  if (memory.disable_oom_killer.value_or(false)) out.add("memory", "memory.oom_control", "1");
  return {};
}

Status add_cpu(Builder& out, const oci::Cpu& cpu) {
  const bool runtime = cpu.realtime_runtime.value_or(0) != 0;
  if (cpu.realtime_period.value_or(0) != 0) {
    out.add("cpu", "cpu.rt_period_us", std::to_string(*cpu.realtime_period));
    out.last().retry_last = runtime;
  }
  if (runtime) out.add("cpu", "cpu.rt_runtime_us", std::to_string(*cpu.realtime_runtime));
  if (const auto shares = cpu.shares.value_or(0); shares != 0) {
    // The kernel clamps silently; runtimes read the value back and refuse what was clamped. The bounds never changed.
    if (shares > kMaxShares)
      return Error(Errc::kInvalidArgument, "the maximum allowed cpu-shares is " + std::to_string(kMaxShares), EINVAL);
    if (shares < kMinShares)
      return Error(Errc::kInvalidArgument, "the minimum allowed cpu-shares is " + std::to_string(kMinShares), EINVAL);
    out.add("cpu", "cpu.shares", std::to_string(shares));
  }
  const bool quota = cpu.quota.value_or(0) != 0;
  if (cpu.period.value_or(0) != 0) {
    out.add("cpu", "cpu.cfs_period_us", std::to_string(*cpu.period));
    out.last().retry_last = quota;
  }
  if (cpu.burst) {
    out.add("cpu", "cpu.cfs_burst_us", std::to_string(*cpu.burst),
            *cpu.burst == 0 ? Missing::kIgnore : Missing::kError);
    out.last().retry_last = quota;
  }
  if (quota)
    out.add("cpu", "cpu.cfs_quota_us", std::to_string(*cpu.quota), *cpu.quota < 0 ? Missing::kIgnore : Missing::kError);
  if (cpu.idle)
    out.add("cpu", "cpu.idle", std::to_string(*cpu.idle), *cpu.idle == 0 ? Missing::kIgnore : Missing::kError);
  if (!cpu.cpus.empty()) out.add("cpuset", "cpuset.cpus", cpu.cpus);
  if (!cpu.mems.empty()) out.add("cpuset", "cpuset.mems", cpu.mems);
  return {};
}

void add_weights(Builder& out, const oci::BlockIo& io) {
  // BFQ renamed the knobs of CFQ; kernels have one, the other or none.
  const auto add = [&](std::string_view bfq, std::string_view cfq, std::string value) -> Setting& {
    out.add("blkio", std::string(bfq), value);
    out.last().other_file = cfq;
    out.last().other_value = std::move(value);
    return out.last();
  };
  if (io.weight.value_or(0) != 0) add("blkio.bfq.weight", "blkio.weight", std::to_string(*io.weight));
  if (io.leaf_weight.value_or(0) != 0) out.add("blkio", "blkio.leaf_weight", std::to_string(*io.leaf_weight));
  for (const auto& device : io.weight_devices) {
    const std::string key = device_key(device.major, device.minor);
    if (device.weight.value_or(0) != 0) {
      Setting& setting =
          add("blkio.bfq.weight_device", "blkio.weight_device", key + " " + std::to_string(*device.weight));
      setting.key = key;
      setting.reset = key + " default";
    }
    if (device.leaf_weight.value_or(0) != 0) {
      out.add("blkio", "blkio.leaf_weight_device", key + " " + std::to_string(*device.leaf_weight));
      out.last().key = key;
      out.last().reset = key + " 0";
    }
  }
}

void add_throttles(Builder& out, const std::vector<oci::ThrottleDevice>& devices, std::string_view file) {
  for (const auto& device : devices) {
    const std::string key = device_key(device.major, device.minor);
    out.add("blkio", std::string(file), key + " " + std::to_string(device.rate),
            device.rate == 0 ? Missing::kIgnore : Missing::kError);
    out.last().key = key;
    out.last().reset = key + " 0";
  }
}

void add_block_io(Builder& out, const oci::BlockIo& io) {
  add_weights(out, io);
  add_throttles(out, io.read_bps, "blkio.throttle.read_bps_device");
  add_throttles(out, io.write_bps, "blkio.throttle.write_bps_device");
  add_throttles(out, io.read_iops, "blkio.throttle.read_iops_device");
  add_throttles(out, io.write_iops, "blkio.throttle.write_iops_device");
}

Status add_hugepages(Builder& out, const std::vector<oci::HugepageLimit>& limits) {
  for (const auto& limit : limits) {
    if (limit.page_size.empty() || limit.page_size.find('/') != std::string::npos) {
      return Error(Errc::kInvalidArgument, "huge page size " + quoted(limit.page_size) + " is not a size such as 2MB",
                   EINVAL);
    }
    const Missing missing = limit.limit > std::uint64_t{INT64_MAX} ? Missing::kIgnore : Missing::kError;
    const std::string prefix = "hugetlb." + limit.page_size;
    out.add("hugetlb", prefix + ".limit_in_bytes", std::to_string(limit.limit), missing);
    out.add("hugetlb", prefix + ".rsvd.limit_in_bytes", std::to_string(limit.limit), Missing::kIgnore);
  }
  return {};
}

}  // namespace

Result<std::vector<Setting>> settings_v1(const oci::Resources& resources) {
  if (!resources.unified.empty()) {
    return Error(Errc::kUnsupported,
                 "unified resource " + quoted(resources.unified.begin()->first) + " needs cgroup v2, this host uses v1")
        .with_hint("write the limit in the fields of its own, such as memory.limit");
  }
  Builder out;
  if (resources.cpu) RETURN_IF_ERROR(add_cpu(out, *resources.cpu));
  if (resources.memory) RETURN_IF_ERROR(add_memory(out, *resources.memory));
  if (resources.pids_limit) {
    out.add("pids", "pids.max", *resources.pids_limit < 0 ? "max" : std::to_string(*resources.pids_limit),
            *resources.pids_limit < 0 ? Missing::kIgnore : Missing::kError);
  }
  if (resources.block_io) add_block_io(out, *resources.block_io);
  RETURN_IF_ERROR(add_hugepages(out, resources.hugepage_limits));
  if (resources.network_class_id.value_or(0) != 0)
    out.add("net_cls", "net_cls.classid", std::to_string(*resources.network_class_id));
  for (const auto& priority : resources.network_priorities) {
    out.add("net_prio", "net_prio.ifpriomap", priority.name + " " + std::to_string(priority.priority),
            priority.priority == 0 ? Missing::kIgnore : Missing::kError);
    out.last().key = priority.name;
    out.last().reset = priority.name + " 0";
  }
  for (const auto& [device, limit] : resources.rdma) {
    std::string value = device;
    if (limit.hca_handles) value += " hca_handle=" + std::to_string(*limit.hca_handles);
    if (limit.hca_objects) value += " hca_object=" + std::to_string(*limit.hca_objects);
    if (value == device) continue;
    out.add("rdma", "rdma.max", value);
    out.last().key = device;
    out.last().reset = device + " hca_handle=max hca_object=max";
  }
  std::vector<Setting> settings = out.take();
  order_idle(settings);
  return settings;
}

void order_memory_v1(std::vector<Setting>& settings, std::int64_t current_memory_plus_swap) {
  Setting* memory = nullptr;
  Setting* sum = nullptr;
  for (Setting& setting : settings) {
    if (setting.file == "memory.limit_in_bytes") memory = &setting;
    if (setting.file == "memory.memsw.limit_in_bytes") sum = &setting;
  }
  if (memory == nullptr || sum == nullptr) return;
  const auto rank = [](std::int64_t bytes) { return bytes < 0 ? INT64_MAX : bytes; };
  const bool sum_grows = rank(parse_number<std::int64_t>(sum->value).value_or(-1)) >= rank(current_memory_plus_swap);
  if (sum_grows != (sum < memory)) std::swap(*sum, *memory);
}

}  // namespace cooper::cgroup
