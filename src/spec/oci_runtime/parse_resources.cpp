#include "spec/oci_runtime/internal/read.h"

namespace cooper::spec::oci_runtime::internal {
namespace {

Status read_device_rule(const Cursor& object, DeviceRule& out) {
  RETURN_IF_ERROR(require(object, "allow", out.allow));
  RETURN_IF_ERROR(object.read("type", out.type));
  RETURN_IF_ERROR(object.read("major", out.major));
  RETURN_IF_ERROR(object.read("minor", out.minor));
  return object.read("access", out.access);
}

Status read_memory(const Cursor& object, Memory& out) {
  RETURN_IF_ERROR(object.read("limit", out.limit));
  RETURN_IF_ERROR(object.read("reservation", out.reservation));
  RETURN_IF_ERROR(object.read("swap", out.swap));
  RETURN_IF_ERROR(object.read("kernel", out.kernel));
  RETURN_IF_ERROR(object.read("kernelTCP", out.kernel_tcp));
  RETURN_IF_ERROR(object.read("swappiness", out.swappiness));
  RETURN_IF_ERROR(object.read("disableOOMKiller", out.disable_oom_killer));
  RETURN_IF_ERROR(object.read("useHierarchy", out.use_hierarchy));
  return object.read("checkBeforeUpdate", out.check_before_update);
}

Status read_cpu(const Cursor& object, Cpu& out) {
  RETURN_IF_ERROR(object.read("shares", out.shares));
  RETURN_IF_ERROR(object.read("quota", out.quota));
  RETURN_IF_ERROR(object.read("burst", out.burst));
  RETURN_IF_ERROR(object.read("period", out.period));
  RETURN_IF_ERROR(object.read("realtimeRuntime", out.realtime_runtime));
  RETURN_IF_ERROR(object.read("realtimePeriod", out.realtime_period));
  RETURN_IF_ERROR(object.read("cpus", out.cpus));
  RETURN_IF_ERROR(object.read("mems", out.mems));
  return object.read("idle", out.idle);
}

Status read_weight_device(const Cursor& object, WeightDevice& out) {
  RETURN_IF_ERROR(require(object, "major", out.major));
  RETURN_IF_ERROR(require(object, "minor", out.minor));
  RETURN_IF_ERROR(object.read("weight", out.weight));
  return object.read("leafWeight", out.leaf_weight);
}

Status read_throttle_device(const Cursor& object, ThrottleDevice& out) {
  RETURN_IF_ERROR(require(object, "major", out.major));
  RETURN_IF_ERROR(require(object, "minor", out.minor));
  return require(object, "rate", out.rate);
}

Status read_block_io(const Cursor& object, BlockIo& out) {
  RETURN_IF_ERROR(object.read("weight", out.weight));
  RETURN_IF_ERROR(object.read("leafWeight", out.leaf_weight));
  RETURN_IF_ERROR(read_list(object, "weightDevice", out.weight_devices, read_weight_device));
  RETURN_IF_ERROR(read_list(object, "throttleReadBpsDevice", out.read_bps, read_throttle_device));
  RETURN_IF_ERROR(read_list(object, "throttleWriteBpsDevice", out.write_bps, read_throttle_device));
  RETURN_IF_ERROR(read_list(object, "throttleReadIOPSDevice", out.read_iops, read_throttle_device));
  return read_list(object, "throttleWriteIOPSDevice", out.write_iops, read_throttle_device);
}

Status read_hugepage_limit(const Cursor& object, HugepageLimit& out) {
  RETURN_IF_ERROR(require(object, "pageSize", out.page_size));
  return require(object, "limit", out.limit);
}

Status read_interface_priority(const Cursor& object, InterfacePriority& out) {
  RETURN_IF_ERROR(require(object, "name", out.name));
  return require(object, "priority", out.priority);
}

Status read_rdma(const Cursor& object, Rdma& out) {
  RETURN_IF_ERROR(object.expect_object());
  RETURN_IF_ERROR(object.read("hcaHandles", out.hca_handles));
  return object.read("hcaObjects", out.hca_objects);
}

}  // namespace

Status read_resources(const Cursor& object, Resources& out) {
  RETURN_IF_ERROR(object.expect_object());
  RETURN_IF_ERROR(read_list(object, "devices", out.devices, read_device_rule));
  RETURN_IF_ERROR(read_part(object, "memory", out.memory, read_memory));
  RETURN_IF_ERROR(read_part(object, "cpu", out.cpu, read_cpu));
  if (const auto pids = object.get("pids")) {
    RETURN_IF_ERROR(pids->expect_object());
    RETURN_IF_ERROR(pids->read("limit", out.pids_limit));
  }
  RETURN_IF_ERROR(read_part(object, "blockIO", out.block_io, read_block_io));
  RETURN_IF_ERROR(read_list(object, "hugepageLimits", out.hugepage_limits, read_hugepage_limit));
  if (const auto network = object.get("network")) {
    RETURN_IF_ERROR(network->expect_object());
    RETURN_IF_ERROR(network->read("classID", out.network_class_id));
    RETURN_IF_ERROR(read_list(*network, "priorities", out.network_priorities, read_interface_priority));
  }
  RETURN_IF_ERROR(read_map(object, "rdma", out.rdma, read_rdma));
  return read_map(object, "unified", out.unified, read_text);
}

}  // namespace cooper::spec::oci_runtime::internal
