#include "cli/cooper/libcontainer_template.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "sys/tables.h"

namespace cooper::cli {
namespace {

constexpr std::array<Flag, 30> kFlags = {{
    {.name = "rootfs",
     .value = "DIR",
     .help = "the root file system (default the current directory)",
     .complete = Flag::Complete::kDirectory},
    {.name = "read-only", .value = {}, .help = "the root file system is read-only"},
    {.name = "hostname", .value = "NAME", .help = "host name (default nsinit)"},
    {.name = "cgroup", .value = {}, .help = "mount its control groups on /sys/fs/cgroup"},
    {.name = "cgroup-path", .value = "PATH", .help = "control group"},
    {.name = "cpushares", .value = "N", .help = "share of processor time"},
    {.name = "cpuset-cpus", .value = "LIST", .help = "processors, such as 0-1"},
    {.name = "cpuset-mems", .value = "LIST", .help = "memory nodes"},
    {.name = "memory-limit", .value = "BYTES", .help = "most memory, in bytes or as 64m"},
    {.name = "memory-swap", .value = "BYTES", .help = "most memory and swap together; -1 for no limit"},
    {.name = "memory-swappiness", .value = "N", .help = "0 to 100"},
    {.name = "parent-death-signal", .value = "SIGNAL", .help = "what the first process gets when cooper dies"},
    {.name = "userns-root-uid", .value = "UID", .help = "a user namespace whose root is this user of the host"},
    {.name = "ipc", .value = "WHERE", .help = "private, host, or the path of a namespace"},
    {.name = "mnt", .value = "WHERE", .help = "private, or the path of a namespace"},
    {.name = "net", .value = "WHERE", .help = "private, host, or the path of a namespace"},
    {.name = "pid", .value = "WHERE", .help = "private, host, or the path of a namespace"},
    {.name = "uts", .value = "WHERE", .help = "private, host, or the path of a namespace"},
    {.name = "veth-bridge", .value = "NAME", .help = "bridge of the host that eth0 is plugged into"},
    {.name = "veth-address", .value = "CIDR", .help = "address of eth0"},
    {.name = "veth-gateway", .value = "IP", .help = "default gateway"},
    {.name = "veth-mtu", .value = "BYTES", .help = "largest packet of eth0"},
    {.name = "apparmor-profile", .value = "NAME", .help = "AppArmor profile"},
    {.name = "process-label", .value = "LABEL", .help = "SELinux label of processes"},
    {.name = "mount-label", .value = "LABEL", .help = "SELinux label of mounts"},
    {.name = "security",
     .value = "LEVEL",
     .help = "high, medium or low: capabilities and system calls",
     .complete = Flag::Complete::kWords,
     .words = "high medium low"},
    {.name = "bind", .value = "SRC:DST[:ro]", .help = "mount a directory or file of the host; repeatable"},
    {.name = "tmpfs", .value = "DST", .help = "mount a file system in memory; repeatable"},
    {.name = "sysctl", .value = "KEY=VALUE", .help = "kernel parameter; repeatable"},
    {.name = "groups", .value = "GROUP", .help = "supplementary group; repeatable"},
}};

Error wrong(const char* flag, std::string_view value, std::string_view wants) {
  return Error(Errc::kInvalidArgument,
               "--" + std::string(flag) + " " + quoted(value) + " must be " + std::string(wants));
}

template <typename T>
Status read_number(const Args& args, const char* flag, T& out) {
  const auto text = args.last(flag);
  if (!text) return {};
  const auto number = parse_number<T>(*text);
  if (!number) return wrong(flag, *text, "a number");
  out = *number;
  return {};
}

Status read_bytes(const Args& args, const char* flag, std::int64_t& out) {
  const auto text = args.last(flag);
  if (!text) return {};
  if (*text == "-1") {
    out = -1;
    return {};
  }
  const auto bytes = parse_bytes(*text);
  if (!bytes.ok() || *bytes > INT64_MAX) return wrong(flag, *text, "a number of bytes, such as 64m");
  out = static_cast<std::int64_t>(*bytes);
  return {};
}

std::string absolute(const std::string& path, const std::string& cwd) {
  if (path == "." || path.empty()) return cwd;
  std::string out = path.starts_with("/") ? path : cwd + "/" + path;
  while (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
}

libcontainer::Mount mount(const char* device, const char* destination, int flags, const char* data) {
  libcontainer::Mount out;
  out.source = device;
  out.device = device;
  out.destination = destination;
  out.flags = flags;
  out.data = data;
  return out;
}

constexpr int kSafe = MS_NOEXEC | MS_NOSUID | MS_NODEV;

std::vector<libcontainer::Mount> standard_mounts() {
  std::vector<libcontainer::Mount> out = {
      mount("proc", "/proc", kSafe, ""),
      mount("tmpfs", "/dev", MS_NOSUID | MS_STRICTATIME, "mode=755"),
      mount("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"),
      mount("tmpfs", "/dev/shm", kSafe, "mode=1777,size=65536k"),
      mount("mqueue", "/dev/mqueue", kSafe, ""),
      mount("sysfs", "/sys", kSafe | MS_RDONLY, "")};
  out[3].source = "shm";
  return out;
}

// What every level refuses, in all the ways that kernels have for it.
constexpr std::array<const char*, 20> kRefused{"unshare",       "setns",           "mount",        "umount2",
                                               "fsopen",        "fsconfig",        "fsmount",      "fspick",
                                               "open_tree",     "open_tree_attr",  "move_mount",   "mount_setattr",
                                               "create_module", "init_module",     "finit_module", "delete_module",
                                               "kexec_load",    "kexec_file_load", "pivot_root",   "umount"};

// Refused with EPERM.
libcontainer::Seccomp refuse(std::initializer_list<const char*> more) {
  libcontainer::Seccomp out;
  const auto add = [&](const char* name) { out.syscalls.push_back({name, {}, libcontainer::Action::kErrno, 0, {}}); };
  for (const char* name : kRefused) add(name);
  for (const char* name : more) add(name);
  libcontainer::Syscall clone{"clone", {}, libcontainer::Action::kErrno, 0, {}};
  clone.args.push_back({0, CLONE_NEWUSER, CLONE_NEWUSER, libcontainer::Operator::kMaskEqualTo});
  out.syscalls.push_back(std::move(clone));
  // Its flags lie in memory, which a filter does not read. Libraries go on with clone when it is not there.
  out.syscalls.push_back({"clone3", {}, libcontainer::Action::kErrno, ENOSYS, {}});
  return out;
}

Status apply_security(const std::string& level, libcontainer::Config& config) {
  const std::vector<std::string> medium = {"NET_BIND_SERVICE", "KILL",    "AUDIT_WRITE", "CHOWN",
                                           "DAC_OVERRIDE",     "FSETID",  "FOWNER",      "SETGID",
                                           "SETUID",           "SETFCAP", "SETPCAP"};
  // The filter is loaded last then, and need not allow what sets up the process.
  config.no_new_privileges = true;
  const libcontainer::Rlimit files{RLIMIT_NOFILE, 1024, 1024};
  if (level == "high") {
    config.capabilities = {"NET_BIND_SERVICE", "KILL", "AUDIT_WRITE"};
    config.rlimits = {files};
    // A ring does links and removals without their calls.
    config.seccomp = refuse({"capset", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown",
                             "fchownat", "link", "linkat", "unlink", "unlinkat", "chroot", "sethostname",
                             "setdomainname", "io_uring_setup", "io_uring_enter", "io_uring_register"});
  } else if (level == "medium") {
    config.capabilities = medium;
    config.rlimits = {files};
    config.seccomp = refuse({"chroot", "sethostname", "setdomainname"});
  } else if (level == "low") {
    config.capabilities = medium;
    config.capabilities.emplace_back("SYS_CHROOT");
    config.seccomp = refuse({});
  } else {
    return wrong("security", level, "high, medium or low");
  }
  return {};
}

Status read_namespaces(const Args& args, libcontainer::Config& config) {
  struct Row {
    const char* flag;
    const char* type;
  };
  for (const Row& row :
       {Row{"mnt", "NEWNS"}, Row{"uts", "NEWUTS"}, Row{"ipc", "NEWIPC"}, Row{"pid", "NEWPID"}, Row{"net", "NEWNET"}}) {
    const std::string where = args.last(row.flag).value_or("private");
    if (where.empty() || where == "private") {
      config.namespaces.add(row.type, "");
    } else if (where.starts_with("/")) {
      config.namespaces.add(row.type, where);
    } else if (where != "host") {
      return wrong(row.flag, where, "private, host, or the path of a namespace");
    }
  }
  return {};
}

Status read_network(const Args& args, libcontainer::Config& config) {
  if (!config.namespaces.contains("NEWNET")) return {};
  libcontainer::Network loopback;
  loopback.type = "loopback";
  config.networks.push_back(std::move(loopback));
  if (!args.last("veth-bridge") && !args.last("veth-address")) return {};
  libcontainer::Network veth;
  veth.type = "veth";
  veth.name = "eth0";
  veth.bridge = args.last("veth-bridge").value_or("");
  veth.address = args.last("veth-address").value_or("");
  veth.gateway = args.last("veth-gateway").value_or("");
  veth.mtu = 1500;
  RETURN_IF_ERROR(read_number(args, "veth-mtu", veth.mtu));
  config.networks.push_back(std::move(veth));
  return {};
}

// Root is one user of the host, everybody else keeps their number.
Status read_user_namespace(const Args& args, libcontainer::Config& config) {
  const auto text = args.last("userns-root-uid");
  if (!text) return {};
  const auto root = parse_number<std::int64_t>(*text);
  constexpr std::int64_t kMost = 2147483647;
  if (!root || *root < 1 || *root >= kMost) return wrong("userns-root-uid", *text, "a user id greater than 0");
  config.namespaces.add("NEWUSER", "");
  config.uid_mappings = {{0, *root, 1}};
  if (*root > 1) config.uid_mappings.push_back({1, 1, *root - 1});
  config.uid_mappings.push_back({*root + 1, *root + 1, kMost - *root});
  config.gid_mappings = config.uid_mappings;
  return {};
}

Status read_mounts(const Args& args, const std::string& cwd, libcontainer::Config& config) {
  for (const std::string& text : args.all("bind")) {
    const auto parts = split(text, ':');
    const bool known = parts.size() == 2 || (parts.size() == 3 && (parts[2] == "ro" || parts[2] == "rw"));
    if (!known || parts[0].empty() || parts[1].empty()) return wrong("bind", text, "SOURCE:DESTINATION[:ro|:rw]");
    libcontainer::Mount bind = mount("bind", "", MS_BIND | MS_REC, "");
    bind.source = absolute(std::string(parts[0]), cwd);
    bind.destination = parts[1];
    if (parts.size() == 3 && parts[2] == "ro") bind.flags |= MS_RDONLY;
    config.mounts.push_back(std::move(bind));
  }
  for (const std::string& text : args.all("tmpfs")) {
    if (!text.starts_with("/")) return wrong("tmpfs", text, "an absolute path");
    config.mounts.push_back(mount("tmpfs", text.c_str(), kSafe, ""));
  }
  if (args.enabled("cgroup")) config.mounts.push_back(mount("cgroup", "/sys/fs/cgroup", kSafe, ""));
  return {};
}

Status read_limits(const Args& args, libcontainer::Config& config) {
  libcontainer::Cgroup& cgroup = config.cgroups.emplace();
  cgroup.allowed_devices = libcontainer::allowed_devices();
  cgroup.path = args.last("cgroup-path").value_or("");
  cgroup.cpuset_cpus = args.last("cpuset-cpus").value_or("");
  cgroup.cpuset_mems = args.last("cpuset-mems").value_or("");
  RETURN_IF_ERROR(read_number(args, "cpushares", cgroup.cpu_shares));
  RETURN_IF_ERROR(read_bytes(args, "memory-limit", cgroup.memory));
  RETURN_IF_ERROR(read_bytes(args, "memory-swap", cgroup.memory_swap));
  return read_number(args, "memory-swappiness", cgroup.memory_swappiness);
}

Status read_rest(const Args& args, libcontainer::Config& config) {
  config.apparmor_profile = args.last("apparmor-profile").value_or("");
  config.process_label = args.last("process-label").value_or("");
  config.mount_label = args.last("mount-label").value_or("");
  config.additional_groups = args.all("groups");
  if (const auto text = args.last("parent-death-signal")) {
    const auto signal = sys::signal_from_name(*text);
    if (!signal && *text != "0") return wrong("parent-death-signal", *text, "a signal");
    config.parent_death_signal = signal.value_or(0);
  }
  for (const std::string& text : args.all("sysctl")) {
    const auto pair = split_once(text, '=');
    if (!pair || pair->first.empty()) return wrong("sysctl", text, "KEY=VALUE");
    config.sysctl[std::string(pair->first)] = pair->second;
  }
  if (const auto level = args.last("security")) return apply_security(*level, config);
  return {};
}

}  // namespace

std::span<const Flag> template_flags() {
  return kFlags;
}

bool has_template_flag(const Args& args) {
  return std::ranges::any_of(kFlags, [&](const Flag& flag) { return args.has(flag.name); });
}

Result<libcontainer::Config> config_from_flags(const Args& args, const std::string& cwd) {
  libcontainer::Config config;
  config.rootfs = absolute(args.last("rootfs").value_or("."), cwd);
  config.readonlyfs = args.enabled("read-only");
  config.mounts = standard_mounts();
  config.devices = libcontainer::auto_created_devices();
  config.capabilities = {
      "CHOWN",  "DAC_OVERRIDE", "FSETID",  "FOWNER",           "MKNOD",      "NET_RAW", "SETGID",
      "SETUID", "SETFCAP",      "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL",    "AUDIT_WRITE"};
  config.mask_paths = {"/proc/kcore"};
  config.readonly_paths = {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"};
  config.rlimits = {{RLIMIT_NOFILE, 1024, 1024}};
  RETURN_IF_ERROR(read_namespaces(args, config));
  if (config.namespaces.contains("NEWUTS")) config.hostname = args.last("hostname").value_or("nsinit");
  RETURN_IF_ERROR(read_network(args, config));
  RETURN_IF_ERROR(read_user_namespace(args, config));
  RETURN_IF_ERROR(read_mounts(args, cwd, config));
  RETURN_IF_ERROR(read_limits(args, config));
  RETURN_IF_ERROR(read_rest(args, config));
  return config;
}

}  // namespace cooper::cli
