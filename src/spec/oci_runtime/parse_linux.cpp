#include "spec/oci_runtime/internal/read.h"

namespace cooper::spec::oci_runtime::internal {
namespace {

Status read_namespace(const Cursor& object, Namespace& out) {
  RETURN_IF_ERROR(require(object, "type", out.type));
  return object.read("path", out.path);
}

Status read_time_offset(const Cursor& object, TimeOffset& out) {
  RETURN_IF_ERROR(object.expect_object());
  RETURN_IF_ERROR(object.read("secs", out.secs));
  return object.read("nanosecs", out.nanosecs);
}

Status read_device(const Cursor& object, Device& out) {
  RETURN_IF_ERROR(require(object, "type", out.type));
  RETURN_IF_ERROR(require(object, "path", out.path));
  RETURN_IF_ERROR(object.read("major", out.major));
  RETURN_IF_ERROR(object.read("minor", out.minor));
  RETURN_IF_ERROR(object.read("fileMode", out.file_mode));
  RETURN_IF_ERROR(object.read("uid", out.uid));
  return object.read("gid", out.gid);
}

Status read_seccomp_arg(const Cursor& object, SeccompArg& out) {
  RETURN_IF_ERROR(require(object, "index", out.index));
  RETURN_IF_ERROR(require(object, "value", out.value));
  RETURN_IF_ERROR(object.read("valueTwo", out.value_two));
  return require(object, "op", out.op);
}

Status read_seccomp_syscall(const Cursor& object, SeccompSyscall& out) {
  RETURN_IF_ERROR(require_texts(object, "names", out.names));
  RETURN_IF_ERROR(require(object, "action", out.action));
  RETURN_IF_ERROR(object.read("errnoRet", out.errno_ret));
  return read_list(object, "args", out.args, read_seccomp_arg);
}

Status read_personality(const Cursor& object, Personality& out) {
  RETURN_IF_ERROR(require(object, "domain", out.domain));
  return read_texts(object, "flags", out.flags);
}

Status read_intel_rdt(const Cursor& object, IntelRdt& out) {
  RETURN_IF_ERROR(object.read("closID", out.clos_id));
  RETURN_IF_ERROR(object.read("l3CacheSchema", out.l3_cache_schema));
  RETURN_IF_ERROR(object.read("memBwSchema", out.mem_bw_schema));
  RETURN_IF_ERROR(read_texts(object, "schemata", out.schemata));
  bool cmt = false;
  bool mbm = false;
  RETURN_IF_ERROR(object.read("enableCMT", cmt));
  RETURN_IF_ERROR(object.read("enableMBM", mbm));
  RETURN_IF_ERROR(object.read("enableMonitoring", out.enable_monitoring));
  out.enable_monitoring = out.enable_monitoring || cmt || mbm;
  return {};
}

Status read_memory_policy(const Cursor& object, MemoryPolicy& out) {
  RETURN_IF_ERROR(require(object, "mode", out.mode));
  RETURN_IF_ERROR(object.read("nodes", out.nodes));
  return read_texts(object, "flags", out.flags);
}

Status read_net_device(const Cursor& object, NetDevice& out) {
  RETURN_IF_ERROR(object.expect_object());
  return object.read("name", out.name);
}

}  // namespace

Status read_id_mapping(const Cursor& object, IdMapping& out) {
  RETURN_IF_ERROR(require(object, "containerID", out.container_id));
  RETURN_IF_ERROR(require(object, "hostID", out.host_id));
  return require(object, "size", out.size);
}

Status read_seccomp(const Cursor& object, Seccomp& out) {
  RETURN_IF_ERROR(require(object, "defaultAction", out.default_action));
  RETURN_IF_ERROR(object.read("defaultErrnoRet", out.default_errno_ret));
  RETURN_IF_ERROR(read_texts(object, "architectures", out.architectures));
  RETURN_IF_ERROR(read_texts(object, "flags", out.flags));
  RETURN_IF_ERROR(object.read("listenerPath", out.listener_path));
  RETURN_IF_ERROR(object.read("listenerMetadata", out.listener_metadata));
  return read_list(object, "syscalls", out.syscalls, read_seccomp_syscall);
}

Status read_linux(const Cursor& object, Linux& out) {
  RETURN_IF_ERROR(read_list(object, "namespaces", out.namespaces, read_namespace));
  RETURN_IF_ERROR(read_list(object, "uidMappings", out.uid_mappings, read_id_mapping));
  RETURN_IF_ERROR(read_list(object, "gidMappings", out.gid_mappings, read_id_mapping));
  RETURN_IF_ERROR(read_map(object, "timeOffsets", out.time_offsets, read_time_offset));
  RETURN_IF_ERROR(read_list(object, "devices", out.devices, read_device));
  RETURN_IF_ERROR(object.read("cgroupsPath", out.cgroups_path));
  RETURN_IF_ERROR(read_part(object, "resources", out.resources, read_resources));
  RETURN_IF_ERROR(object.read("rootfsPropagation", out.rootfs_propagation));
  RETURN_IF_ERROR(read_part(object, "seccomp", out.seccomp, read_seccomp));
  RETURN_IF_ERROR(read_map(object, "sysctl", out.sysctl, read_text));
  RETURN_IF_ERROR(read_texts(object, "maskedPaths", out.masked_paths));
  RETURN_IF_ERROR(read_texts(object, "readonlyPaths", out.readonly_paths));
  RETURN_IF_ERROR(object.read("mountLabel", out.mount_label));
  RETURN_IF_ERROR(read_part(object, "personality", out.personality, read_personality));
  RETURN_IF_ERROR(read_part(object, "intelRdt", out.intel_rdt, read_intel_rdt));
  RETURN_IF_ERROR(read_part(object, "memoryPolicy", out.memory_policy, read_memory_policy));
  return read_map(object, "netDevices", out.net_devices, read_net_device);
}

}  // namespace cooper::spec::oci_runtime::internal
