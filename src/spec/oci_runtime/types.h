// CONTRACT. The OCI runtime specification's config.json (1.0 to 1.3, Linux) as plain values: what the user wrote,
// nothing resolved. Absent members are empty optionals/vectors/strings. parse.h reads and checks types and shapes with
// JSON-pointer errors; print.h writes; defaults.h makes the document of `spec`. No I/O.
// What copies, moves and destroys the large ones is in types.cpp: inline it was a third of each source that holds one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cooper::spec::oci_runtime {

struct ConsoleSize {
  std::uint32_t height = 0;
  std::uint32_t width = 0;
};

struct User {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<std::uint32_t> additional_gids;
};

// Names as written ("CAP_CHOWN"); unknown ones are kept and warned about later.
struct Capabilities {
  std::vector<std::string> bounding, effective, inheritable, permitted, ambient;
};

struct Rlimit {
  std::string type;  // RLIMIT_NOFILE
  std::uint64_t hard = 0;
  std::uint64_t soft = 0;
};

struct Scheduler {
  std::string policy;
  std::int32_t nice = 0;
  std::int32_t priority = 0;
  std::vector<std::string> flags;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};

struct IoPriority {
  std::string io_class;  // "class": IOPRIO_CLASS_RT, _BE, _IDLE
  std::int32_t priority = 0;
};

struct ExecCpuAffinity {
  std::string initial, final_;  // cpu lists
};

struct Process {
  Process();
  Process(const Process&);
  Process(Process&&) noexcept;
  Process& operator=(const Process&);
  Process& operator=(Process&&) noexcept;
  ~Process();

  bool terminal = false;
  std::optional<ConsoleSize> console_size;
  User user;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::string selinux_label;
  std::optional<std::int32_t> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  std::optional<ExecCpuAffinity> exec_cpu_affinity;
};

struct Root {
  std::string path;
  bool readonly = false;
};

struct IdMapping {
  std::uint32_t container_id = 0;
  std::uint32_t host_id = 0;
  std::uint32_t size = 0;
};

struct Mount {
  std::string destination;
  std::string type;
  std::string source;
  std::vector<std::string> options;
  std::vector<IdMapping> uid_mappings, gid_mappings;
};

struct Hook {
  std::string path;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::optional<std::int64_t> timeout_s;
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart, poststop;
};

struct Namespace {
  std::string type;  // pid network mount ipc uts user cgroup time
  std::string path;  // empty: a new one
};

struct Device {
  std::string type;  // c b u p
  std::string path;
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint32_t> file_mode;
  std::optional<std::uint32_t> uid, gid;
};

struct DeviceRule {
  bool allow = false;
  std::string type;                          // "a", "b", "c"; empty = a
  std::optional<std::int64_t> major, minor;  // absent or -1: any
  std::string access;                        // of "rwm"
};

struct Memory {
  std::optional<std::int64_t> limit, reservation, swap, kernel, kernel_tcp;
  std::optional<std::uint64_t> swappiness;
  std::optional<bool> disable_oom_killer, use_hierarchy, check_before_update;
};

struct Cpu {
  std::optional<std::uint64_t> shares, period, realtime_period, burst;
  std::optional<std::int64_t> quota, realtime_runtime, idle;
  std::string cpus, mems;
};

struct WeightDevice {
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint16_t> weight, leaf_weight;
};
struct ThrottleDevice {
  std::int64_t major = 0, minor = 0;
  std::uint64_t rate = 0;
};
struct BlockIo {
  std::optional<std::uint16_t> weight, leaf_weight;
  std::vector<WeightDevice> weight_devices;
  std::vector<ThrottleDevice> read_bps, write_bps, read_iops, write_iops;
};
struct HugepageLimit {
  std::string page_size;
  std::uint64_t limit = 0;
};
struct InterfacePriority {
  std::string name;
  std::uint32_t priority = 0;
};
struct Rdma {
  std::optional<std::uint32_t> hca_handles, hca_objects;
};

struct Resources {
  Resources();
  Resources(const Resources&);
  Resources(Resources&&) noexcept;
  Resources& operator=(const Resources&);
  Resources& operator=(Resources&&) noexcept;
  ~Resources();

  std::vector<DeviceRule> devices;
  std::optional<Memory> memory;
  std::optional<Cpu> cpu;
  std::optional<std::int64_t> pids_limit;  // -1: unlimited
  std::optional<BlockIo> block_io;
  std::vector<HugepageLimit> hugepage_limits;
  std::optional<std::uint32_t> network_class_id;
  std::vector<InterfacePriority> network_priorities;
  std::map<std::string, Rdma> rdma;
  std::map<std::string, std::string> unified;
};

struct SeccompArg {
  std::uint32_t index = 0;
  std::uint64_t value = 0, value_two = 0;
  std::string op;  // SCMP_CMP_EQ ...
};
struct SeccompSyscall {
  std::vector<std::string> names;
  std::string action;  // SCMP_ACT_ALLOW ...
  std::optional<std::uint32_t> errno_ret;
  std::vector<SeccompArg> args;
};
struct Seccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // SCMP_ARCH_X86_64 ...
  std::vector<std::string> flags;
  std::string listener_path, listener_metadata;
  std::vector<SeccompSyscall> syscalls;
};

struct Personality {
  std::string domain;  // LINUX, LINUX32
  std::vector<std::string> flags;
};
struct TimeOffset {
  std::int64_t secs = 0;
  std::uint32_t nanosecs = 0;
};
struct IntelRdt {
  std::string clos_id;
  std::vector<std::string> schemata;
  std::string l3_cache_schema, mem_bw_schema;
  bool enable_monitoring = false;  // also by the members it replaces, enableCMT and enableMBM
};
struct MemoryPolicy {
  std::string mode;   // MPOL_BIND ...
  std::string nodes;  // "0-3,7"
  std::vector<std::string> flags;
};
struct NetDevice {
  std::string name;  // inside; empty: the same
};

struct Linux {
  Linux();
  Linux(const Linux&);
  Linux(Linux&&) noexcept;
  Linux& operator=(const Linux&);
  Linux& operator=(Linux&&) noexcept;
  ~Linux();

  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::map<std::string, TimeOffset> time_offsets;  // monotonic, boottime
  std::vector<Device> devices;
  std::string cgroups_path;
  std::optional<Resources> resources;
  std::string rootfs_propagation;
  std::optional<Seccomp> seccomp;
  std::map<std::string, std::string> sysctl;
  std::vector<std::string> masked_paths, readonly_paths;
  std::string mount_label;
  std::optional<Personality> personality;
  std::optional<IntelRdt> intel_rdt;
  std::optional<MemoryPolicy> memory_policy;
  std::map<std::string, NetDevice> net_devices;  // by their name on the host
};

struct Config {
  Config();
  Config(const Config&);
  Config(Config&&) noexcept;
  Config& operator=(const Config&);
  Config& operator=(Config&&) noexcept;
  ~Config();

  std::string oci_version;
  std::optional<Root> root;
  std::vector<Mount> mounts;
  std::optional<Process> process;
  std::string hostname, domainname;
  Hooks hooks;
  std::map<std::string, std::string> annotations;
  std::optional<Linux> linux;
};

// The state document of hooks and `state`, and of a seccomp listener.
struct State {
  std::string oci_version;
  std::string id;
  std::string status;  // creating created running stopped (+ paused)
  int pid = 0;
  std::string bundle;
  std::map<std::string, std::string> annotations;
};

}  // namespace cooper::spec::oci_runtime

namespace cooper {
namespace oci = spec::oci_runtime;
}
