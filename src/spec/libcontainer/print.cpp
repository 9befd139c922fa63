#include "spec/libcontainer/print.h"

#include <errno.h>
#include <sys/mount.h>

namespace cooper::spec::libcontainer {
namespace {

using codec::json::Writer;

void text(Writer& out, std::string_view name, const std::string& value) {
  if (!value.empty()) out.field(name, value);
}

template <typename T>
void number(Writer& out, std::string_view name, T value, T usual = T{}) {
  if (value != usual) out.field(name, value);
}

void texts(Writer& out, std::string_view name, const std::vector<std::string>& values) {
  if (!values.empty()) out.field(name, values);
}

template <typename T, typename F>
void list(Writer& out, std::string_view name, const std::vector<T>& values, F write_one) {
  if (values.empty()) return;
  out.key(name).begin_array();
  for (const T& value : values) {
    out.begin_object();
    write_one(out, value);
    out.end_object();
  }
  out.end_array();
}

void write_command(Writer& out, const Command& command) {
  out.field("path", command.path);
  texts(out, "args", command.args);
  texts(out, "env", command.env);
  text(out, "dir", command.dir);
}

void write_mount(Writer& out, const Mount& mount) {
  out.field("source", mount.source).field("destination", mount.destination).field("device", mount.device);
  out.field("flags", mount.flags);
  if (!mount.propagation_flags.empty()) {
    out.key("propagation_flags").begin_array();
    for (const std::int64_t flags : mount.propagation_flags) out.number(flags);
    out.end_array();
  }
  text(out, "data", mount.data);
  text(out, "relabel", mount.relabel);
  list(out, "premount_cmds", mount.premount_cmds, write_command);
  list(out, "postmount_cmds", mount.postmount_cmds, write_command);
}

void write_device(Writer& out, const Device& device) {
  out.field("type", static_cast<std::uint32_t>(device.type));
  text(out, "path", device.path);
  out.field("major", device.major).field("minor", device.minor);
  text(out, "permissions", device.permissions);
  number(out, "file_mode", device.file_mode);
  number(out, "uid", device.uid);
  number(out, "gid", device.gid);
}

void write_network(Writer& out, const Network& network) {
  out.field("type", network.type);
  text(out, "name", network.name);
  text(out, "bridge", network.bridge);
  text(out, "mac_address", network.mac_address);
  text(out, "address", network.address);
  text(out, "gateway", network.gateway);
  text(out, "ipv6_address", network.ipv6_address);
  text(out, "ipv6_gateway", network.ipv6_gateway);
  number(out, "mtu", network.mtu);
  number(out, "txqueuelen", network.tx_queue_len);
  text(out, "host_interface_name", network.host_interface_name);
  if (network.hairpin_mode) out.field("hairpin_mode", true);
}

void write_route(Writer& out, const Route& route) {
  text(out, "destination", route.destination);
  text(out, "source", route.source);
  text(out, "gateway", route.gateway);
  text(out, "interface_name", route.interface_name);
}

void write_id_map(Writer& out, const IdMap& map) {
  out.field("container_id", map.container_id).field("host_id", map.host_id).field("size", map.size);
}

void write_weights(Writer& out, const Cgroup& cgroup, Generation generation) {
  if (generation == Generation::kNamed) {
    list(out, "blkio_weight_device", cgroup.blkio_weight_device, [](Writer& w, const WeightDevice& device) {
      w.field("major", device.major).field("minor", device.minor).field("weight", device.weight);
      number(w, "leafWeight", device.leaf_weight);
    });
    return;
  }
  std::string lines;
  for (const WeightDevice& device : cgroup.blkio_weight_device)
    lines += (lines.empty() ? "" : "\n") + device.weight_string();
  text(out, "blkio_weight_device", lines);
}

void write_throttles(Writer& out, std::string_view name, const std::vector<ThrottleDevice>& devices,
                     Generation generation) {
  if (generation == Generation::kNamed) {
    list(out, name, devices, [](Writer& w, const ThrottleDevice& device) {
      w.field("major", device.major).field("minor", device.minor).field("rate", device.rate);
    });
    return;
  }
  std::string lines;
  for (const ThrottleDevice& device : devices) lines += (lines.empty() ? "" : "\n") + device.string();
  text(out, name, lines);
}

void write_limits(Writer& out, const Cgroup& cgroup) {
  number(out, "memory", cgroup.memory);
  number(out, "memory_reservation", cgroup.memory_reservation);
  number(out, "memory_swap", cgroup.memory_swap);
  number(out, "kernel_memory", cgroup.kernel_memory);
  number(out, "cpu_shares", cgroup.cpu_shares);
  number(out, "cpu_quota", cgroup.cpu_quota);
  number(out, "cpu_period", cgroup.cpu_period);
  number(out, "cpu_rt_runtime", cgroup.cpu_rt_runtime);
  number(out, "cpu_rt_period", cgroup.cpu_rt_period);
  text(out, "cpuset_cpus", cgroup.cpuset_cpus);
  text(out, "cpuset_mems", cgroup.cpuset_mems);
  number(out, "pids_limit", cgroup.pids_limit);
  number(out, "blkio_weight", cgroup.blkio_weight);
}

void write_cgroup(Writer& out, const Cgroup& cgroup, Generation generation) {
  out.begin_object();
  text(out, "name", cgroup.name);
  text(out, "parent", cgroup.parent);
  text(out, "path", cgroup.path);
  if (cgroup.allow_all_devices) out.field("allow_all_devices", true);
  list(out, "allowed_devices", cgroup.allowed_devices, write_device);
  list(out, "denied_devices", cgroup.denied_devices, write_device);
  if (generation == Generation::kNamed) {
    list(out, "devices", cgroup.device_rules, [](Writer& w, const DeviceRule& rule) {
      write_device(w, rule.device);
      w.field("allow", rule.allow);
    });
  }
  write_limits(out, cgroup);
  if (generation == Generation::kNamed) number(out, "blkio_leaf_weight", cgroup.blkio_leaf_weight);
  write_weights(out, cgroup, generation);
  write_throttles(out, "blkio_throttle_read_bps_device", cgroup.read_bps, generation);
  write_throttles(out, "blkio_throttle_write_bps_device", cgroup.write_bps, generation);
  write_throttles(out, "blkio_throttle_read_iops_device", cgroup.read_iops, generation);
  write_throttles(out, "blkio_throttle_write_iops_device", cgroup.write_iops, generation);
  if (cgroup.freezer != FreezerState::kUndefined)
    out.field("freezer", cgroup.freezer == FreezerState::kFrozen ? "FROZEN" : "THAWED");
  list(out, "hugetlb_limit", cgroup.hugetlb_limit, [](Writer& w, const HugepageLimit& limit) {
    w.field("page_size", limit.page_size).field("limit", limit.limit);
  });
  text(out, "slice", cgroup.slice);
  if (cgroup.oom_kill_disable) out.field("oom_kill_disable", true);
  // Written always: an absent member was 0 to the original reader, which set it.
  out.field("memory_swappiness", cgroup.memory_swappiness);
  list(out, "net_prio_ifpriomap", cgroup.net_prio_ifpriomap, [](Writer& w, const IfPrioMap& map) {
    w.field("interface", map.interface_name).field("priority", map.priority);
  });
  text(out, "net_cls_classid", cgroup.net_cls_classid);
  out.end_object();
}

int numeric_action(const Syscall& syscall) {
  switch (syscall.action) {
    case Action::kKill:
      return -3;
    case Action::kTrap:
      return -2;
    case Action::kAllow:
      return -1;
    default:
      return syscall.errno_value == 0 ? 1 : syscall.errno_value;
  }
}

// Operator -> number of the numeric generation; -1: it has none.
int numeric_operator(Operator op) {
  switch (op) {
    case Operator::kEqualTo:
      return 0;
    case Operator::kNotEqualTo:
      return 1;
    case Operator::kGreaterThan:
      return 2;
    case Operator::kLessThan:
      return 3;
    case Operator::kMaskEqualTo:
      return 4;
    default:
      return -1;
  }
}

bool numeric_arg(const Arg& arg) {
  return numeric_operator(arg.op) >= 0 && arg.value <= UINT32_MAX &&
         (arg.op != Operator::kMaskEqualTo || arg.value == arg.value_two);
}

bool numeric_syscall(const Syscall& syscall) {
  if (!syscall.number || syscall.action == Action::kTrace) return false;
  for (const Arg& arg : syscall.args) {
    if (!numeric_arg(arg)) return false;
  }
  return true;
}

void write_numeric_syscall(Writer& out, const Syscall& syscall) {
  out.field("value", *syscall.number).field("action", numeric_action(syscall));
  list(out, "args", syscall.args, [](Writer& w, const Arg& arg) {
    w.field("index", arg.index).field("value", arg.value).field("op", numeric_operator(arg.op));
  });
}

void write_named_syscall(Writer& out, const Syscall& syscall) {
  out.field("name", syscall.name).field("action", static_cast<int>(syscall.action));
  if (syscall.action == Action::kErrno && syscall.errno_value > EPERM) out.field("errnoRet", syscall.errno_value);
  list(out, "args", syscall.args, [](Writer& w, const Arg& arg) {
    w.field("index", arg.index).field("value", arg.value).field("value_two", arg.value_two);
    w.field("op", static_cast<int>(arg.op));
  });
}

void write_seccomp(Writer& out, const Seccomp& seccomp, Generation generation) {
  out.key("seccomp").begin_object();
  if (generation == Generation::kNamed) {
    out.field("default_action", static_cast<int>(seccomp.default_action));
    texts(out, "architectures", seccomp.architectures);
  }
  out.key("syscalls").begin_array();
  for (const Syscall& syscall : seccomp.syscalls) {
    // Readers of the newer words take an entry by number as well.
    const bool numeric = generation == Generation::kNumeric || syscall.name.empty();
    if (numeric && !numeric_syscall(syscall)) continue;
    out.begin_object();
    numeric ? write_numeric_syscall(out, syscall) : write_named_syscall(out, syscall);
    out.end_object();
  }
  out.end_array().end_object();
}

void write_texts(Writer& out, std::string_view name, const std::map<std::string, std::string>& values) {
  if (values.empty()) return;
  out.key(name).begin_object();
  for (const auto& [key, value] : values) out.field(key, value);
  out.end_object();
}

// Under the names of the generation.
void write_root_and_sysctl(Writer& out, const Config& config) {
  if (config.generation == Generation::kNumeric) {
    if (config.root_propagation == (MS_PRIVATE | MS_REC)) out.field("privatefs", true);
    write_texts(out, "system_properties", config.sysctl);
    return;
  }
  number(out, "rootPropagation", config.root_propagation);
  write_texts(out, "sysctl", config.sysctl);
}

void write_named_only(Writer& out, const Config& config) {
  if (config.generation == Generation::kNumeric) return;
  number(out, "oom_score_adj", config.oom_score_adj);
  if (config.no_new_privileges) out.field("no_new_privileges", true);
  if (config.hooks && !config.hooks->empty()) {
    out.key("Hooks").begin_object();
    list(out, "prestart", config.hooks->prestart, write_command);
    list(out, "poststart", config.hooks->poststart, write_command);
    list(out, "poststop", config.hooks->poststop, write_command);
    out.end_object();
  }
  text(out, "version", config.version);
}

void write_process_members(Writer& out, const Config& config) {
  texts(out, "capabilities", config.capabilities);
  text(out, "apparmor_profile", config.apparmor_profile);
  text(out, "process_label", config.process_label);
  list(out, "rlimits", config.rlimits, [](Writer& w, const Rlimit& limit) {
    w.field("type", limit.type).field("hard", limit.hard).field("soft", limit.soft);
  });
  texts(out, "additional_groups", config.additional_groups);
  list(out, "uid_mappings", config.uid_mappings, write_id_map);
  list(out, "gid_mappings", config.gid_mappings, write_id_map);
  texts(out, "mask_paths", config.mask_paths);
  texts(out, "readonly_paths", config.readonly_paths);
}

}  // namespace

void write_config(Writer& out, const Config& config) {
  out.begin_object();
  if (config.no_pivot_root) out.field("no_pivot_root", true);
  number(out, "parent_death_signal", config.parent_death_signal);
  text(out, "pivot_dir", config.pivot_dir);
  out.field("rootfs", config.rootfs);
  if (config.readonlyfs) out.field("readonlyfs", true);
  write_root_and_sysctl(out, config);
  list(out, "mounts", config.mounts, write_mount);
  list(out, "devices", config.devices, write_device);
  text(out, "mount_label", config.mount_label);
  text(out, "hostname", config.hostname);
  out.key("namespaces").begin_array();
  for (const Namespace& entry : config.namespaces.entries()) {
    out.begin_object().field("type", entry.type);
    text(out, "path", entry.path);
    out.end_object();
  }
  out.end_array();
  list(out, "networks", config.networks, write_network);
  list(out, "routes", config.routes, write_route);
  if (config.cgroups) {
    out.key("cgroups");
    write_cgroup(out, *config.cgroups, config.generation);
  }
  write_process_members(out, config);
  if (config.seccomp) write_seccomp(out, *config.seccomp, config.generation);
  write_named_only(out, config);
  out.end_object();
}

std::string print_config(const Config& config, Style style) {
  Writer out(style == Style::kPretty ? Writer::Style::kPretty : Writer::Style::kCompact);
  write_config(out, config);
  return out.take();
}

std::string print_hook_state(const HookState& state) {
  Writer out;
  out.begin_object().field("version", state.version).field("id", state.id).field("pid", state.pid);
  return out.field("root", state.root).end_object().take();
}

namespace {

void list_unprintable_seccomp(const Seccomp& seccomp, Generation generation, std::vector<Unprintable>& out) {
  const bool numeric = generation == Generation::kNumeric;
  if (numeric && seccomp.default_action != Action::kAllow)
    out.push_back({"/seccomp/default_action", "the numeric generation always allows what no rule names"});
  if (numeric && !seccomp.architectures.empty())
    out.push_back({"/seccomp/architectures", "the numeric generation knows the native architecture only"});
  for (std::size_t i = 0; i < seccomp.syscalls.size(); ++i) {
    const Syscall& syscall = seccomp.syscalls[i];
    const std::string at = "/seccomp/syscalls/" + std::to_string(i);
    if (numeric && !numeric_syscall(syscall)) {
      out.push_back({at, "has no number, or an action or operator that the numeric generation does not know"});
    } else if (!numeric && syscall.name.empty() && !numeric_syscall(syscall)) {
      out.push_back({at, "system call " + std::to_string(syscall.number.value_or(0)) + " has no name"});
    }
  }
}

}  // namespace

std::vector<Unprintable> unprintable(const Config& config, Generation generation) {
  std::vector<Unprintable> out;
  if (config.seccomp) list_unprintable_seccomp(*config.seccomp, generation, out);
  if (generation == Generation::kNamed) return out;
  const auto lost = [&](bool has, const char* pointer) {
    if (has) out.push_back({pointer, "the numeric generation has no such member"});
  };
  lost(config.root_propagation != 0 && config.root_propagation != (MS_PRIVATE | MS_REC), "/rootPropagation");
  lost(config.oom_score_adj != 0, "/oom_score_adj");
  lost(config.no_new_privileges, "/no_new_privileges");
  lost(config.hooks && !config.hooks->empty(), "/Hooks");
  lost(!config.version.empty(), "/version");
  if (config.cgroups) {
    lost(!config.cgroups->device_rules.empty(), "/cgroups/devices");
    lost(config.cgroups->blkio_leaf_weight != 0, "/cgroups/blkio_leaf_weight");
    for (const WeightDevice& device : config.cgroups->blkio_weight_device)
      lost(device.leaf_weight != 0, "/cgroups/blkio_weight_device");
  }
  for (std::size_t i = 0; i < config.mounts.size(); ++i) {
    if (!config.mounts[i].propagation_flags.empty())
      out.push_back(
          {"/mounts/" + std::to_string(i) + "/propagation_flags", "the numeric generation has no such member"});
  }
  return out;
}

}  // namespace cooper::spec::libcontainer
