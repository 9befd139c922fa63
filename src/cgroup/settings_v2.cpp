#include <algorithm>
#include <cmath>
#include <functional>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/settings.h"
#include "log/log.h"

namespace cooper::cgroup {
namespace {

using Missing = Setting::Missing;
using Settings = std::vector<Setting>;

constexpr const char* kNoThrottle = " rbps=max wbps=max riops=max wiops=max";

Setting& add(Settings& out, std::string file, std::string value, Missing missing = Missing::kError) {
  std::string controller = file.substr(0, file.find('.'));
  out.push_back(
      {.controller = std::move(controller), .file = std::move(file), .value = std::move(value), .missing = missing});
  return out.back();
}

std::string or_max(std::int64_t n) {
  return n < 0 ? "max" : std::to_string(n);
}

Error not_on_v2(std::string_view field) {
  return Error(Errc::kUnsupported, quoted(field) + " cannot be set: cgroup v2 has no such limit");
}

// memory.swap.max counts swap alone, the specification's field memory and swap together.
Result<std::string> swap_max(std::int64_t limit, std::int64_t sum) {
  if (limit == -1 && sum == 0) return std::string("max");
  if (sum == 0) return std::string();
  if (sum < 0) return std::string("max");
  if (limit == -1) return std::to_string(sum);  // the swap's alone: a sum with what is unlimited has no meaning
  if (limit <= 0) return Error(Errc::kInvalidArgument, "a memory+swap limit needs a memory limit", EINVAL);
  if (sum < limit) {
    return Error(Errc::kInvalidArgument,
                 "memory+swap limit " + std::to_string(sum) + " is smaller than memory limit " + std::to_string(limit),
                 EINVAL);
  }
  return std::to_string(sum - limit);
}

Status add_memory(Settings& out, const oci::Memory& memory) {
  if (memory.kernel.value_or(0) != 0 || memory.kernel_tcp.value_or(0) != 0)
    log::debug("kernel memory limits are ignored: cgroup v2 has none");
  if (memory.swappiness && *memory.swappiness != UINT64_MAX) return not_on_v2("memory.swappiness");
  if (memory.disable_oom_killer.value_or(false)) return not_on_v2("memory.disableOOMKiller");
  const std::int64_t limit = memory.limit.value_or(0);
  ASSIGN_OR_RETURN(const std::string swap, swap_max(limit, memory.swap.value_or(0)));
  if (!swap.empty())
    add(out, "memory.swap.max", swap, swap == "max" || swap == "0" ? Missing::kIgnore : Missing::kError);
  if (limit != 0) add(out, "memory.max", or_max(limit), limit < 0 ? Missing::kIgnore : Missing::kError);
  if (const auto reservation = memory.reservation.value_or(0); reservation != 0) {
    add(out, "memory.low", or_max(reservation), reservation < 0 ? Missing::kIgnore : Missing::kError);
  }
  return {};
}

Status add_cpu(Settings& out, const oci::Cpu& cpu) {
  if (cpu.realtime_runtime.value_or(0) != 0) return not_on_v2("cpu.realtimeRuntime");
  if (cpu.realtime_period.value_or(0) != 0) return not_on_v2("cpu.realtimePeriod");
  if (const auto shares = cpu.shares.value_or(0); shares != 0) {
    add(out, "cpu.weight", std::to_string(cpu_weight_from_shares(shares)));
  }
  const bool quota = cpu.quota.value_or(0) != 0;
  if (cpu.burst) {
    Setting& burst =
        add(out, "cpu.max.burst", std::to_string(*cpu.burst), *cpu.burst == 0 ? Missing::kIgnore : Missing::kError);
    burst.retry_last = quota;
  }
  if (quota || cpu.period.value_or(0) != 0) {
    // "max" alone leaves the period as it is.
    std::string value = quota && *cpu.quota > 0 ? std::to_string(*cpu.quota) : "max";
    const bool unlimited = value == "max";
    if (cpu.period.value_or(0) != 0) value += " " + std::to_string(*cpu.period);
    add(out, "cpu.max", value, unlimited ? Missing::kIgnore : Missing::kError).keep_first = !quota;
  }
  if (cpu.idle) add(out, "cpu.idle", std::to_string(*cpu.idle), *cpu.idle == 0 ? Missing::kIgnore : Missing::kError);
  if (!cpu.cpus.empty()) add(out, "cpuset.cpus", cpu.cpus);
  if (!cpu.mems.empty()) add(out, "cpuset.mems", cpu.mems);
  return {};
}

void add_throttles(Settings& out, const std::vector<oci::ThrottleDevice>& devices, std::string_view kind) {
  for (const auto& device : devices) {
    const std::string key = std::to_string(device.major) + ":" + std::to_string(device.minor);
    const std::string rate = device.rate == 0 ? "max" : std::to_string(device.rate);
    Setting& setting = add(out, "io.max", key + " " + std::string(kind) + "=" + rate,
                           device.rate == 0 ? Missing::kIgnore : Missing::kError);
    setting.key = key;
    setting.reset = key + kNoThrottle;
  }
}

// The weight of all devices that have none of their own.
void name_default_weight(Setting& setting) {
  setting.key = "default";
  setting.reset = "default 100";
}

// For a line of a keyed file that a config gives literally. Files that always list every key need no way back to
// nothing.
void name_key(Setting& setting) {
  const std::string_view text = trim(setting.value);
  const std::string key(text.substr(0, text.find(' ')));
  const std::string& file = setting.file;
  if (file == "io.max") {
    setting.reset = key + kNoThrottle;
  } else if (file == "io.latency") {
    setting.reset = key + " target=max";
  } else if (file == "io.weight" || file == "io.bfq.weight") {
    if (key.find(':') == std::string::npos) return name_default_weight(setting);
    setting.reset = key + " default";
  } else if (file == "rdma.max") {
    setting.reset = key + " hca_handle=max hca_object=max";
  } else if (file == "misc.max" || file == "dmem.max") {
    setting.reset = key + " max";
  } else if (file == "dmem.low" || file == "dmem.min") {
    setting.reset = key + " 0";
  } else {
    return;
  }
  setting.key = key;
}

Status add_block_io(Settings& out, const oci::BlockIo& io) {
  if (io.leaf_weight.value_or(0) != 0) return not_on_v2("blockIO.leafWeight");
  if (io.weight.value_or(0) != 0) {
    Setting& setting = add(out, "io.bfq.weight", std::to_string(*io.weight));
    setting.other_file = "io.weight";
    setting.other_value = "default " + std::to_string(io_weight_from_blkio(*io.weight));
    name_default_weight(setting);
  }
  for (const auto& device : io.weight_devices) {
    if (device.leaf_weight.value_or(0) != 0) return not_on_v2("blockIO.weightDevice.leafWeight");
    if (device.weight.value_or(0) == 0) continue;
    const std::string key = std::to_string(device.major) + ":" + std::to_string(device.minor);
    Setting& setting = add(out, "io.bfq.weight", key + " " + std::to_string(*device.weight));
    setting.other_file = "io.weight";
    setting.other_value = key + " " + std::to_string(io_weight_from_blkio(*device.weight));
    setting.key = key;
    setting.reset = key + " default";
  }
  add_throttles(out, io.read_bps, "rbps");
  add_throttles(out, io.write_bps, "wbps");
  add_throttles(out, io.read_iops, "riops");
  add_throttles(out, io.write_iops, "wiops");
  return {};
}

Status add_hugepages(Settings& out, const std::vector<oci::HugepageLimit>& limits) {
  for (const auto& limit : limits) {
    if (limit.page_size.empty() || limit.page_size.find('/') != std::string::npos) {
      return Error(Errc::kInvalidArgument, "huge page size " + quoted(limit.page_size) + " is not a size such as 2MB",
                   EINVAL);
    }
    const bool unlimited = limit.limit > std::uint64_t{INT64_MAX};
    const std::string value = unlimited ? "max" : std::to_string(limit.limit);
    add(out, "hugetlb." + limit.page_size + ".max", value, unlimited ? Missing::kIgnore : Missing::kError);
    add(out, "hugetlb." + limit.page_size + ".rsvd.max", value, Missing::kIgnore);
  }
  return {};
}

Status add_unified(Settings& out, const std::map<std::string, std::string>& unified) {
  for (const auto& [file, value] : unified) {
    const auto dot = file.find('.');
    if (file.find('/') != std::string::npos || dot == std::string::npos || dot == 0) {
      return Error(Errc::kInvalidArgument, "unified resource " + quoted(file) + " is not the name of a cgroup v2 file",
                   EINVAL);
    }
    // Membership and delegation are the engine's own business.
    if (file == "cgroup.procs" || file == "cgroup.threads" || file == "cgroup.kill" ||
        file == "cgroup.subtree_control") {
      return Error(Errc::kInvalidArgument, "unified resource " + quoted(file) + " may not be set by a config", EINVAL);
    }
    // One write per line: files keyed by device take one key at a time.
    for (const auto line : split(value, '\n')) {
      if (!trim(line).empty() || value.empty()) name_key(add(out, file, std::string(line)));
    }
  }
  return {};
}

}  // namespace

std::uint64_t io_weight_from_blkio(std::uint64_t weight) {
  const std::uint64_t clamped = std::clamp<std::uint64_t>(weight, 10, 1000);
  return 1 + (clamped - 10) * 9999 / 990;
}

std::uint64_t cpu_weight_from_shares(std::uint64_t shares) {
  if (shares == 0) return 0;
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  // A parabola in log2(shares) through the ends of both ranges and both defaults: 2 -> 1, 1024 -> 100, 262144 -> 10000.
  const double l = std::log2(static_cast<double>(shares));
  return static_cast<std::uint64_t>(std::ceil(std::pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0)));
}

Result<std::vector<Setting>> settings_v2(const oci::Resources& resources) {
  Settings out;
  if (resources.cpu) RETURN_IF_ERROR(add_cpu(out, *resources.cpu));
  if (resources.memory) RETURN_IF_ERROR(add_memory(out, *resources.memory));
  if (resources.pids_limit)
    add(out, "pids.max", or_max(*resources.pids_limit), *resources.pids_limit < 0 ? Missing::kIgnore : Missing::kError);
  if (resources.block_io) RETURN_IF_ERROR(add_block_io(out, *resources.block_io));
  RETURN_IF_ERROR(add_hugepages(out, resources.hugepage_limits));
  if (resources.network_class_id.value_or(0) != 0) return not_on_v2("network.classID");
  for (const auto& priority : resources.network_priorities) {
    if (priority.priority != 0) return not_on_v2("network.priorities");
  }
  for (const auto& [device, limit] : resources.rdma) {
    std::string value = device;
    if (limit.hca_handles) value += " hca_handle=" + std::to_string(*limit.hca_handles);
    if (limit.hca_objects) value += " hca_object=" + std::to_string(*limit.hca_objects);
    if (value == device) continue;
    Setting& setting = add(out, "rdma.max", value);
    setting.key = device;
    setting.reset = device + " hca_handle=max hca_object=max";
  }
  // Last: what the config says literally wins over what was converted.
  RETURN_IF_ERROR(add_unified(out, resources.unified));
  order_idle(out);
  return out;
}

void order_idle(std::vector<Setting>& settings) {
  const auto is_idle = [](const Setting& setting) { return setting.file == "cpu.idle"; };
  const auto is_weight = [](const Setting& setting) {
    return setting.file == "cpu.shares" || setting.file == "cpu.weight" || setting.file == "cpu.weight.nice";
  };
  const auto idle = std::find_if(settings.rbegin(), settings.rend(), is_idle);
  const auto first = std::find_if(settings.begin(), settings.end(), is_weight);
  if (idle == settings.rend() || first == settings.end()) return;
  if (trim(idle->value) == "0") {
    std::stable_partition(first, settings.end(), is_idle);
    return;
  }
  for (Setting& setting : settings) setting.moot_when_idle = is_weight(setting);
  const auto last = std::find_if(settings.rbegin(), settings.rend(), is_weight).base();
  std::stable_partition(settings.begin(), last, std::not_fn(is_idle));
}

std::string completed_value(const Setting& setting, std::string_view current) {
  const auto words = split_once(trim(current), ' ');
  const auto wanted = split_once(setting.value, ' ');
  if (!words || !wanted) return setting.value;
  return std::string(words->first) + " " + std::string(wanted->second);
}

namespace {

// The number that a write to the file sets.
std::string_view written_part(const Setting& setting, std::string_view text) {
  // "oom_kill_disable 0", and lines that are counters.
  if (setting.file != "memory.oom_control") return trim(text);
  const auto pair = split_once(text.substr(0, text.find('\n')), ' ');
  return trim(pair ? pair->second : text);
}

}  // namespace

std::string undo_value(const Setting& setting, std::string_view old_text) {
  if (setting.key.empty()) {
    const std::string_view value = written_part(setting, old_text);
    // No bytes would be no write: cpuset.cpus and others are emptied by a line that is empty.
    return value.empty() ? "\n" : std::string(value);
  }
  for (const auto line : split(old_text, '\n')) {
    if (line.starts_with(setting.key) && line.size() > setting.key.size() && line[setting.key.size()] == ' ')
      return std::string(trim(line));
  }
  return setting.reset;
}

bool is_current(const Setting& setting, std::string_view text) {
  if (!setting.key.empty()) {
    for (const auto line : split(text, '\n')) {
      if (trim(line) == trim(setting.value)) return true;
    }
    return false;
  }
  return written_part(setting, text) == trim(setting.value);
}

}  // namespace cooper::cgroup
