#include <algorithm>
#include <array>
#include <ranges>

#include "base/strings.h"
#include "container/mount_options.h"
#include "container/plan_parts.h"
#include "container/validate_rules.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/mount.h"

namespace cooper::container {
namespace {

std::string host_path(const std::string& path, const std::string& bundle) {
  return path.empty() || path[0] == '/' ? path : bundle + "/" + path;
}

Status plan_idmap(Mount& out, const oci::Mount& mount, const MountOptions& options, const oci::Config& config) {
  // Mappings without the option mean it too (runtime spec 1.2).
  out.idmap = options.idmap || !mount.uid_mappings.empty();
  out.idmap_recursive = options.idmap_recursive;
  if (!out.idmap) return {};
  if (!mount.uid_mappings.empty()) {
    out.uid_mappings = mount.uid_mappings;
    out.gid_mappings = mount.gid_mappings;
    return {};
  }
  if (!options.idmap_words.empty()) {
    ASSIGN_OR_RETURN(HostRanges ids, absolute_ranges(options.idmap_words, config));
    out.uid_mappings = std::move(ids.uids);
    out.gid_mappings = std::move(ids.gids);
  } else if (oci::maps_ids(config)) {
    out.uid_mappings = config.linux->uid_mappings;
    out.gid_mappings = config.linux->gid_mappings;
  }
  return {};
}

// File systems of the kernel that take an SELinux context at mount time.
bool takes_context(std::string_view fstype) {
  return fstype == "tmpfs" || fstype == "devpts" || fstype == "mqueue";
}

bool mounts_below(const Plan& plan, const std::string& directory) {
  return std::ranges::any_of(plan.steps, [&](const Step& step) {
    const auto* mount = std::get_if<Mount>(&step.body);
    return mount != nullptr && mount->destination.starts_with(directory + "/");
  });
}

bool is_or_holds(const std::string& directory, const std::string& path) {
  return directory == path || directory == "/" || path.starts_with(directory + "/");
}

// Makes a read-only mount one that is so only later, when it takes mount points.
bool seals_later(Mount& mount, const Plan& plan, bool cgroup_v2_only) {
  if (mount.kind == MountKind::kFilesystem && mount.fstype == "tmpfs") {
    mount.attr_set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
    return true;
  }
  if (mount.kind != MountKind::kCgroup || cgroup_v2_only || !mounts_below(plan, mount.destination)) return false;
  mount.read_only_later = true;  // its hierarchies are at once
  return true;
}

}  // namespace

Result<Mount> plan_mount(const oci::Mount& mount, const oci::Config& config, const PlanOptions& options) {
  ASSIGN_OR_RETURN(MountOptions resolved, resolve_mount_options(mount.options));
  Mount out;
  const bool bind = resolved.bind || mount.type == "bind";
  out.kind = bind ? MountKind::kBind : mount.type == "cgroup" ? MountKind::kCgroup : MountKind::kFilesystem;
  out.destination = rules::clean_path(mount.destination);
  out.source = bind ? host_path(mount.source, options.bundle) : mount.source;
  out.fstype = bind ? std::string() : mount.type;
  out.recursive = resolved.recursive;
  out.attr_set = resolved.attr_set;
  out.attr_clear = resolved.attr_clear;
  out.rec_attr_set = resolved.rec_attr_set;
  out.rec_attr_clear = resolved.rec_attr_clear;
  out.superblock_flags = resolved.superblock_flags;
  out.propagation = std::move(resolved.propagation);
  out.remount = resolved.remount;
  out.copy_up = resolved.copy_up;
  RETURN_IF_ERROR(plan_idmap(out, mount, resolved, config));
  if (bind) {
    // The parent opens the source: inside a new user namespace the child may not reach it.
    out.source_is_dev_fd = rules::find_namespace(config, "user") != nullptr;
  } else {
    out.data = std::move(resolved.data);
    // The kernel refuses the mount when the group is not mapped, as in a small user namespace.
    if (out.fstype == "devpts" && config.linux && !config.linux->gid_mappings.empty() &&
        !oci::host_id(config.linux->gid_mappings, 5)) {
      std::erase(out.data, "gid=5");
    }
    // tmpfs becomes read-only after everything below it is there, see add_readonly_tmpfs().
    const bool late = out.fstype == "tmpfs";
    if (!late && !out.remount && (out.attr_set & MOUNT_ATTR_RDONLY) != 0) out.superblock_flags |= MS_RDONLY;
    if (!out.remount && options.selinux_enabled && config.linux && !config.linux->mount_label.empty() &&
        takes_context(out.fstype)) {
      out.data.push_back("context=\"" + config.linux->mount_label + "\"");
    }
  }
  return out;
}

// The level is the fourth part of user:role:type:level, and may hold colons itself.
std::string relabel_to(const std::string& label, bool shared) {
  std::size_t at = 0;
  for (int i = 0; i < 3 && at != std::string::npos; ++i) at = label.find(':', at == 0 ? 0 : at + 1);
  return shared && at != std::string::npos ? label.substr(0, at) + ":s0" : label;
}

bool owns_dev(const oci::Config& config) {
  return std::none_of(config.mounts.begin(), config.mounts.end(), [](const oci::Mount& mount) {
    const bool bind = mount.type == "bind" ||
                      std::find(mount.options.begin(), mount.options.end(), "bind") != mount.options.end() ||
                      std::find(mount.options.begin(), mount.options.end(), "rbind") != mount.options.end();
    return bind && rules::clean_path(mount.destination) == "/dev";
  });
}

std::vector<CreateDevice> plan_devices(const oci::Config& config, const PlanOptions& options) {
  struct Node {
    const char* path;
    std::uint32_t major, minor;
  };
  constexpr std::array kDefault = std::to_array<Node>({{"/dev/null", 1, 3},
                                                       {"/dev/zero", 1, 5},
                                                       {"/dev/full", 1, 7},
                                                       {"/dev/random", 1, 8},
                                                       {"/dev/urandom", 1, 9},
                                                       {"/dev/tty", 5, 0}});
  // mknod is refused inside a user namespace; the host's node is bound instead.
  const bool bind = options.rootless || rules::find_namespace(config, "user") != nullptr;
  std::vector<CreateDevice> out;
  out.reserve(kDefault.size() + config.linux->devices.size());
  for (const oci::Device& device : config.linux->devices) {
    CreateDevice step;
    step.path = rules::clean_path(device.path);
    if (step.path == "/dev/ptmx") continue;  // a link into the container's own devpts, see plan_symlinks()
    const mode_t type = device.type == "b" ? S_IFBLK : device.type == "p" ? S_IFIFO : S_IFCHR;
    step.mode = type | (device.file_mode.value_or(0666) & 07777);
    step.major = static_cast<std::uint32_t>(device.major);
    step.minor = static_cast<std::uint32_t>(device.minor);
    step.uid = device.uid.value_or(0);
    step.gid = device.gid.value_or(0);
    step.bind = bind && device.type != "p";
    out.push_back(std::move(step));
  }
  if (options.extras && options.extras->device_nodes == DeviceNodes::kListed) return out;
  for (const Node& node : kDefault) {
    const bool listed =
        std::any_of(out.begin(), out.end(), [&](const CreateDevice& device) { return device.path == node.path; });
    if (!listed) out.push_back({node.path, S_IFCHR | 0666, node.major, node.minor, 0, 0, bind});
  }
  return out;
}

std::vector<CreateSymlink> plan_symlinks() {
  return {{"/dev/fd", "/proc/self/fd"},       {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"},
          {"/dev/stderr", "/proc/self/fd/2"}, {"/dev/core", "/proc/kcore"},      {"/dev/ptmx", "pts/ptmx"}};
}

void seal_readonly_mounts(Plan& plan, bool cgroup_v2_only) {
  std::vector<std::pair<std::ptrdiff_t, Mount>> remounts;
  for (auto step = plan.steps.begin(); step != plan.steps.end(); ++step) {
    Mount* mount = std::get_if<Mount>(&step->body);
    if (mount == nullptr || mount->remount || (mount->attr_set & MOUNT_ATTR_RDONLY) == 0) continue;
    if (!seals_later(*mount, plan, cgroup_v2_only)) continue;
    Mount again;
    again.destination = mount->destination;
    again.fstype = mount->fstype;
    again.remount = true;
    again.attr_set = MOUNT_ATTR_RDONLY;
    // At the end, as all that comes below needs its mount points; but before it is covered, when its path leads to the
    // cover or nowhere.
    const auto cover = std::find_if(step + 1, plan.steps.end(), [&](const Step& later) {
      const auto* over = std::get_if<Mount>(&later.body);
      return over != nullptr && !over->remount && is_or_holds(over->destination, again.destination);
    });
    remounts.emplace_back(cover - plan.steps.begin(), std::move(again));
  }
  std::ranges::stable_sort(remounts, {}, &std::pair<std::ptrdiff_t, Mount>::first);
  for (auto& [place, mount] : std::views::reverse(remounts))
    plan.steps.insert(plan.steps.begin() + place, {Actor::kChild, std::move(mount)});
}

}  // namespace cooper::container
