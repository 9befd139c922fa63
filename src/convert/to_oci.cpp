#include <sys/mount.h>

#include <algorithm>

#include "base/strings.h"
#include "convert/convert.h"
#include "convert/internal/seccomp.h"
#include "convert/internal/words.h"
#include "spec/oci_runtime/defaults.h"
#include "sys/tables.h"

namespace cooper::convert {
namespace {

std::string at(std::string_view list, std::size_t index, std::string_view member = "") {
  return std::string(list) + "/" + std::to_string(index) + std::string(member);
}

class ToOci {
 public:
  ToOci(const libcontainer::Config& source, const ProcessWishes& wishes, bool systemd_cgroup)
      : source_(source), wishes_(wishes), systemd_cgroup_(systemd_cgroup) {}

  Result<OciResult> convert() {
    oci::Config& config = out_.config;
    config.oci_version = oci::kSpecVersion;
    config.root = oci::Root{source_.rootfs, source_.readonlyfs};
    config.hostname = source_.hostname;
    config.linux.emplace();
    RETURN_IF_ERROR(process());
    for (std::size_t i = 0; i < source_.mounts.size(); ++i) mount(i);
    namespaces();
    devices();
    cgroup();
    network();
    rest();
    hooks();
    for (const auto& [pointer, reason] : source_.unknown) lose(pointer, reason);
    return std::move(out_);
  }

 private:
  void lose(std::string pointer, std::string reason, bool in_extras = false) {
    out_.lost.push_back({std::move(pointer), std::move(reason), in_extras});
  }
  Status process();
  void groups(oci::Process& process);
  void mount(std::size_t index);
  std::string destination(const std::string& path) const;
  void mount_extras(std::size_t index);
  void namespaces();
  void devices();
  void cgroup();
  void lose_default_rules(const libcontainer::Cgroup& cgroup);
  void network();
  void rest();
  void hooks();
  std::vector<oci::Hook> hook_list(const std::vector<libcontainer::CommandHook>& hooks, const std::string& pointer);

  const libcontainer::Config& source_;
  const ProcessWishes& wishes_;
  bool systemd_cgroup_;
  OciResult out_;
};

void ToOci::groups(oci::Process& process) {
  process.user.additional_gids = wishes_.groups;
  for (std::size_t i = 0; i < source_.additional_groups.size(); ++i) {
    const auto gid = parse_number<std::uint32_t>(source_.additional_groups[i]);
    if (!gid) {
      lose(at("/additional_groups", i), "a name is looked up in the container's own group file when it starts", true);
    } else if (std::ranges::find(process.user.additional_gids, *gid) == process.user.additional_gids.end()) {
      process.user.additional_gids.push_back(*gid);
    }
  }
}

Status ToOci::process() {
  oci::Process& process = out_.config.process.emplace();
  process.terminal = wishes_.terminal;
  process.args = wishes_.args;
  process.env = wishes_.env;
  process.cwd = wishes_.cwd;
  process.user.uid = wishes_.uid;
  process.user.gid = wishes_.gid;
  groups(process);
  std::vector<std::string> names;
  for (const std::string& name : wishes_.own_capabilities ? wishes_.capabilities : source_.capabilities)
    names.push_back(name.starts_with("CAP_") ? name : "CAP_" + name);
  process.capabilities = oci::Capabilities{names, names, names, names, {}};
  for (std::size_t i = 0; i < source_.rlimits.size(); ++i) {
    const libcontainer::Rlimit& limit = source_.rlimits[i];
    const std::string_view name = sys::rlimit_name(limit.type);
    if (name.empty())
      return Error(Errc::kInvalidArgument, "container.json: " + at("/rlimits", i, "/type") + ": is no resource limit");
    process.rlimits.push_back({std::string(name), limit.hard, limit.soft});
  }
  // The generation that has the member always wrote it.
  if (source_.oom_score_adj != 0 || source_.generation == libcontainer::Generation::kNamed)
    process.oom_score_adj = static_cast<std::int32_t>(source_.oom_score_adj);
  process.no_new_privileges = source_.no_new_privileges;
  process.apparmor_profile = source_.apparmor_profile;
  process.selinux_label = source_.process_label;
  return {};
}

// Both "/data" and "ROOTFS/data" were the same place.
std::string ToOci::destination(const std::string& path) const {
  if (!path.starts_with(source_.rootfs + "/")) return path.starts_with("/") ? path : "/" + path;
  return path.substr(source_.rootfs.size());
}

void ToOci::mount(std::size_t index) {
  const libcontainer::Mount& mount = source_.mounts[index];
  const auto flags = static_cast<std::uint64_t>(mount.flags);
  const bool bind = mount.device == "bind" || (flags & MS_BIND) != 0;
  oci::Mount& out = out_.config.mounts.emplace_back();
  out.destination = destination(mount.destination);
  out.source = mount.source;
  out.type = bind ? "bind" : mount.device;
  std::uint64_t rest = 0;
  out.options = words_from_flags(flags, bind, rest);
  rest &= ~std::uint64_t{MS_REC};
  constexpr std::uint64_t kPropagationBits = MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE;
  if ((rest & kPropagationBits) != 0) {
    if (const std::string word = propagation_word((rest & kPropagationBits) | (flags & MS_REC)); !word.empty()) {
      out.options.push_back(word);
      rest &= ~kPropagationBits;
    }
  }
  if (rest != 0) lose(at("/mounts", index, "/flags"), "the bits " + std::to_string(rest) + " have no option word");
  for (const std::int64_t propagation : mount.propagation_flags)
    out.options.push_back(propagation_word(static_cast<std::uint64_t>(propagation)));
  for (std::string& word : split_data(mount.data)) {
    if (bind) {
      lose(at("/mounts", index, "/data"), "the kernel takes no data for a bind mount");
      break;
    }
    out.options.push_back(std::move(word));
  }
  mount_extras(index);
}

std::vector<container::MountCommand> mount_commands(const std::vector<libcontainer::Command>& commands) {
  std::vector<container::MountCommand> out;
  for (const auto& command : commands) out.push_back({command.path, command.args, command.env, command.dir});
  return out;
}

void ToOci::mount_extras(std::size_t index) {
  const libcontainer::Mount& mount = source_.mounts[index];
  container::MountExtras extras{index, mount_commands(mount.premount_cmds), mount_commands(mount.postmount_cmds),
                                mount.relabel};
  if (!extras.before.empty())
    lose(at("/mounts", index, "/premount_cmds"), "the runtime specification has no commands around a mount", true);
  if (!extras.after.empty())
    lose(at("/mounts", index, "/postmount_cmds"), "the runtime specification has no commands around a mount", true);
  if (!extras.relabel.empty())
    lose(at("/mounts", index, "/relabel"), "the runtime specification has no labels for sources", true);
  if (!extras.before.empty() || !extras.after.empty() || !extras.relabel.empty())
    out_.extras.mounts.push_back(std::move(extras));
}

std::vector<oci::IdMapping> mappings(const std::vector<libcontainer::IdMap>& maps) {
  std::vector<oci::IdMapping> out;
  for (const auto& map : maps) {
    out.push_back({static_cast<std::uint32_t>(map.container_id), static_cast<std::uint32_t>(map.host_id),
                   static_cast<std::uint32_t>(map.size)});
  }
  return out;
}

void ToOci::namespaces() {
  oci::Linux& linux = *out_.config.linux;
  for (const auto& entry : source_.namespaces.entries())
    linux.namespaces.push_back({std::string(oci_namespace(entry.type)), entry.path});
  linux.uid_mappings = mappings(source_.uid_mappings);
  linux.gid_mappings = mappings(source_.gid_mappings);
}

void ToOci::devices() {
  for (const auto& device : source_.devices) {
    oci::Device& out = out_.config.linux->devices.emplace_back();
    out.type = std::string(1, static_cast<char>(device.type));
    out.path = device.path;
    out.major = device.major;
    out.minor = device.minor;
    if (device.file_mode != 0) out.file_mode = device.file_mode & 07777;
    if (device.uid != 0) out.uid = device.uid;
    if (device.gid != 0) out.gid = device.gid;
  }
  if (source_.devices.empty()) {
    out_.extras.device_nodes = container::DeviceNodes::kNone;
    lose("/devices", "without any, /dev was left alone; runtimes of the specification make the usual nodes", true);
    return;
  }
  out_.extras.device_nodes = container::DeviceNodes::kListed;
  for (const auto& usual : libcontainer::simple_devices()) {
    if (std::ranges::any_of(source_.devices, [&](const auto& device) { return device.path == usual.path; })) continue;
    lose("/devices", "runtimes of the specification make " + usual.path + " too", true);
  }
}

// A parent that is a path, in the name of a unit.
std::string unit_prefix(std::string_view parent) {
  while (parent.starts_with('/')) parent.remove_prefix(1);
  std::string out(parent);
  std::ranges::replace(out, '/', '-');
  return out;
}

// Runtimes of the specification allow them last.
void ToOci::lose_default_rules(const libcontainer::Cgroup& cgroup) {
  const auto& listed = cgroup.allow_all_devices ? cgroup.denied_devices : cgroup.allowed_devices;
  const auto is_listed = [&](const libcontainer::Device& usual) {
    return std::ranges::any_of(listed,
                               [&](const auto& device) { return device.cgroup_string() == usual.cgroup_string(); });
  };
  if (!cgroup.device_rules.empty()) {
    lose("/cgroups/devices", "runtimes of the specification allow the usual devices, such as /dev/null, in any case",
         true);
    return;
  }
  const auto usual = libcontainer::allowed_devices();
  if (cgroup.allow_all_devices ? std::ranges::any_of(usual, is_listed) : !std::ranges::all_of(usual, is_listed)) {
    lose(cgroup.allow_all_devices ? "/cgroups/denied_devices" : "/cgroups/allowed_devices",
         "runtimes of the specification allow the usual devices, such as /dev/null, in any case", true);
  }
}

void ToOci::cgroup() {
  out_.extras.exact_device_rules = source_.cgroups.has_value();
  if (!source_.cgroups) return;
  const libcontainer::Cgroup& cgroup = *source_.cgroups;
  oci::Linux& linux = *out_.config.linux;
  linux.resources = resources_of(cgroup);
  lose_default_rules(cgroup);
  if (systemd_cgroup_ && cgroup.name.empty()) {
    lose("/cgroups/name", "a scope without a name is named after the container, in a slice of the runtime's choice");
  } else if (systemd_cgroup_) {
    linux.cgroups_path =
        (cgroup.slice.empty() ? "system.slice" : cgroup.slice) + ":" + unit_prefix(cgroup.parent) + ":" + cgroup.name;
    if (!cgroup.path.empty()) lose("/cgroups/path", "groups made by systemd are named by slice, parent and name");
  } else {
    const std::string joined = !cgroup.path.empty() ? cgroup.path
                               : cgroup.name.starts_with("/")
                                   ? cgroup.name
                                   : cgroup.parent + (cgroup.name.empty() ? "" : "/" + cgroup.name);
    if (!joined.empty()) linux.cgroups_path = joined.starts_with("/") ? joined : "/" + joined;
    if (!cgroup.slice.empty()) lose("/cgroups/slice", "only groups made by systemd are in slices");
  }
  if (cgroup.freezer == libcontainer::FreezerState::kFrozen)
    lose("/cgroups/freezer", "the runtime specification has no frozen start", true);
}

container::Interface interface_of(const libcontainer::Network& network) {
  container::Interface out;
  out.name = network.name;
  out.host_name = network.host_interface_name;
  out.bridge = network.bridge;
  out.mac = network.mac_address;
  for (const std::string& address : {network.address, network.ipv6_address}) {
    if (!address.empty()) out.addresses.push_back(address);
  }
  for (const std::string& gateway : {network.gateway, network.ipv6_gateway}) {
    if (!gateway.empty()) out.gateways.push_back(gateway);
  }
  out.mtu_bytes = static_cast<std::uint32_t>(network.mtu);
  out.tx_queue_len = static_cast<std::uint32_t>(network.tx_queue_len);
  out.hairpin = network.hairpin_mode;
  return out;
}

void ToOci::network() {
  for (std::size_t i = 0; i < source_.networks.size(); ++i) {
    if (source_.networks[i].type == "loopback") {
      out_.extras.loopback = true;
      continue;
    }
    out_.extras.interfaces.push_back(interface_of(source_.networks[i]));
    lose(at("/networks", i), "the runtime specification has no networks", true);
  }
  for (std::size_t i = 0; i < source_.routes.size(); ++i) {
    const libcontainer::Route& route = source_.routes[i];
    out_.extras.routes.push_back({route.destination, route.source, route.gateway, route.interface_name});
    lose(at("/routes", i), "the runtime specification has no routes", true);
  }
  const auto* space = source_.namespaces.find("NEWNET");
  if (space != nullptr && space->path.empty() && !out_.extras.loopback)
    lose("/networks", "loopback was left down; runtimes of the specification set it up", true);
}

void ToOci::rest() {
  oci::Linux& linux = *out_.config.linux;
  linux.rootfs_propagation = propagation_word(static_cast<std::uint64_t>(source_.root_propagation));
  linux.masked_paths = source_.mask_paths;
  linux.readonly_paths = source_.readonly_paths;
  linux.sysctl = source_.sysctl;
  linux.mount_label = source_.mount_label;
  if (source_.seccomp) linux.seccomp = oci_seccomp(*source_.seccomp, out_.lost);
  out_.no_pivot = source_.no_pivot_root;
  if (out_.no_pivot) lose("/no_pivot_root", "runtimes have a flag for it: --no-pivot", true);
  out_.extras.pivot_dir = source_.pivot_dir;
  if (!source_.pivot_dir.empty()) lose("/pivot_dir", "no directory in the root file system is needed any more", true);
  out_.parent_death_signal = source_.parent_death_signal;
  if (source_.parent_death_signal != 0)
    lose("/parent_death_signal", "the runtime specification has no signal for it", true);
  if (!source_.version.empty()) lose("/version", "ociVersion is that of this conversion", true);
}

std::vector<oci::Hook> ToOci::hook_list(const std::vector<libcontainer::CommandHook>& hooks,
                                        const std::string& pointer) {
  std::vector<oci::Hook> out;
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    out.push_back({hooks[i].path, hooks[i].args, hooks[i].env, {}});
    if (!hooks[i].dir.empty()) lose(at(pointer, i, "/dir"), "hooks have no working directory");
  }
  return out;
}

void ToOci::hooks() {
  if (!source_.hooks || source_.hooks->empty()) return;
  lose("/Hooks", "hooks of the specification read its state document instead of {version,id,pid,root}", true);
  out_.config.hooks.prestart = hook_list(source_.hooks->prestart, "/Hooks/prestart");
  out_.config.hooks.poststart = hook_list(source_.hooks->poststart, "/Hooks/poststart");
  out_.config.hooks.poststop = hook_list(source_.hooks->poststop, "/Hooks/poststop");
}

}  // namespace

Result<OciResult> to_oci(const libcontainer::Config& source, const ProcessWishes& process, bool systemd_cgroup) {
  return ToOci(source, process, systemd_cgroup).convert();
}

std::string report(const std::vector<Lost>& lost) {
  std::string out;
  for (const Lost& entry : lost)
    out += entry.pointer + ": " + entry.reason + (entry.in_extras ? " (cooper libcontainer does it)" : "") + "\n";
  return out;
}

}  // namespace cooper::convert
