#include "spec/oci_runtime/defaults.h"

namespace cooper::spec::oci_runtime {
namespace {

std::vector<Mount> default_mounts() {
  return {
      {"/proc", "proc", "proc", {}, {}, {}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
       {},
       {}},
      {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}, {}, {}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}},
      {"/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}, {}, {}},
  };
}

Process default_process() {
  const std::vector<std::string> granted{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
  Process process;
  process.terminal = true;
  process.args = {"sh"};
  process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  process.cwd = "/";
  process.capabilities = Capabilities{granted, granted, {}, granted, granted};
  process.rlimits = {{"RLIMIT_NOFILE", 1024, 1024}};
  process.no_new_privileges = true;
  return process;
}

// A user may not create a network he could use, mount sysfs without owning the network namespace, give devpts a group
// that is not mapped, or write device rules.
void make_rootless(Config& config, const DefaultOptions& options) {
  Linux& linux = *config.linux;
  std::erase_if(linux.namespaces, [](const Namespace& ns) { return ns.type == "network"; });
  linux.namespaces.push_back({"user", ""});
  linux.uid_mappings = {{0, options.host_uid, 1}};
  linux.gid_mappings = {{0, options.host_gid, 1}};
  linux.resources.reset();
  for (Mount& mount : config.mounts) {
    if (mount.destination == "/sys") {
      mount = {"/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}, {}, {}};
    }
    std::erase_if(mount.options,
                  [](const std::string& option) { return option.starts_with("gid=") || option.starts_with("uid="); });
  }
}

}  // namespace

const std::vector<std::string>& default_masked_paths() {
  static const std::vector<std::string> paths{
      "/proc/acpi",       "/proc/asound",      "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
      "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"};
  return paths;
}

const std::vector<std::string>& default_readonly_paths() {
  static const std::vector<std::string> paths{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return paths;
}

Config default_config(const DefaultOptions& options) {
  Config config;
  config.oci_version = kSpecVersion;
  config.process = default_process();
  config.root = Root{"rootfs", true};
  config.hostname = "coop";
  config.mounts = default_mounts();
  Linux& linux = config.linux.emplace();
  linux.resources.emplace().devices = {{false, "", {}, {}, "rwm"}};
  linux.namespaces = {{"pid", ""}, {"network", ""}, {"ipc", ""}, {"uts", ""}, {"mount", ""}};
  linux.masked_paths = default_masked_paths();
  linux.readonly_paths = default_readonly_paths();
  if (options.rootless) make_rootless(config, options);
  return config;
}

}  // namespace cooper::spec::oci_runtime
