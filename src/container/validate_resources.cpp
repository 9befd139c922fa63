#include <algorithm>

#include "base/strings.h"
#include "container/number_list.h"
#include "container/plan.h"
#include "container/validate_rules.h"

namespace cooper::container {
namespace {

using rules::at;
using rules::fail;

Status check_device_rules(const std::vector<oci::DeviceRule>& device_rules, const std::string& pointer) {
  for (std::size_t i = 0; i < device_rules.size(); ++i) {
    const oci::DeviceRule& rule = device_rules[i];
    if (!rule.type.empty() && rule.type != "a" && rule.type != "b" && rule.type != "c") {
      return fail(at(pointer, i, "/type"), "must be a, b or c, not " + quoted(rule.type));
    }
    if (rule.access.find_first_not_of("rwm") != std::string::npos) {
      return fail(at(pointer, i, "/access"), "must be made of r, w and m, not " + quoted(rule.access));
    }
    if (rule.major && *rule.major < -1) return fail(at(pointer, i, "/major"), "must not be less than -1");
    if (rule.minor && *rule.minor < -1) return fail(at(pointer, i, "/minor"), "must not be less than -1");
  }
  return {};
}

Status check_memory(const oci::Memory& memory, const std::string& pointer) {
  const auto check = [&](const std::optional<std::int64_t>& value, std::string_view name) -> Status {
    if (value && *value < -1)
      return fail(pointer + "/" + std::string(name), "must be -1 (unlimited) or a number of bytes");
    return {};
  };
  RETURN_IF_ERROR(check(memory.limit, "limit"));
  RETURN_IF_ERROR(check(memory.reservation, "reservation"));
  RETURN_IF_ERROR(check(memory.swap, "swap"));
  if (memory.limit && memory.swap && *memory.limit > 0 && *memory.swap > 0 && *memory.swap < *memory.limit) {
    return fail(pointer + "/swap", "is the limit of memory plus swap and must not be less than the memory limit");
  }
  if (memory.swappiness && *memory.swappiness > 200) return fail(pointer + "/swappiness", "must be at most 200");
  return {};
}

bool is_cpu_list(std::string_view text) {
  return parse_number_list(text).has_value();
}

Status check_cpu(const oci::Cpu& cpu, const std::string& pointer) {
  if (!is_cpu_list(cpu.cpus))
    return fail(pointer + "/cpus", quoted(cpu.cpus) + " is not a list of processors such as 0-3,5");
  if (!is_cpu_list(cpu.mems))
    return fail(pointer + "/mems", quoted(cpu.mems) + " is not a list of memory nodes such as 0-1");
  if (cpu.idle && *cpu.idle != 0 && *cpu.idle != 1) return fail(pointer + "/idle", "must be 0 or 1");
  return {};
}

Status check_weight(const std::optional<std::uint16_t>& weight, const std::string& pointer) {
  if (weight && *weight != 0 && (*weight < 10 || *weight > 1000))
    return fail(pointer, "must be 0 (unset) or between 10 and 1000");
  return {};
}

Status check_block_io(const oci::BlockIo& io, const std::string& pointer) {
  RETURN_IF_ERROR(check_weight(io.weight, pointer + "/weight"));
  RETURN_IF_ERROR(check_weight(io.leaf_weight, pointer + "/leafWeight"));
  for (std::size_t i = 0; i < io.weight_devices.size(); ++i) {
    RETURN_IF_ERROR(check_weight(io.weight_devices[i].weight, at(pointer + "/weightDevice", i, "/weight")));
    RETURN_IF_ERROR(check_weight(io.weight_devices[i].leaf_weight, at(pointer + "/weightDevice", i, "/leafWeight")));
  }
  return {};
}

// "2MB", "64KB", "1GB".
bool is_page_size(std::string_view text) {
  if (text.size() < 3) return false;
  const std::string_view unit = text.substr(text.size() - 2);
  const auto number = parse_number<std::uint64_t>(text.substr(0, text.size() - 2));
  return number && *number > 0 && (unit == "KB" || unit == "MB" || unit == "GB");
}

}  // namespace

Status validate_resources(const oci::Resources& resources, std::string_view pointer) {
  const std::string base(pointer);
  RETURN_IF_ERROR(check_device_rules(resources.devices, base + "/devices"));
  if (resources.memory) RETURN_IF_ERROR(check_memory(*resources.memory, base + "/memory"));
  if (resources.cpu) RETURN_IF_ERROR(check_cpu(*resources.cpu, base + "/cpu"));
  if (resources.pids_limit && *resources.pids_limit < -1)
    return fail(base + "/pids/limit", "must be -1 (unlimited) or a number");
  if (resources.block_io) RETURN_IF_ERROR(check_block_io(*resources.block_io, base + "/blockIO"));
  for (std::size_t i = 0; i < resources.hugepage_limits.size(); ++i) {
    if (!is_page_size(resources.hugepage_limits[i].page_size)) {
      return fail(at(base + "/hugepageLimits", i, "/pageSize"),
                  quoted(resources.hugepage_limits[i].page_size) + " is not a page size such as 2MB");
    }
  }
  for (const auto& [file, value] : resources.unified) {
    if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos) {
      return fail(base + "/unified", quoted(file) + " is not the name of a cgroup file");
    }
  }
  return {};
}

}  // namespace cooper::container
