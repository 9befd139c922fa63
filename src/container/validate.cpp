// Rules of the runtime specification and runc's, for everything that can be decided without asking the kernel.
#include <algorithm>
#include <array>
#include <set>

#include "base/strings.h"
#include "container/memory_policy.h"
#include "container/mount_options.h"
#include "container/net_devices.h"
#include "container/plan.h"
#include "container/resctrl.h"
#include "container/validate_rules.h"
#include "sys/tables.h"

namespace cooper::container {
namespace rules {

Error fail(std::string_view pointer, std::string_view message, Errc code) {
  std::string text = pointer.empty() || pointer[0] == '/' ? "config.json: " : "";
  text += pointer;
  text += ": ";
  text += message;
  return Error(code, std::move(text));
}

std::string at(std::string_view pointer, std::size_t index, std::string_view member) {
  std::string out(pointer);
  out += '/';
  out += std::to_string(index);
  out += member;
  return out;
}

bool has_dotdot(std::string_view path) {
  for (const std::string_view part : split(path, '/')) {
    if (part == "..") return true;
  }
  return false;
}

const oci::Namespace* find_namespace(const oci::Config& config, std::string_view type) {
  if (!config.linux) return nullptr;
  for (const oci::Namespace& ns : config.linux->namespaces) {
    if (ns.type == type) return &ns;
  }
  return nullptr;
}

Status check_mapping_list(const std::vector<oci::IdMapping>& mappings, std::string_view pointer) {
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const oci::IdMapping& m = mappings[i];
    if (m.size == 0) return fail(at(pointer, i, "/size"), "must not be 0");
    const std::uint64_t top = std::uint64_t{1} << 32;
    if (std::uint64_t{m.container_id} + m.size > top || std::uint64_t{m.host_id} + m.size > top) {
      return fail(at(pointer, i, ""), "the mapping goes beyond the largest id");
    }
    const auto overlaps = [&m](std::uint32_t oci::IdMapping::*first, const oci::IdMapping& other) {
      return m.*first < std::uint64_t{other.*first} + other.size && other.*first < std::uint64_t{m.*first} + m.size;
    };
    for (std::size_t j = 0; j < i; ++j) {
      if (overlaps(&oci::IdMapping::container_id, mappings[j]) || overlaps(&oci::IdMapping::host_id, mappings[j]))
        return fail(at(pointer, i, ""), "the mapping overlaps that of index " + std::to_string(j));
    }
  }
  return {};
}

}  // namespace rules

namespace {

using rules::at;
using rules::check_mapping_list;
using rules::fail;
using rules::find_namespace;

Status check_root(const oci::Config& config, const PlanOptions& options) {
  if (options.root_override) return {};
  if (!config.root) return fail("/root", "required member is missing");
  if (config.root->path.empty()) return fail("/root/path", "must not be empty");
  return {};
}

Status check_namespaces(const oci::Linux& linux) {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < linux.namespaces.size(); ++i) {
    const oci::Namespace& ns = linux.namespaces[i];
    if (sys::namespace_by_oci_name(ns.type) == nullptr) {
      return fail(at("/linux/namespaces", i, "/type"), "unknown namespace type " + quoted(ns.type));
    }
    if (!seen.insert(ns.type).second) {
      return fail(at("/linux/namespaces", i, "/type"), "namespace " + quoted(ns.type) + " is named twice");
    }
    if (!ns.path.empty() && ns.path[0] != '/') {
      return fail(at("/linux/namespaces", i, "/path"), "namespace path " + quoted(ns.path) + " must be absolute");
    }
  }
  return {};
}

Status check_user_namespace(const oci::Config& config) {
  const oci::Linux& linux = *config.linux;
  const oci::Namespace* user = find_namespace(config, "user");
  if (user == nullptr) return {};  // nothing is mapped: the plan warns of mappings
  RETURN_IF_ERROR(check_mapping_list(linux.uid_mappings, "/linux/uidMappings"));
  RETURN_IF_ERROR(check_mapping_list(linux.gid_mappings, "/linux/gidMappings"));
  const oci::Namespace* mount = find_namespace(config, "mount");
  if (mount == nullptr || !mount->path.empty()) {
    return fail("/linux/namespaces",
                "a container with a user namespace needs a new mount namespace: it may not mount in others")
        .with_hint("add {\"type\": \"mount\"}");
  }
  if (!user->path.empty()) return {};
  if (linux.uid_mappings.empty()) return fail("/linux/uidMappings", "a new user namespace needs mappings");
  if (linux.gid_mappings.empty()) return fail("/linux/gidMappings", "a new user namespace needs mappings");
  return {};
}

Status check_time_offsets(const oci::Config& config) {
  const oci::Linux& linux = *config.linux;
  if (linux.time_offsets.empty()) return {};
  const oci::Namespace* time = find_namespace(config, "time");
  if (time == nullptr || !time->path.empty())
    return fail("/linux/timeOffsets", "time offsets need a new time namespace");
  for (const auto& [clock, offset] : linux.time_offsets) {
    if (clock != "monotonic" && clock != "boottime")
      return fail("/linux/timeOffsets", "unknown clock " + quoted(clock));
    if (offset.nanosecs >= 1000000000U) {
      return fail("/linux/timeOffsets/" + clock + "/nanosecs", "must be less than 1000000000");
    }
  }
  return {};
}

Status check_names(const oci::Config& config) {
  constexpr std::size_t kMaxName = 64;  // __NEW_UTS_LEN
  const bool uts = find_namespace(config, "uts") != nullptr;
  if (!config.hostname.empty() && !uts) return fail("/hostname", "setting the host name needs a uts namespace");
  if (!config.domainname.empty() && !uts) return fail("/domainname", "setting the domain name needs a uts namespace");
  if (config.hostname.size() > kMaxName) return fail("/hostname", "must not be longer than 64 bytes");
  if (config.domainname.size() > kMaxName) return fail("/domainname", "must not be longer than 64 bytes");
  for (const auto& [key, value] : config.annotations) {
    if (key.empty()) return fail("/annotations", "an annotation must not have an empty name");
  }
  return {};
}

Status check_path_list(const std::vector<std::string>& paths, std::string_view pointer) {
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (paths[i].empty() || paths[i][0] != '/')
      return fail(at(pointer, i, ""), quoted(paths[i]) + " must be an absolute path");
  }
  return {};
}

Status check_devices(const oci::Linux& linux) {
  for (std::size_t i = 0; i < linux.devices.size(); ++i) {
    const oci::Device& device = linux.devices[i];
    constexpr std::array<std::string_view, 4> kTypes{"c", "b", "u", "p"};
    if (std::find(kTypes.begin(), kTypes.end(), device.type) == kTypes.end()) {
      return fail(at("/linux/devices", i, "/type"), "must be one of c, b, u, p, not " + quoted(device.type));
    }
    if (device.path.empty() || device.path[0] != '/') {
      return fail(at("/linux/devices", i, "/path"), quoted(device.path) + " must be an absolute path");
    }
    if (device.type == "p") continue;
    constexpr std::int64_t kMaxMajor = (std::int64_t{1} << 12) - 1;
    constexpr std::int64_t kMaxMinor = (std::int64_t{1} << 20) - 1;
    if (device.major < 0 || device.major > kMaxMajor)
      return fail(at("/linux/devices", i, "/major"), "is not a device number");
    if (device.minor < 0 || device.minor > kMaxMinor)
      return fail(at("/linux/devices", i, "/minor"), "is not a device number");
  }
  return {};
}

Status check_hook_list(const std::vector<oci::Hook>& hooks, std::string_view pointer) {
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    if (hooks[i].path.empty() || hooks[i].path[0] != '/') {
      return fail(at(pointer, i, "/path"), "hook path " + quoted(hooks[i].path) + " must be absolute");
    }
    if (hooks[i].timeout_s && *hooks[i].timeout_s <= 0)
      return fail(at(pointer, i, "/timeout"), "must be greater than 0");
  }
  return {};
}

Status check_hooks(const oci::Hooks& hooks) {
  RETURN_IF_ERROR(check_hook_list(hooks.prestart, "/hooks/prestart"));
  RETURN_IF_ERROR(check_hook_list(hooks.create_runtime, "/hooks/createRuntime"));
  RETURN_IF_ERROR(check_hook_list(hooks.create_container, "/hooks/createContainer"));
  RETURN_IF_ERROR(check_hook_list(hooks.start_container, "/hooks/startContainer"));
  RETURN_IF_ERROR(check_hook_list(hooks.poststart, "/hooks/poststart"));
  return check_hook_list(hooks.poststop, "/hooks/poststop");
}

Status check_misc(const oci::Linux& linux) {
  RETURN_IF_ERROR(check_path_list(linux.masked_paths, "/linux/maskedPaths"));
  RETURN_IF_ERROR(check_path_list(linux.readonly_paths, "/linux/readonlyPaths"));
  if (!linux.rootfs_propagation.empty() && propagation_from_word(linux.rootfs_propagation) == 0) {
    return fail("/linux/rootfsPropagation", "unknown propagation " + quoted(linux.rootfs_propagation));
  }
  if (rules::has_dotdot(linux.cgroups_path)) {
    return fail("/linux/cgroupsPath", "path " + quoted(linux.cgroups_path) + " must not contain '..'");
  }
  if (!linux.cgroups_path.empty() && rules::clean_path("/" + linux.cgroups_path) == "/") {
    return fail("/linux/cgroupsPath", "path " + quoted(linux.cgroups_path) + " names no cgroup of the container's own");
  }
  if (linux.personality && linux.personality->domain != "LINUX" && linux.personality->domain != "LINUX32") {
    return fail("/linux/personality/domain", "must be LINUX or LINUX32, not " + quoted(linux.personality->domain));
  }
  if (linux.intel_rdt) RETURN_IF_ERROR(check_intel_rdt(*linux.intel_rdt, "/linux/intelRdt"));
  if (linux.memory_policy) RETURN_IF_ERROR(check_memory_policy(*linux.memory_policy, "/linux/memoryPolicy"));
  return {};
}

}  // namespace

Status validate(const oci::Config& config, const PlanOptions& options) {
  RETURN_IF_ERROR(check_root(config, options));
  if (!config.process) return fail("/process", "required member is missing");
  RETURN_IF_ERROR(validate_process(*config.process, options));
  if (!config.linux) return fail("/linux", "required member is missing");
  RETURN_IF_ERROR(check_namespaces(*config.linux));
  RETURN_IF_ERROR(check_user_namespace(config));
  RETURN_IF_ERROR(check_time_offsets(config));
  RETURN_IF_ERROR(check_names(config));
  RETURN_IF_ERROR(rules::check_mounts(config.mounts, config));
  RETURN_IF_ERROR(rules::check_mounts(options.extra_mounts, config));
  RETURN_IF_ERROR(check_devices(*config.linux));
  RETURN_IF_ERROR(check_net_devices(config, "/linux/netDevices"));
  RETURN_IF_ERROR(rules::check_sysctl(config));
  RETURN_IF_ERROR(check_hooks(config.hooks));
  RETURN_IF_ERROR(check_misc(*config.linux));
  if (config.linux->resources) RETURN_IF_ERROR(validate_resources(*config.linux->resources));
  return {};
}

}  // namespace cooper::container
