#include <algorithm>

#include "base/strings.h"
#include "spec/libcontainer/internal/read.h"

namespace cooper::spec::libcontainer::internal {
namespace {

using codec::json::Type;

Status read_hugepage(const Cursor& object, HugepageLimit& out, Notes& notes) {
  return read_members(object, out, notes, Member{"page_size", &HugepageLimit::page_size},
                      Member{"limit", &HugepageLimit::limit});
}

Status read_priority(const Cursor& object, IfPrioMap& out, Notes& notes) {
  return read_members(object, out, notes, Member{"interface", &IfPrioMap::interface_name},
                      Member{"priority", &IfPrioMap::priority});
}

Status read_weight(const Cursor& object, WeightDevice& out, Notes& notes) {
  return read_members(object, out, notes, Member{"major", &WeightDevice::major}, Member{"minor", &WeightDevice::minor},
                      Member{"weight", &WeightDevice::weight}, Member{"leafWeight", &WeightDevice::leaf_weight});
}

Status read_throttle(const Cursor& object, ThrottleDevice& out, Notes& notes) {
  return read_members(object, out, notes, Member{"major", &ThrottleDevice::major},
                      Member{"minor", &ThrottleDevice::minor}, Member{"rate", &ThrottleDevice::rate});
}

struct Keyed {
  std::int64_t major = 0, minor = 0;
  std::uint64_t value = 0;
};

// "8:0 1048576", one a line: how the numeric generation wrote them.
Result<std::vector<Keyed>> read_lines(const Cursor& member) {
  ASSIGN_OR_RETURN(const std::string text, member.string());
  std::vector<Keyed> out;
  for (const std::string_view line : split(text, '\n')) {
    if (trim(line).empty()) continue;
    const auto parts = split_once(trim(line), ' ');
    const auto key = parts ? split_once(parts->first, ':') : std::nullopt;
    const auto major = key ? parse_number<std::int64_t>(key->first) : std::nullopt;
    const auto minor = key ? parse_number<std::int64_t>(key->second) : std::nullopt;
    const auto value = parts ? parse_number<std::uint64_t>(trim(parts->second)) : std::nullopt;
    if (!major || !minor || !value) return member.error("must be 'MAJOR:MINOR VALUE', not " + quoted(line));
    out.push_back({*major, *minor, *value});
  }
  return out;
}

Status read_weights(const Cursor& object, std::string_view name, std::vector<WeightDevice>& out, Notes& notes) {
  const auto member = object.get(name);
  if (!member) return {};
  if (member->value().type() != Type::kString) {
    notes.named = true;
    return read_list(object, name, out, notes, read_weight);
  }
  notes.numeric = true;
  ASSIGN_OR_RETURN(const auto lines, read_lines(*member));
  for (const Keyed& line : lines) {
    if (line.value > UINT16_MAX) return member->error("a weight must be between 10 and 1000");
    out.push_back({line.major, line.minor, static_cast<std::uint16_t>(line.value), 0});
  }
  return {};
}

Status read_throttles(const Cursor& object, std::string_view name, std::vector<ThrottleDevice>& out, Notes& notes) {
  const auto member = object.get(name);
  if (!member) return {};
  if (member->value().type() != Type::kString) {
    notes.named = true;
    return read_list(object, name, out, notes, read_throttle);
  }
  notes.numeric = true;
  ASSIGN_OR_RETURN(const auto lines, read_lines(*member));
  for (const Keyed& line : lines) out.push_back({line.major, line.minor, line.value});
  return {};
}

Status read_freezer(const Cursor& object, FreezerState& out) {
  std::string word;
  RETURN_IF_ERROR(object.read("freezer", word));
  if (word.empty()) {
    out = FreezerState::kUndefined;
  } else if (word == "FROZEN") {
    out = FreezerState::kFrozen;
  } else if (word == "THAWED") {
    out = FreezerState::kThawed;
  } else {
    return object.get("freezer")->error("must be FROZEN or THAWED, not " + quoted(word));
  }
  return {};
}

// A number in later releases.
Status read_class_id(const Cursor& object, std::string& out) {
  const auto member = object.get("net_cls_classid");
  if (!member) return {};
  if (member->value().type() == Type::kNumber) {
    ASSIGN_OR_RETURN(const auto number, member->integer<std::uint32_t>());
    out = std::to_string(number);
    return {};
  }
  ASSIGN_OR_RETURN(out, member->string());
  return {};
}

Status read_memory(const Cursor& object, Cgroup& out) {
  RETURN_IF_ERROR(object.read("memory", out.memory));
  RETURN_IF_ERROR(object.read("memory_reservation", out.memory_reservation));
  RETURN_IF_ERROR(object.read("memory_swap", out.memory_swap));
  RETURN_IF_ERROR(object.read("kernel_memory", out.kernel_memory));
  RETURN_IF_ERROR(object.read("memory_swappiness", out.memory_swappiness));
  return object.read("oom_kill_disable", out.oom_kill_disable);
}

Status read_cpu(const Cursor& object, Cgroup& out) {
  RETURN_IF_ERROR(object.read("cpu_shares", out.cpu_shares));
  RETURN_IF_ERROR(object.read("cpu_quota", out.cpu_quota));
  RETURN_IF_ERROR(object.read("cpu_period", out.cpu_period));
  RETURN_IF_ERROR(object.read("cpu_rt_runtime", out.cpu_rt_runtime));
  RETURN_IF_ERROR(object.read("cpu_rt_period", out.cpu_rt_period));
  RETURN_IF_ERROR(object.read("cpuset_cpus", out.cpuset_cpus));
  return object.read("cpuset_mems", out.cpuset_mems);
}

Status read_block_io(const Cursor& object, Cgroup& out, Notes& notes) {
  notes.named = notes.named || object.get("blkio_leaf_weight").has_value();
  RETURN_IF_ERROR(object.read("blkio_weight", out.blkio_weight));
  RETURN_IF_ERROR(object.read("blkio_leaf_weight", out.blkio_leaf_weight));
  RETURN_IF_ERROR(read_weights(object, "blkio_weight_device", out.blkio_weight_device, notes));
  RETURN_IF_ERROR(read_throttles(object, "blkio_throttle_read_bps_device", out.read_bps, notes));
  RETURN_IF_ERROR(read_throttles(object, "blkio_throttle_write_bps_device", out.write_bps, notes));
  RETURN_IF_ERROR(read_throttles(object, "blkio_throttle_read_iops_device", out.read_iops, notes));
  return read_throttles(object, "blkio_throttle_write_iops_device", out.write_iops, notes);
}

Status read_names(const Cursor& object, Cgroup& out) {
  RETURN_IF_ERROR(object.read("name", out.name));
  RETURN_IF_ERROR(object.read("parent", out.parent));
  RETURN_IF_ERROR(object.read("path", out.path));
  return object.read("slice", out.slice);
}

// Every device, in every way: nothing that stood before such a rule counts any more.
bool is_of_all(const DeviceRule& rule) {
  const std::string& letters = rule.device.permissions;
  const auto has = [&](char letter) { return letters.find(letter) != std::string::npos; };
  return rule.device.type == U'a' && (letters.empty() || (has('r') && has('w') && has('m')));
}

// One list with "allow" in each entry: how a later release wrote the device rules, instead of the two lists. What
// these can say is put into them.
Status read_later_rules(const Cursor& object, Cgroup& out, Notes& notes) {
  const auto list = object.get("devices");
  if (!list) return {};
  notes.named = true;
  std::vector<DeviceRule> rules;
  bool any = false;
  Status read = list->for_each([&](const Cursor& element) -> Status {
    RETURN_IF_ERROR(element.expect_object());
    DeviceRule rule;
    RETURN_IF_ERROR(read_device(element, rule.device, notes));
    RETURN_IF_ERROR(element.read("allow", rule.allow));
    any = true;
    if (is_of_all(rule)) {
      out.allow_all_devices = rule.allow;
      rules.clear();
    } else {
      rules.push_back(std::move(rule));
    }
    return {};
  });
  if (!read.ok() || !any) return read;
  out.allowed_devices.clear();
  out.denied_devices.clear();
  const bool plain = std::ranges::all_of(
      rules, [&](const DeviceRule& rule) { return rule.allow != out.allow_all_devices && rule.device.type != U'a'; });
  if (!plain) {
    out.device_rules = std::move(rules);
    return {};
  }
  for (DeviceRule& rule : rules)
    (rule.allow ? out.allowed_devices : out.denied_devices).push_back(std::move(rule.device));
  return {};
}

}  // namespace

Status read_cgroup(const Cursor& object, Cgroup& out, Notes& notes) {
  note_unknown(object,
               {"name",
                "parent",
                "path",
                "slice",
                "allow_all_devices",
                "allowed_devices",
                "denied_devices",
                "devices",
                "memory",
                "memory_reservation",
                "memory_swap",
                "kernel_memory",
                "memory_swappiness",
                "oom_kill_disable",
                "cpu_shares",
                "cpu_quota",
                "cpu_period",
                "cpu_rt_runtime",
                "cpu_rt_period",
                "cpuset_cpus",
                "cpuset_mems",
                "pids_limit",
                "blkio_weight",
                "blkio_leaf_weight",
                "blkio_weight_device",
                "blkio_throttle_read_bps_device",
                "blkio_throttle_write_bps_device",
                "blkio_throttle_read_iops_device",
                "blkio_throttle_write_iops_device",
                "freezer",
                "hugetlb_limit",
                "net_prio_ifpriomap",
                "net_cls_classid"},
               notes);
  RETURN_IF_ERROR(read_names(object, out));
  RETURN_IF_ERROR(object.read("allow_all_devices", out.allow_all_devices));
  RETURN_IF_ERROR(read_list(object, "allowed_devices", out.allowed_devices, notes, read_device));
  RETURN_IF_ERROR(read_list(object, "denied_devices", out.denied_devices, notes, read_device));
  RETURN_IF_ERROR(read_later_rules(object, out, notes));
  RETURN_IF_ERROR(read_memory(object, out));
  RETURN_IF_ERROR(read_cpu(object, out));
  RETURN_IF_ERROR(object.read("pids_limit", out.pids_limit));
  RETURN_IF_ERROR(read_block_io(object, out, notes));
  RETURN_IF_ERROR(read_freezer(object, out.freezer));
  RETURN_IF_ERROR(read_list(object, "hugetlb_limit", out.hugetlb_limit, notes, read_hugepage));
  RETURN_IF_ERROR(read_list(object, "net_prio_ifpriomap", out.net_prio_ifpriomap, notes, read_priority));
  return read_class_id(object, out.net_cls_classid);
}

}  // namespace cooper::spec::libcontainer::internal
