#include "spec/libcontainer/validate.h"

#include <arpa/inet.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/chars.h"
#include "base/strings.h"

namespace cooper::spec::libcontainer {
namespace {

Error fail(std::string_view pointer, std::string_view message, Errc code = Errc::kInvalidArgument) {
  return Error(code, "container.json: " + std::string(pointer) + ": " + std::string(message));
}

std::string at(std::string_view list, std::size_t index, std::string_view member = "") {
  return std::string(list) + "/" + std::to_string(index) + std::string(member);
}

bool has_dotdot(std::string_view path) {
  return std::ranges::any_of(split(path, '/'), [](std::string_view part) { return part == ".."; });
}

// 4, 6, or 0 for what is no address.
int family_of(const std::string& address) {
  std::array<unsigned char, 16> bytes{};
  if (::inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) return 4;
  return ::inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1 ? 6 : 0;
}

// The family of "ADDRESS/LENGTH", 0 when malformed.
int family_of_cidr(std::string_view text) {
  const auto parts = split_once(text, '/');
  if (!parts) return 0;
  const int family = family_of(std::string(parts->first));
  const auto length = parse_number<unsigned>(parts->second);
  return length && *length <= (family == 4 ? 32U : 128U) ? family : 0;
}

Status check_family(std::string_view pointer, const std::string& text, bool cidr, int wanted) {
  if (text.empty()) return {};
  const int family = cidr ? family_of_cidr(text) : family_of(text);
  if (family != 0 && (wanted == 0 || family == wanted)) return {};
  const std::string kind = wanted == 0 ? "IP" : "IPv" + std::to_string(wanted);
  return fail(pointer, quoted(text) + " is not an " + kind + " address" + (cidr ? " with a prefix length" : ""));
}

Status check_interface_name(std::string_view pointer, const std::string& name) {
  constexpr std::size_t kMaxName = 15;  // IFNAMSIZ
  const bool bad =
      name.size() > kMaxName || name == "." || name == ".." || name.find_first_of("/: \t\n") != std::string::npos;
  return bad ? fail(pointer, quoted(name) + " is not a name of a network interface") : Status();
}

bool is_mac(std::string_view text) {
  const auto parts = split(text, ':');
  return parts.size() == 6 && std::ranges::all_of(parts, [](std::string_view part) {
           return part.size() == 2 && std::ranges::all_of(part, is_hex);
         });
}

Status check_network(const Network& network, std::size_t index) {
  const auto where = [&](std::string_view member) { return at("/networks", index, member); };
  if (network.type == "loopback") return {};
  if (network.type != "veth") return fail(where("/type"), "must be veth or loopback, not " + quoted(network.type));
  if (network.name.empty()) return fail(where("/name"), "must not be empty");
  RETURN_IF_ERROR(check_interface_name(where("/name"), network.name));
  RETURN_IF_ERROR(check_interface_name(where("/host_interface_name"), network.host_interface_name));
  RETURN_IF_ERROR(check_interface_name(where("/bridge"), network.bridge));
  if (!network.mac_address.empty() && !is_mac(network.mac_address))
    return fail(where("/mac_address"), quoted(network.mac_address) + " is not a MAC address");
  RETURN_IF_ERROR(check_family(where("/address"), network.address, true, 4));
  RETURN_IF_ERROR(check_family(where("/gateway"), network.gateway, false, 4));
  RETURN_IF_ERROR(check_family(where("/ipv6_address"), network.ipv6_address, true, 6));
  RETURN_IF_ERROR(check_family(where("/ipv6_gateway"), network.ipv6_gateway, false, 6));
  if (network.mtu < 0) return fail(where("/mtu"), "must not be negative");
  if (network.tx_queue_len < 0) return fail(where("/txqueuelen"), "must not be negative");
  if (network.hairpin_mode && network.bridge.empty())
    return fail(where("/hairpin_mode"), "needs a bridge, whose port is set");
  return {};
}

Status check_route(const Route& route, std::size_t index) {
  const auto where = [&](std::string_view member) { return at("/routes", index, member); };
  if (route.destination.empty() && route.source.empty() && route.gateway.empty())
    return fail(where(""), "needs a destination, a source or a gateway");
  if (route.interface_name.empty()) return fail(where("/interface_name"), "must not be empty");
  RETURN_IF_ERROR(check_interface_name(where("/interface_name"), route.interface_name));
  RETURN_IF_ERROR(check_family(where("/destination"), route.destination, true, 0));
  RETURN_IF_ERROR(check_family(where("/gateway"), route.gateway, false, 0));
  // An address alone is taken as a source too.
  RETURN_IF_ERROR(check_family(where("/source"), route.source, route.source.find('/') != std::string::npos, 0));
  std::set<int> families;
  if (!route.destination.empty()) families.insert(family_of_cidr(route.destination));
  if (!route.gateway.empty()) families.insert(family_of(route.gateway));
  if (!route.source.empty()) families.insert(family_of(std::string(split(route.source, '/').front())));
  if (families.size() > 1) return fail(where(""), "mixes IPv4 and IPv6");
  return {};
}

Status check_networks(const Config& config) {
  if (!config.networks.empty() && !config.namespaces.contains("NEWNET"))
    return fail("/networks", "needs the namespace NEWNET");
  if (!config.routes.empty() && !config.namespaces.contains("NEWNET"))
    return fail("/routes", "needs the namespace NEWNET");
  std::set<std::string> names;
  for (std::size_t i = 0; i < config.networks.size(); ++i) {
    RETURN_IF_ERROR(check_network(config.networks[i], i));
    if (config.networks[i].type == "veth" && !names.insert(config.networks[i].name).second)
      return fail(at("/networks", i, "/name"), quoted(config.networks[i].name) + " is named twice");
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) RETURN_IF_ERROR(check_route(config.routes[i], i));
  return {};
}

Status check_namespaces(const Config& config) {
  const auto& entries = config.namespaces.entries();
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (std::ranges::find(namespace_types(), std::string_view(entries[i].type)) == namespace_types().end())
      return fail(at("/namespaces", i, "/type"), "unknown namespace " + quoted(entries[i].type));
    if (!seen.insert(entries[i].type).second)
      return fail(at("/namespaces", i, "/type"), quoted(entries[i].type) + " is named twice");
    if (!entries[i].path.empty() && entries[i].path[0] != '/')
      return fail(at("/namespaces", i, "/path"), quoted(entries[i].path) + " must be an absolute path");
  }
  const auto need = [&](bool has, std::string_view pointer, std::string_view type) {
    return !has || config.namespaces.contains(type) ? Status()
                                                    : fail(pointer, "needs the namespace " + std::string(type));
  };
  RETURN_IF_ERROR(need(!config.hostname.empty(), "/hostname", "NEWUTS"));
  RETURN_IF_ERROR(need(!config.mask_paths.empty(), "/mask_paths", "NEWNS"));
  RETURN_IF_ERROR(need(!config.readonly_paths.empty(), "/readonly_paths", "NEWNS"));
  RETURN_IF_ERROR(need(!config.uid_mappings.empty(), "/uid_mappings", "NEWUSER"));
  return need(!config.gid_mappings.empty(), "/gid_mappings", "NEWUSER");
}

Status check_maps(const std::vector<IdMap>& maps, std::string_view pointer) {
  constexpr std::int64_t kIds = std::int64_t{1} << 32;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const IdMap& map = maps[i];
    if (map.size <= 0 || map.size > kIds) return fail(at(pointer, i, "/size"), "must be greater than 0");
    if (map.container_id < 0 || map.container_id + map.size > kIds)
      return fail(at(pointer, i, "/container_id"), "the mapping goes beyond the ids there are");
    if (map.host_id < 0 || map.host_id + map.size > kIds)
      return fail(at(pointer, i, "/host_id"), "the mapping goes beyond the ids there are");
  }
  return {};
}

Status check_commands(const std::vector<Command>& commands, const std::string& pointer) {
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (commands[i].path.empty()) return fail(at(pointer, i, "/path"), "must not be empty");
  }
  return {};
}

Status check_mounts(const Config& config) {
  for (std::size_t i = 0; i < config.mounts.size(); ++i) {
    const Mount& mount = config.mounts[i];
    if (mount.destination.empty()) return fail(at("/mounts", i, "/destination"), "must not be empty");
    if (mount.device.empty()) return fail(at("/mounts", i, "/device"), "must name a file system, or bind");
    if (mount.device == "bind" && mount.source.empty())
      return fail(at("/mounts", i, "/source"), "a bind mount needs a source");
    if (mount.flags < 0 || mount.flags > UINT32_MAX) return fail(at("/mounts", i, "/flags"), "are no mount flags");
    if (!mount.relabel.empty() && mount.relabel != "z" && mount.relabel != "Z")
      return fail(at("/mounts", i, "/relabel"), "must be z or Z, not " + quoted(mount.relabel));
    if (!mount.relabel.empty() && mount.device != "bind")
      return fail(at("/mounts", i, "/relabel"), "only sources of bind mounts have files to label");
    RETURN_IF_ERROR(check_commands(mount.premount_cmds, at("/mounts", i, "/premount_cmds")));
    RETURN_IF_ERROR(check_commands(mount.postmount_cmds, at("/mounts", i, "/postmount_cmds")));
    for (std::size_t j = 0; j < mount.propagation_flags.size(); ++j) {
      const auto type = static_cast<std::uint64_t>(mount.propagation_flags[j]) & ~std::uint64_t{MS_REC};
      if (type != MS_SHARED && type != MS_SLAVE && type != MS_PRIVATE && type != MS_UNBINDABLE)
        return fail(at("/mounts", i, at("/propagation_flags", j)), "is not one propagation");
    }
  }
  return {};
}

Status check_devices(const std::vector<Device>& devices, std::string_view pointer, bool nodes,
                     std::u32string_view types = U"cbup") {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const Device& device = devices[i];
    if (types.find(device.type) == std::u32string_view::npos)
      return fail(at(pointer, i, "/type"), "must be 99 (c), 98 (b), 117 (u) or 112 (p)");
    const std::int64_t lowest = nodes ? 0 : kWildcard;
    if (device.major < lowest || device.major > 0xfff) return fail(at(pointer, i, "/major"), "is no device number");
    if (device.minor < lowest || device.minor > 0xfffff) return fail(at(pointer, i, "/minor"), "is no device number");
    if (device.permissions.find_first_not_of("rwm") != std::string::npos)
      return fail(at(pointer, i, "/permissions"), "must be of the letters r, w and m");
    if (nodes && (device.path.empty() || device.path[0] != '/'))
      return fail(at(pointer, i, "/path"), quoted(device.path) + " must be an absolute path");
  }
  return {};
}

Status check_seccomp(const Seccomp& seccomp) {
  constexpr std::array<std::string_view, 11> kArchitectures{
      "x86", "amd64", "x32", "arm", "arm64", "mips", "mips64", "mips64n32", "mipsel", "mipsel64", "mipsel64n32"};
  for (std::size_t i = 0; i < seccomp.architectures.size(); ++i) {
    if (std::ranges::find(kArchitectures, std::string_view(seccomp.architectures[i])) == kArchitectures.end())
      return fail(at("/seccomp/architectures", i), "unknown architecture " + quoted(seccomp.architectures[i]));
  }
  for (std::size_t i = 0; i < seccomp.syscalls.size(); ++i) {
    const Syscall& syscall = seccomp.syscalls[i];
    if (syscall.name.empty() && !syscall.number) return fail(at("/seccomp/syscalls", i, "/name"), "must not be empty");
    for (std::size_t j = 0; j < syscall.args.size(); ++j) {
      if (syscall.args[j].index > 5)
        return fail(at("/seccomp/syscalls", i, at("/args", j, "/index")), "must be between 0 and 5");
    }
  }
  return {};
}

Status check_process(const Config& config) {
  constexpr int kSignals = 64;
  constexpr int kRlimits = 16;
  if (config.parent_death_signal < 0 || config.parent_death_signal > kSignals)
    return fail("/parent_death_signal", "must be a signal between 1 and 64, or 0");
  if (config.oom_score_adj < -1000 || config.oom_score_adj > 1000)
    return fail("/oom_score_adj", "must be between -1000 and 1000");
  for (std::size_t i = 0; i < config.rlimits.size(); ++i) {
    const Rlimit& limit = config.rlimits[i];
    if (limit.type < 0 || limit.type >= kRlimits) return fail(at("/rlimits", i, "/type"), "is no resource limit");
    if (limit.soft > limit.hard) return fail(at("/rlimits", i, "/soft"), "must not be above the hard limit");
  }
  for (std::size_t i = 0; i < config.capabilities.size(); ++i) {
    if (config.capabilities[i].empty() || config.capabilities[i].starts_with("CAP_"))
      return fail(at("/capabilities", i), "must be a name without CAP_");
  }
  return {};
}

Status check_root(const Config& config) {
  if (config.rootfs.empty()) return fail("/rootfs", "must not be empty");
  if (config.rootfs[0] != '/' || has_dotdot(config.rootfs))
    return fail("/rootfs", quoted(config.rootfs) + " must be an absolute path without '..'");
  if (has_dotdot(config.pivot_dir)) return fail("/pivot_dir", "must not contain '..'");
  const auto propagation = static_cast<std::uint64_t>(config.root_propagation) & ~std::uint64_t{MS_REC};
  constexpr std::array<std::uint64_t, 5> kKnown{0, MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE};
  if (config.root_propagation < 0 || std::ranges::find(kKnown, propagation) == kKnown.end())
    return fail("/rootPropagation", std::to_string(config.root_propagation) + " is not one propagation");
  return {};
}

Status check_weight(std::string_view pointer, std::uint16_t weight) {
  constexpr std::uint16_t kLeast = 10, kMost = 1000;
  return weight == 0 || (weight >= kLeast && weight <= kMost) ? Status() : fail(pointer, "must be between 10 and 1000");
}

}  // namespace

Status validate_cgroup(const Cgroup& cgroup) {
  for (const auto& [pointer, text] : {std::pair<std::string_view, const std::string&>{"/cgroups/name", cgroup.name},
                                      {"/cgroups/parent", cgroup.parent},
                                      {"/cgroups/path", cgroup.path}}) {
    if (has_dotdot(text)) return fail(pointer, quoted(text) + " must not contain '..'");
  }
  if (cgroup.cpu_shares != 0 && (cgroup.cpu_shares < 2 || cgroup.cpu_shares > 262144))
    return fail("/cgroups/cpu_shares", "must be between 2 and 262144: the kernel would set another value");
  if (cgroup.cpu_shares < 0 || cgroup.cpu_period < 0 || cgroup.cpu_rt_period < 0)
    return fail("/cgroups", "shares and periods must not be negative");
  if (cgroup.memory_swappiness < -1 || cgroup.memory_swappiness > 100)
    return fail("/cgroups/memory_swappiness", "must be between 0 and 100, or -1");
  RETURN_IF_ERROR(check_devices(cgroup.allowed_devices, "/cgroups/allowed_devices", false));
  RETURN_IF_ERROR(check_devices(cgroup.denied_devices, "/cgroups/denied_devices", false));
  std::vector<Device> ruled;
  for (const DeviceRule& rule : cgroup.device_rules) ruled.push_back(rule.device);
  RETURN_IF_ERROR(check_devices(ruled, "/cgroups/devices", false, U"acbup"));
  RETURN_IF_ERROR(check_weight("/cgroups/blkio_weight", cgroup.blkio_weight));
  RETURN_IF_ERROR(check_weight("/cgroups/blkio_leaf_weight", cgroup.blkio_leaf_weight));
  for (std::size_t i = 0; i < cgroup.blkio_weight_device.size(); ++i) {
    RETURN_IF_ERROR(
        check_weight(at("/cgroups/blkio_weight_device", i, "/weight"), cgroup.blkio_weight_device[i].weight));
    RETURN_IF_ERROR(
        check_weight(at("/cgroups/blkio_weight_device", i, "/leafWeight"), cgroup.blkio_weight_device[i].leaf_weight));
  }
  for (std::size_t i = 0; i < cgroup.net_prio_ifpriomap.size(); ++i) {
    const IfPrioMap& map = cgroup.net_prio_ifpriomap[i];
    if (map.interface_name.empty() || map.priority < 0 || map.priority > UINT32_MAX)
      return fail(at("/cgroups/net_prio_ifpriomap", i), "needs an interface and a priority");
  }
  if (!cgroup.net_cls_classid.empty() && !parse_class_id(cgroup.net_cls_classid))
    return fail("/cgroups/net_cls_classid", quoted(cgroup.net_cls_classid) + " is not a number");
  return {};
}

std::optional<std::uint32_t> parse_class_id(std::string_view text) {
  if (!text.starts_with("0x") && !text.starts_with("0X")) return parse_number<std::uint32_t>(text);
  std::uint64_t value = 0;
  text.remove_prefix(2);
  if (text.empty() || text.size() > 8) return std::nullopt;
  for (const char c : text) {
    const auto digit = hex_value(c);
    if (!digit) return std::nullopt;
    value = value * 16 + *digit;
  }
  return static_cast<std::uint32_t>(value);
}

Status validate(const Config& config) {
  RETURN_IF_ERROR(check_root(config));
  RETURN_IF_ERROR(check_namespaces(config));
  RETURN_IF_ERROR(check_maps(config.uid_mappings, "/uid_mappings"));
  RETURN_IF_ERROR(check_maps(config.gid_mappings, "/gid_mappings"));
  RETURN_IF_ERROR(check_mounts(config));
  RETURN_IF_ERROR(check_devices(config.devices, "/devices", true));
  RETURN_IF_ERROR(check_networks(config));
  RETURN_IF_ERROR(check_process(config));
  if (config.seccomp) RETURN_IF_ERROR(check_seccomp(*config.seccomp));
  if (config.hooks) {
    RETURN_IF_ERROR(check_commands(config.hooks->prestart, "/Hooks/prestart"));
    RETURN_IF_ERROR(check_commands(config.hooks->poststart, "/Hooks/poststart"));
    RETURN_IF_ERROR(check_commands(config.hooks->poststop, "/Hooks/poststop"));
  }
  return config.cgroups ? validate_cgroup(*config.cgroups) : Status();
}

}  // namespace cooper::spec::libcontainer
