// CONTRACT. Control groups of one container on v1, hybrid and v2 hosts.
//
// Layout is probed once per process from /proc/self/mountinfo + /proc/self/cgroup (never by version). On v1 and hybrid
// hosts every mounted v1 hierarchy gets the container's directory, and so does the v2 tree of a hybrid host (membership
// only). A cgroup path is absolute from the root of each hierarchy. Needs write access to the hierarchies (root, or a
// delegated subtree).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "spec/oci_runtime/types.h"

namespace cooper::cgroup {

struct Setting;
struct Undo;

enum class Mode { kNone, kV1, kHybrid, kV2 };
enum class Tree { kV1, kV2 };  // where the controllers are

struct Hierarchy {
  std::vector<std::string> controllers;  // "memory"; "cpu","cpuacct"; "name=systemd"; empty for v2
  std::string mount_point;               // "/sys/fs/cgroup/memory"
  std::string mount_root;                // root of that mount inside the hierarchy, usually "/"
  bool v2 = false;
  bool read_only = false;  // the mount
  // Where a group is to be found on the host: the mount may show a part of the tree only.
  std::string directory(std::string_view group) const;
};
struct Layout {
  Mode mode = Mode::kNone;
  std::vector<Hierarchy> hierarchies;
  const Hierarchy* find(std::string_view controller) const;  // "" finds the v2 tree
  const Hierarchy* v2() const;
  // Why no group can be made, as a clause ("..."); empty when some hierarchy can be written to.
  std::string why_none() const;
};
Result<Layout> probe_layout();
// For tests: parse given texts.
Result<Layout> parse_layout(std::string_view mountinfo);
// The caller's own cgroups (/proc/self/cgroup): controller ("memory", "name=systemd", "" for v2) -> path.
Result<std::map<std::string, std::string>> own_paths();
Result<std::map<std::string, std::string>> paths_of(pid_t pid);  // of another process
std::map<std::string, std::string> parse_own_paths(std::string_view text);

// How a failed or impossible cgroup operation is treated.
enum class Policy {
  kRequired,    // an error (root)
  kBestEffort,  // permission errors are warned about (rootless)
};

// v1 needs limits before the first task joins, v2 wants the child born inside. Sequence of a start, the same on every
// layout:
//   auto group = Group::create(...); group.apply(resources); group.prepare_attach_self(born);
//   clone3(..., group.v2_fd()); in the child, while it has one thread: group.attach_self(born)
// Moving somebody else (attach) waits 7-15 ms for an RCU grace period when starts are sparse, because the kernel must
// stop every thread group; a single-threaded task that moves itself, and a birth inside, need not. Unshare the cgroup
// namespace after attaching.
class Group {
 public:
  // Makes the directory in every hierarchy (cpuset inherited from parents on v1). A directory that exists must be empty
  // of processes and not frozen, else Errc::kBusy ("container's cgroup is not empty", "... is frozen"). On failure
  // removes what this call made.
  static Result<Group> create(const Layout& layout, const std::string& path, Policy policy = Policy::kRequired);
  // The group that systemd has made for a unit, with `holder` (or nobody, 0) inside: what systemd does not know of is
  // added, hierarchies on v1 and controllers on v2.
  static Result<Group> adopt(const Layout& layout, const std::string& path, Policy policy, pid_t holder);
  // The group of an existing container. Nothing is created.
  static Result<Group> open(const Layout& layout, const std::string& path);
  Group(Group&&) noexcept = default;
  Group& operator=(Group&&) noexcept = default;

  // Goes on below an opened group: in the hierarchy of `controller`, or ("") in all of them. The groups must exist
  // (Errc::kNotFound); of all of them on v1, a hierarchy that lacks it stays where it is, but one must have it.
  Status enter_subgroup(std::string_view controller, const std::string& relative);

  const std::string& path() const { return path_; }
  // In any hierarchy.
  bool exists() const;
  // Per-hierarchy directory on the host: controller (or "" for v2) -> directory. For records of containers and bind
  // mounts.
  std::map<std::string, std::string> directories() const;
  // Directory fd of the v2 tree, also on hybrid hosts; -1 without one, and after apply() of a pids limit of 0 on pure
  // v2 (the kernel refuses births there). For CLONE_INTO_CGROUP; the child then calls attach_self(Born::kInV2). clone3
  // answers EBUSY when the group has handed controllers to groups below it.
  int v2_fd() const;
  bool has_holder() const { return holder_ > 0; }
  // Where the controllers are.
  Tree tree() const { return pure_v2() ? Tree::kV2 : Tree::kV1; }
  // Writes limits in the order the kernel accepts (v1 memory before/after swap by old and new values; values that do
  // not change are skipped). Device rules are written in the given order. Errors name file and value.
  Status apply(const oci::Resources& resources);
  // The same for a running container (`update`); on failure what was changed is written back. Device rules untouched
  // when none are given. `confirm` is asked when the limits are in force and before the device rules are; its failure
  // is one of the update.
  Status update(const oci::Resources& resources, const std::function<Status()>& confirm = {});
  // v2 only: `owner` may divide the group and its own processes, not change its limits. The directory and the files of
  // the kernel's list (/sys/kernel/cgroup/delegate) become its. Nothing on v1 and hybrid hosts.
  Status delegate(uid_t owner);
  // What an update leaves unsaid and systemd must be told all the same, from the files: the period of a quota, the
  // quota of a period, the memory limit that memory and swap together include, the weight after idleness.
  Result<oci::Resources> completed(oci::Resources resources) const;
  // Moves the process (all hierarchies). First v1 write may take milliseconds (RCU grace period): overlap it with other
  // work.
  Status attach(pid_t pid);
  // Moves the calling process, which must have one thread only. Zone S; no wait for other thread groups (see above).
  // kInV2: it was born in the v2 tree by CLONE_INTO_CGROUP with v2_fd(), only v1 hierarchies are left.
  enum class Born { kElsewhere, kInV2 };
  Status attach_self(Born born);
  // Opens the files attach_self() writes, for callers that lose the right to open them first (new user namespace,
  // pivoted root).
  Status prepare_attach_self(Born born);

  Result<std::vector<pid_t>> processes() const;  // recursive
  Status freeze(int timeout_ms = 10000);
  Status thaw(int timeout_ms = 10000);
  Result<bool> frozen() const;
  // SIGKILL (or `signal`) to every process: cgroup.kill on v2, else freeze-less repeated kill; frozen groups are
  // thawed. Bounded.
  Status kill_all(int signal);
  // Removes the directories (and nested ones); retries while the kernel still sees dying tasks, at most timeout_ms.
  // Missing: fine.
  Status remove(int timeout_ms = 5000);

 private:
  Group(std::string path) : path_(std::move(path)) {}
  struct Dir {
    Hierarchy hierarchy;
    std::string directory;  // host path
    UniqueFd fd;            // the v2 tree only: for clone
    bool created = false;
    std::string entered;                    // what enter_subgroup() has appended
    std::vector<std::string> made_parents;  // outermost first, removed when create() fails
    UniqueFd join;                          // prepared file of attach_self()
  };

  static Result<Group> with_directories(const Layout& layout, const std::string& path);
  bool pure_v2() const { return mode_ == Mode::kV2; }
  const Dir* find(std::string_view controller) const;
  const Dir* v2_dir() const { return find(""); }
  // create(), adopt()
  enum class Maker { kWe, kSystemd };
  static Result<Group> make(const Layout& layout, const std::string& path, Policy policy, Maker maker, pid_t holder);
  Status create_directory(Dir& dir);
  Status make_missing_parents(Dir& dir);
  Status check_existing(const Dir& dir) const;
  Status check_not_frozen(const Dir& dir) const;
  void roll_back();
  // apply(), update()
  Status order_memory(std::vector<Setting>& settings) const;
  Status write_settings(std::vector<Setting> settings, std::vector<Undo>* undo);
  Status write_setting(const Setting& setting, std::vector<Undo>* undo);
  Status write_devices(const std::vector<oci::DeviceRule>& rules);
  Status update_devices(const std::vector<oci::DeviceRule>& rules);
  Status check_devices(const std::vector<oci::DeviceRule>& rules) const;
  Result<std::vector<Setting>> update_settings_v2(oci::Resources resources) const;
  Status check_before_update(const oci::Memory& memory) const;
  // attach()
  Error not_there() const;
  // freeze(), kill_all()
  Status change_freezer(bool freeze, int timeout_ms);
  Result<bool> kill_new(int signal, std::vector<pid_t>& seen) const;

  std::string path_;
  Mode mode_ = Mode::kNone;
  Policy policy_ = Policy::kRequired;
  bool births_refused_ = false;
  Maker maker_ = Maker::kWe;
  pid_t holder_ = 0;
  UniqueFd base_;  // what the paths of directories are looked up from (internal/files.h)
  std::vector<Dir> dirs_;
};

// Removes now-empty ancestors of `path` (path itself too), innermost first, in every hierarchy; stops at `stop_at`,
// which stays, and at the first that is not empty. Never fails: somebody else's use of a directory is not an error.
void remove_empty_parents(const Layout& layout, const std::string& path, const std::string& stop_at);

// The controllers that limits of these resources are for ("memory", "pids"), sorted. Device rules are none, nor is what
// says "unlimited".
std::vector<std::string> limited_controllers(oci::Resources resources);

// What runtimes allow on top of the rules of a config: mknod of anything, null zero full random urandom tty, the
// terminals, net/tun. Callers append it to Resources::devices before apply().
std::vector<oci::DeviceRule> default_device_rules();

struct Stats {
  std::uint64_t cpu_usage_ns = 0, cpu_user_ns = 0, cpu_system_ns = 0;
  std::uint64_t cpu_periods = 0, cpu_throttled_periods = 0, cpu_throttled_ns = 0;
  std::uint64_t memory_usage_bytes = 0, memory_max_usage_bytes = 0, memory_swap_bytes = 0;
  std::optional<std::uint64_t> memory_limit_bytes;  // 0 is a limit: what is less than a page
  std::uint64_t memory_cache_bytes = 0, memory_rss_bytes = 0, memory_fail_count = 0, oom_kills = 0;
  std::uint64_t pids_current = 0, pids_limit = 0;  // limit 0: unlimited
  std::uint64_t io_read_bytes = 0, io_write_bytes = 0;
  std::map<std::string, std::uint64_t> memory_raw;  // memory.stat
};
Result<Stats> read_stats(const Group& group);

// cpu.shares 2..262144 -> cpu.weight 1..10000 (1024 -> 100, the newer formula).
std::uint64_t cpu_weight_from_shares(std::uint64_t shares);

}  // namespace cooper::cgroup
