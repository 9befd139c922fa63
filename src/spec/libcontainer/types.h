// CONTRACT. The configuration of libcontainer (2015) as plain values: what the user wrote, nothing resolved. One model
// for both generations of the format: the one of July 2015 (numeric seccomp, privatefs, system_properties) and the one
// that followed it (names, rootPropagation, sysctl, typed block I/O devices). parse.h reads either, print.h writes
// either, validate.h says what is wrong with the meaning.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cooper::spec::libcontainer {

// Major or minor number of a device rule that stands for all of them.
inline constexpr std::int64_t kWildcard = -1;

enum class Generation {
  kNumeric,  // docker/libcontainer, July 2015
  kNamed,    // the one after it
};

// "NEWNET", "NEWPID", "NEWNS", "NEWUTS", "NEWIPC", "NEWUSER".
using NamespaceType = std::string;

struct Namespace {
  NamespaceType type;
  std::string path;  // empty: a new one; else the one to join
  // "/proc/PID/ns/net": where that type lies for a process.
  std::string path_of(int pid) const;
};

// The namespaces of a container. A type that is missing is shared with the parent process.
class Namespaces {
 public:
  Namespaces() = default;
  Namespaces(std::initializer_list<Namespace> entries) : entries_(entries) {}
  const std::vector<Namespace>& entries() const { return entries_; }
  std::vector<Namespace>& entries() { return entries_; }
  bool contains(std::string_view type) const { return find(type) != nullptr; }
  // nullptr: not among them.
  const Namespace* find(std::string_view type) const;
  // Sets the path when the type is there already.
  void add(std::string_view type, std::string_view path);
  // False when there was none.
  bool remove(std::string_view type);
  // CLONE_NEW* of those that are made, not joined.
  std::uint64_t clone_flags() const;

 private:
  std::vector<Namespace> entries_;
};

// All types in the order in which they are joined.
const std::vector<std::string_view>& namespace_types();

struct Command {
  std::string path;
  std::vector<std::string> args, env;
  std::string dir;
};

// A program that is run with the hook state on its standard input.
using CommandHook = Command;

struct Hooks {
  std::vector<CommandHook> prestart, poststart, poststop;
  bool empty() const { return prestart.empty() && poststart.empty() && poststop.empty(); }
};

// What a hook reads.
struct HookState {
  std::string version, id;
  int pid = 0;
  std::string root;
};

struct Rlimit {
  int type = 0;  // number of the kernel
  std::uint64_t hard = 0, soft = 0;
};

struct IdMap {
  std::int64_t container_id = 0, host_id = 0, size = 0;
};

struct Mount {
  std::string source, destination;
  std::string device;      // file system type, or "bind"
  std::int64_t flags = 0;  // MS_*
  std::vector<std::int64_t> propagation_flags;
  std::string data;
  std::string relabel;  // "z" shared, "Z" private
  std::vector<Command> premount_cmds, postmount_cmds;
};

struct Device {
  char32_t type = 'c';  // a number in JSON: 99 is 'c', 98 'b', 117 'u', 112 'p'
  std::string path;
  std::int64_t major = 0, minor = 0;  // kWildcard in rules
  std::string permissions;            // of "rwm"
  std::uint32_t file_mode = 0;
  std::uint32_t uid = 0, gid = 0;
  // "c 1:3 rwm"
  std::string cgroup_string() const;
  // The kernel's number of the node; 0 for kWildcard.
  std::uint64_t mkdev() const;
};

// One of an ordered list: a later rule takes back of earlier ones what both mean.
struct DeviceRule {
  Device device;  // type 'a': both kinds of devices
  bool allow = false;
};

struct Network {
  std::string type;  // "veth", "loopback"
  std::string name, bridge, mac_address;
  std::string address, gateway;            // IPv4: CIDR, address
  std::string ipv6_address, ipv6_gateway;  // IPv6: CIDR, address
  int mtu = 0, tx_queue_len = 0;
  std::string host_interface_name;
  bool hairpin_mode = false;
};

struct Route {
  std::string destination, source, gateway, interface_name;
};

struct HugepageLimit {
  std::string page_size;
  std::uint64_t limit = 0;
};

struct IfPrioMap {
  std::string interface_name;
  std::int64_t priority = 0;
  // "eth0 5"
  std::string cgroup_string() const;
};

struct WeightDevice {
  std::int64_t major = 0, minor = 0;
  std::uint16_t weight = 0, leaf_weight = 0;
  std::string weight_string() const;       // "8:0 500"
  std::string leaf_weight_string() const;  // "8:0 300"
};

struct ThrottleDevice {
  std::int64_t major = 0, minor = 0;
  std::uint64_t rate = 0;
  std::string string() const;  // "8:0 1048576"
};

enum class FreezerState { kUndefined, kFrozen, kThawed };

// Limits of the control group. 0 is "not set", as an absent member is, except where a member says otherwise.
struct Cgroup {
  std::string name, parent;
  std::string path;  // of a later release: used instead of name and parent
  bool allow_all_devices = false;
  std::vector<Device> allowed_devices, denied_devices;
  // Of a later release, and only what the two lists cannot say, which are empty then: rules that follow on
  // allow_all_devices in this order. In JSON: "devices".
  std::vector<DeviceRule> device_rules;
  std::int64_t memory = 0, memory_reservation = 0;
  std::int64_t memory_swap = 0;  // memory and swap together; -1: unlimited
  std::int64_t kernel_memory = 0;
  std::int64_t cpu_shares = 0, cpu_quota = 0, cpu_period = 0;
  std::int64_t cpu_rt_runtime = 0, cpu_rt_period = 0;
  std::string cpuset_cpus, cpuset_mems;
  std::int64_t pids_limit = 0;
  std::uint16_t blkio_weight = 0, blkio_leaf_weight = 0;
  std::vector<WeightDevice> blkio_weight_device;
  std::vector<ThrottleDevice> read_bps, write_bps, read_iops, write_iops;
  FreezerState freezer = FreezerState::kUndefined;
  std::vector<HugepageLimit> hugetlb_limit;
  std::string slice;
  bool oom_kill_disable = false;
  std::int64_t memory_swappiness = -1;  // -1: as it is
  std::vector<IfPrioMap> net_prio_ifpriomap;
  std::string net_cls_classid;
};

enum class Action : int { kKill = 1, kErrno, kTrap, kAllow, kTrace };
enum class Operator : int {
  kEqualTo = 1,
  kNotEqualTo,
  kGreaterThan,
  kGreaterThanOrEqualTo,
  kLessThan,
  kLessThanOrEqualTo,
  kMaskEqualTo,  // (argument & value) == value_two
};

struct Arg {
  std::uint32_t index = 0;
  std::uint64_t value = 0, value_two = 0;
  Operator op = Operator::kEqualTo;
};

struct Syscall {
  std::string name;
  std::optional<std::uint32_t> number;  // numeric generation: of x86-64; name is empty then
  Action action = Action::kErrno;
  int errno_value = 0;  // of kErrno; 0 is EPERM; others are of the numeric generation, and of a later release
  std::vector<Arg> args;
};

struct Seccomp {
  Action default_action = Action::kAllow;
  std::vector<std::string> architectures;  // "amd64", "x86" ...; the native one always
  std::vector<Syscall> syscalls;
};

struct Config {
  Generation generation = Generation::kNamed;  // what was read
  bool no_pivot_root = false;
  int parent_death_signal = 0;
  std::string pivot_dir;
  std::string rootfs;
  bool readonlyfs = false;
  std::int64_t root_propagation = 0;  // MS_*; 0: recursive slave
  std::vector<Mount> mounts;
  std::vector<Device> devices;  // none: /dev is left alone
  std::string mount_label;
  std::string hostname;
  Namespaces namespaces;
  std::vector<std::string> capabilities;  // without "CAP_"
  std::vector<Network> networks;
  std::vector<Route> routes;
  std::optional<Cgroup> cgroups;
  std::string apparmor_profile, process_label;
  std::vector<Rlimit> rlimits;
  std::int64_t oom_score_adj = 0;
  std::vector<std::string> additional_groups;
  std::vector<IdMap> uid_mappings, gid_mappings;
  std::vector<std::string> mask_paths, readonly_paths;
  std::map<std::string, std::string> sysctl;
  std::optional<Seccomp> seccomp;
  std::optional<Hooks> hooks;
  std::string version;
  bool no_new_privileges = false;              // of a later release
  std::map<std::string, std::string> unknown;  // members this room does not know: pointer -> why, for reports

  // The user and group of the host that are 0 in the container; nullopt when a user namespace maps neither.
  std::optional<std::int64_t> host_uid() const;
  std::optional<std::int64_t> host_gid() const;
};

// The tables of devices.
std::vector<Device> simple_devices();        // nodes every container has
std::vector<Device> allowed_devices();       // rules: what may be used or made
std::vector<Device> auto_created_devices();  // nodes that are made

}  // namespace cooper::spec::libcontainer

namespace cooper {
namespace libcontainer = spec::libcontainer;
}
