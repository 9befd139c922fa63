#include "spec/oci_runtime/internal/write.h"
#include "spec/oci_runtime/print.h"

namespace cooper::spec::oci_runtime {
namespace internal {
namespace {

void write_namespace(Writer& out, const Namespace& ns) {
  out.begin_object().field("type", ns.type);
  text(out, "path", ns.path);
  out.end_object();
}

void write_device(Writer& out, const Device& device) {
  out.begin_object().field("path", device.path).field("type", device.type);
  if (device.type != "p" || device.major != 0 || device.minor != 0)
    out.field("major", device.major).field("minor", device.minor);
  out.optional_field("fileMode", device.file_mode).optional_field("uid", device.uid).optional_field("gid", device.gid);
  out.end_object();
}

void write_seccomp_arg(Writer& out, const SeccompArg& arg) {
  out.begin_object().field("index", arg.index).field("value", arg.value);
  if (arg.value_two != 0) out.field("valueTwo", arg.value_two);
  out.field("op", arg.op).end_object();
}

void write_seccomp_syscall(Writer& out, const SeccompSyscall& syscall) {
  out.begin_object().field("names", syscall.names).field("action", syscall.action);
  out.optional_field("errnoRet", syscall.errno_ret);
  list(out, "args", syscall.args, write_seccomp_arg);
  out.end_object();
}

void write_time_offsets(Writer& out, const std::map<std::string, TimeOffset>& offsets) {
  if (offsets.empty()) return;
  out.key("timeOffsets").begin_object();
  for (const auto& [clock, offset] : offsets) {
    out.key(clock).begin_object().field("secs", offset.secs).field("nanosecs", offset.nanosecs).end_object();
  }
  out.end_object();
}

void write_net_devices(Writer& out, const std::map<std::string, NetDevice>& devices) {
  if (devices.empty()) return;
  out.key("netDevices").begin_object();
  for (const auto& [host_name, device] : devices) {
    out.key(host_name).begin_object();
    text(out, "name", device.name);
    out.end_object();
  }
  out.end_object();
}

}  // namespace

void write_seccomp(Writer& out, const Seccomp& seccomp) {
  out.begin_object().field("defaultAction", seccomp.default_action);
  out.optional_field("defaultErrnoRet", seccomp.default_errno_ret);
  texts(out, "architectures", seccomp.architectures);
  texts(out, "flags", seccomp.flags);
  text(out, "listenerPath", seccomp.listener_path);
  text(out, "listenerMetadata", seccomp.listener_metadata);
  list(out, "syscalls", seccomp.syscalls, write_seccomp_syscall);
  out.end_object();
}

void write_linux(Writer& out, const Linux& linux) {
  out.begin_object();
  list(out, "uidMappings", linux.uid_mappings, write_mapping);
  list(out, "gidMappings", linux.gid_mappings, write_mapping);
  map(out, "sysctl", linux.sysctl);
  if (linux.resources) {
    out.key("resources");
    write_resources(out, *linux.resources);
  }
  text(out, "cgroupsPath", linux.cgroups_path);
  list(out, "namespaces", linux.namespaces, write_namespace);
  list(out, "devices", linux.devices, write_device);
  write_time_offsets(out, linux.time_offsets);
  if (linux.seccomp) {
    out.key("seccomp");
    write_seccomp(out, *linux.seccomp);
  }
  text(out, "rootfsPropagation", linux.rootfs_propagation);
  texts(out, "maskedPaths", linux.masked_paths);
  texts(out, "readonlyPaths", linux.readonly_paths);
  text(out, "mountLabel", linux.mount_label);
  if (linux.intel_rdt) {
    out.key("intelRdt").begin_object();
    text(out, "closID", linux.intel_rdt->clos_id);
    text(out, "l3CacheSchema", linux.intel_rdt->l3_cache_schema);
    text(out, "memBwSchema", linux.intel_rdt->mem_bw_schema);
    texts(out, "schemata", linux.intel_rdt->schemata);
    if (linux.intel_rdt->enable_monitoring) out.field("enableMonitoring", true);
    out.end_object();
  }
  if (linux.personality) {
    out.key("personality").begin_object().field("domain", linux.personality->domain);
    texts(out, "flags", linux.personality->flags);
    out.end_object();
  }
  if (linux.memory_policy) {
    out.key("memoryPolicy").begin_object().field("mode", linux.memory_policy->mode);
    text(out, "nodes", linux.memory_policy->nodes);
    texts(out, "flags", linux.memory_policy->flags);
    out.end_object();
  }
  write_net_devices(out, linux.net_devices);
  out.end_object();
}

namespace {

void write_device_rule(Writer& out, const DeviceRule& rule) {
  out.begin_object().field("allow", rule.allow);
  text(out, "type", rule.type);
  out.optional_field("major", rule.major).optional_field("minor", rule.minor);
  text(out, "access", rule.access);
  out.end_object();
}

void write_memory(Writer& out, const Memory& memory) {
  out.begin_object();
  out.optional_field("limit", memory.limit).optional_field("reservation", memory.reservation);
  out.optional_field("swap", memory.swap)
      .optional_field("kernel", memory.kernel)
      .optional_field("kernelTCP", memory.kernel_tcp);
  out.optional_field("swappiness", memory.swappiness).optional_field("disableOOMKiller", memory.disable_oom_killer);
  out.optional_field("useHierarchy", memory.use_hierarchy)
      .optional_field("checkBeforeUpdate", memory.check_before_update);
  out.end_object();
}

void write_cpu(Writer& out, const Cpu& cpu) {
  out.begin_object();
  out.optional_field("shares", cpu.shares).optional_field("quota", cpu.quota).optional_field("burst", cpu.burst);
  out.optional_field("period", cpu.period).optional_field("realtimeRuntime", cpu.realtime_runtime);
  out.optional_field("realtimePeriod", cpu.realtime_period);
  text(out, "cpus", cpu.cpus);
  text(out, "mems", cpu.mems);
  out.optional_field("idle", cpu.idle);
  out.end_object();
}

void write_weight_device(Writer& out, const WeightDevice& device) {
  out.begin_object().field("major", device.major).field("minor", device.minor);
  out.optional_field("weight", device.weight).optional_field("leafWeight", device.leaf_weight);
  out.end_object();
}

void write_throttle_device(Writer& out, const ThrottleDevice& device) {
  out.begin_object().field("major", device.major).field("minor", device.minor).field("rate", device.rate).end_object();
}

void write_block_io(Writer& out, const BlockIo& io) {
  out.begin_object();
  out.optional_field("weight", io.weight).optional_field("leafWeight", io.leaf_weight);
  list(out, "weightDevice", io.weight_devices, write_weight_device);
  list(out, "throttleReadBpsDevice", io.read_bps, write_throttle_device);
  list(out, "throttleWriteBpsDevice", io.write_bps, write_throttle_device);
  list(out, "throttleReadIOPSDevice", io.read_iops, write_throttle_device);
  list(out, "throttleWriteIOPSDevice", io.write_iops, write_throttle_device);
  out.end_object();
}

void write_hugepage_limit(Writer& out, const HugepageLimit& limit) {
  out.begin_object().field("pageSize", limit.page_size).field("limit", limit.limit).end_object();
}

void write_interface_priority(Writer& out, const InterfacePriority& priority) {
  out.begin_object().field("name", priority.name).field("priority", priority.priority).end_object();
}

void write_network(Writer& out, const Resources& resources) {
  if (!resources.network_class_id && resources.network_priorities.empty()) return;
  out.key("network").begin_object().optional_field("classID", resources.network_class_id);
  list(out, "priorities", resources.network_priorities, write_interface_priority);
  out.end_object();
}

void write_rdma(Writer& out, const std::map<std::string, Rdma>& rdma) {
  if (rdma.empty()) return;
  out.key("rdma").begin_object();
  for (const auto& [device, limit] : rdma) {
    out.key(device).begin_object();
    out.optional_field("hcaHandles", limit.hca_handles).optional_field("hcaObjects", limit.hca_objects).end_object();
  }
  out.end_object();
}

}  // namespace
}  // namespace internal

void write_resources(codec::json::Writer& out, const Resources& resources) {
  using namespace internal;
  out.begin_object();
  list(out, "devices", resources.devices, write_device_rule);
  if (resources.memory) {
    out.key("memory");
    write_memory(out, *resources.memory);
  }
  if (resources.cpu) {
    out.key("cpu");
    write_cpu(out, *resources.cpu);
  }
  if (resources.pids_limit) out.key("pids").begin_object().field("limit", *resources.pids_limit).end_object();
  if (resources.block_io) {
    out.key("blockIO");
    write_block_io(out, *resources.block_io);
  }
  list(out, "hugepageLimits", resources.hugepage_limits, write_hugepage_limit);
  write_network(out, resources);
  write_rdma(out, resources.rdma);
  map(out, "unified", resources.unified);
  out.end_object();
}

}  // namespace cooper::spec::oci_runtime
