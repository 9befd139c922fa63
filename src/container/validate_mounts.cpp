#include <algorithm>
#include <array>

#include "base/strings.h"
#include "container/mount_options.h"
#include "container/validate_rules.h"
#include "spec/oci_runtime/id_maps.h"

namespace cooper::container::rules {
namespace {

// Files of /proc that lxcfs and friends replace. Everything else below /proc is the kernel's interface: a mount there
// could redirect what the runtime itself writes (CVE-2019-19921, CVE-2023-27561, CVE-2025-52881).
constexpr std::array<std::string_view, 10> kProcFiles{"/proc/cpuinfo",
                                                      "/proc/diskstats",
                                                      "/proc/meminfo",
                                                      "/proc/stat",
                                                      "/proc/swaps",
                                                      "/proc/uptime",
                                                      "/proc/loadavg",
                                                      "/proc/slabinfo",
                                                      "/proc/sys/kernel/ns_last_pid",
                                                      "/proc/sys/crypto/fips_enabled"};

Status check_proc_destination(const std::string& destination, const oci::Mount& mount, bool bind,
                              const std::string& pointer) {
  if (destination == "/proc") {
    // A bind is checked by the executor: its source must be a procfs.
    if (bind || mount.type == "proc") return {};
    return fail(pointer, "only a proc file system may be mounted on /proc, not " + quoted(mount.type));
  }
  if (!destination.starts_with("/proc/")) return {};
  if (is_replaceable_in_proc(destination)) return {};
  return fail(pointer, quoted(destination) + " cannot be mounted because it is inside /proc");
}

Status check_idmap_words(const IdmapWords& words, const oci::Config& config, const std::string& pointer) {
  const auto ids = absolute_ranges(words, config);
  if (!ids.ok()) return fail(pointer, ids.error().message());
  RETURN_IF_ERROR(check_mapping_list(ids->uids, pointer));
  return check_mapping_list(ids->gids, pointer);
}

Status check_idmap(const oci::Mount& mount, const MountOptions& options, const oci::Config& config, std::size_t index) {
  if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
    return fail(at("/mounts", index, ""), "uidMappings and gidMappings must be given together");
  }
  RETURN_IF_ERROR(check_mapping_list(mount.uid_mappings, at("/mounts", index, "/uidMappings")));
  RETURN_IF_ERROR(check_mapping_list(mount.gid_mappings, at("/mounts", index, "/gidMappings")));
  if (!options.idmap && mount.uid_mappings.empty()) return {};
  if (mount.type == "cgroup" || options.remount)
    return fail(at("/mounts", index, "/options"), "a mount of this kind cannot be id-mapped");
  if (mount.uid_mappings.empty() && !options.idmap_words.empty())
    return check_idmap_words(options.idmap_words, config, at("/mounts", index, "/options"));
  if (mount.uid_mappings.empty() && (!oci::maps_ids(config) || config.linux->uid_mappings.empty())) {
    return fail(at("/mounts", index, "/options"),
                "an id-mapped mount needs mappings, or a container with a user namespace");
  }
  return {};
}

}  // namespace

bool is_replaceable_in_proc(std::string_view destination) {
  return std::ranges::find(kProcFiles, destination) != kProcFiles.end();
}

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> parts;
  for (const std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else {
      parts.push_back(part);
    }
  }
  if (parts.empty()) return "/";
  std::string out;
  out.reserve(path.size() + 1);
  for (const std::string_view part : parts) {
    out += '/';
    out += part;
  }
  return out;
}

Status check_mounts(const std::vector<oci::Mount>& mounts, const oci::Config& config) {
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    const oci::Mount& mount = mounts[i];
    if (mount.destination.empty()) return fail(at("/mounts", i, "/destination"), "must not be empty");
    auto options = resolve_mount_options(mount.options);
    if (!options.ok()) return std::move(options).error().with("config.json: " + at("/mounts", i, "/options"));
    const bool bind = options->bind || mount.type == "bind";
    const std::string destination = clean_path(mount.destination);
    if (destination == "/" && !options->remount) {
      return fail(at("/mounts", i, "/destination"), "the root of the container cannot be mounted over");
    }
    if (bind && mount.source.empty() && !options->remount)
      return fail(at("/mounts", i, "/source"), "a bind mount needs a source");
    if (!bind && !options->remount && (mount.type.empty() || mount.type == "none")) {
      return fail(at("/mounts", i, "/type"), "a mount that is not a bind needs a file system type");
    }
    if (!options->remount) {
      RETURN_IF_ERROR(check_proc_destination(destination, mount, bind, at("/mounts", i, "/destination")));
    }
    if (options->copy_up && (bind || mount.type != "tmpfs")) {
      return fail(at("/mounts", i, "/options"), "tmpcopyup is for tmpfs mounts only");
    }
    RETURN_IF_ERROR(check_idmap(mount, *options, config, i));
  }
  return {};
}

}  // namespace cooper::container::rules
