// CONTRACT. The plan of a container start: the ordered kernel steps, as a plain value.
//
// Three models stay apart: the spec (oci::Config, what the user wrote), the validated config, and this plan.
// make_plan() is pure: it resolves every word (mount options, capability names, namespaces ...) into numbers, decides
// the order and asks the kernel nothing. The executor (executor.cpp in the parent, setup_child.cpp and
// exec_lastmile.cpp in the child) walks exactly this value and does nothing else that touches the kernel on the
// container's behalf; `--dry-run` prints it.
//
// Steps of the parent and of the child run concurrently; each side runs its own steps in the order of the list, and a
// kWait... step is where one side waits for the other. The order constraints are explained in plan.cpp beside the code
// that emits them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "cgroup/systemd.h"
#include "container/extras.h"
#include "io/filesystem_image.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

enum class Actor { kParent, kChild };

// ---- parent
// --------------------------------------------------------------------------------------------------------------
// systemd makes the container's group, as a transient unit around a process of ours that waits there for the init.
struct StartUnit {
  cgroup::UnitName name;
  bool user_manager = false;
  std::vector<cgroup::UnitProperty> properties;  // "PIDs" is added
};
struct CgroupCreate {  // make the group and write its limits before any task is inside
  std::string path;    // after a StartUnit: below the manager's own group, completed by it
  oci::Resources resources;
  std::optional<uid_t> owner = {};  // host id of who may divide it (v2): the container sees it as a root of its own
};
struct JoinPidNamespace {  // setns(CLONE_NEWPID) before the clone: children are born inside; undone after it
  std::string path;
  bool parent = false;  // the container has a new one below it
};
// unshare(CLONE_NEWTIME) + offsets: by the parent before the clone, undone after it, or by a child without privileges
// outside of its user namespace, for itself.
struct NewTimeNamespace {
  std::map<std::string, oci::TimeOffset> offsets;
};
// Made beside the steps of the parent before it, by a helper that is begun as soon as the plan is known
// (network_ahead.h); the step waits for it.
struct NewNetworkNamespace {
  bool loopback = true;  // lo up
};
struct Clone {              // clone3
  std::uint64_t flags = 0;  // CLONE_NEW*, never NEWCGROUP (must follow the join) nor NEWTIME; NEWIPC only without a
                            // user namespace (NewIpcNamespace); NEWNET only when
                            // the namespace must belong to a new user namespace, or devices are moved into it
  bool into_cgroup = true;  // CLONE_INTO_CGROUP where there is a v2 tree
};
struct WriteIdMaps {
  std::vector<oci::IdMapping> uid, gid;
};
// A class of service (and a monitoring group) of the resctrl file system; made before the clone, joined after it.
struct ResctrlCreate {
  std::string clos;                   // name of the class; "/": the default one
  bool clos_by_config = false;        // closID is given: an existing one is used as it is
  std::vector<std::string> schemata;  // lines, in the order they are written
  std::size_t must_agree = 0;         // that many of them an existing class must have already
  bool monitor = false;
  std::string id;  // of the monitoring group
};
struct ResctrlJoin {};
struct MoveNetDevices {  // from the caller's network namespace into the container's, by name on the host
  std::map<std::string, oci::NetDevice> devices;
  std::string path;  // network namespace that is joined; empty: the child's new one
};
struct CreateInterfaces {  // the host's ends of the container's interfaces; the other ends are born in its namespace
  std::vector<Interface> interfaces;
  std::string namespace_path;  // empty: the child's own
};
struct RunParentHooks {  // each with the state document on standard input; failure fails the start
  std::string kind;      // prestart createRuntime (create), poststart (start)
  std::vector<oci::Hook> hooks;
};
struct WaitForChild {  // the child announces that it reached the step of the same name
  std::string what;
};

// ---- child, before the root is switched
// ----------------------------------------------------------------------------------
struct WaitForParent {  // the parent announces
  std::string what;     // id-maps, net-devices, network, create-runtime-hooks, start
};
// The child moves itself into the hierarchies it was not born in: the kernel need not stop every thread group for that.
struct CgroupJoin {};
struct EnterContainer {  // exec: the namespaces of a running container's init, and its root
  int namespaces = 0;    // CLONE_NEW*
};
struct BecomeRoot {};   // inside a new user namespace: setresgid(0), setresuid(0), no groups
struct JoinNamespace {  // setns; the type of the file is checked
  std::string type;
  std::string path;
};
struct EnterNetworkNamespace {};  // the one the parent had made
// unshare(CLONE_NEWIPC): the file system of message queues belongs to who makes the namespace, and the clone is made by
// somebody who may have no number in the user namespace.
struct NewIpcNamespace {};
struct NewCgroupNamespace {};  // unshare(CLONE_NEWCGROUP) once the cgroup is joined
struct NewSession {};          // setsid
struct NewKeyring {            // keyctl(JOIN_SESSION_KEYRING); ENOSYS, EDQUOT tolerated
  std::string name;
  std::string label;  // SELinux: of the keyring (attr/keycreate); empty: as the policy has it
};
struct SetOomScoreAdj {
  int value = 0;
};
struct LoopbackUp {};        // new network namespace: lo up
struct ConfigureInterface {  // its end in the container: name, addresses, up, default routes
  std::size_t number = 0;    // place in CreateInterfaces
  Interface interface;
};
struct AddRoute {
  ExtraRoute route;
};
struct SetSysctl {  // through the host's own /proc, which follows the caller's namespaces; key with slashes
  std::string key, value;
};
struct SetHostname {
  std::string name;
};
struct SetDomainname {
  std::string name;
};
struct RootPropagation {    // of "/" in the new mount namespace, before anything is mounted: rslave unless asked
                            // otherwise
  std::uint64_t flags = 0;  // MS_SLAVE|MS_REC ...; 0: left alone, the namespace is not the container's own
};
// A layer of the root file system that is a file. The parent mounts it: the container's cgroup may keep the child from
// the devices this takes.
struct RootImage {
  io::FilesystemImage image;
  std::string path;  // host directory that it covers, in this mount namespace only
};
// A layer of the root file system whose owners are ids of the container's user namespace: an id-mapped mount of it
// covers it, where the root file system is made.
struct IdMappedLayer {
  std::string path;  // host directory
  std::vector<oci::IdMapping> uid, gid;
};
// The root file system: a directory (bound on itself) or a file system made here, visible in this mount namespace only.
struct MountRoot {
  std::string path;                                          // host directory; mount point
  std::string fstype;                                        // empty: bind of path; "overlay" ...
  std::vector<std::pair<std::string, std::string>> options;  // lowerdir, upperdir, workdir ...
  std::vector<std::string> wishes;                           // flags for kernels that know them, left out on others
  std::uint64_t attributes = 0;                              // MOUNT_ATTR_*
  std::optional<RootImage> image = {};                       // attached before it
  // The parent makes it, with its own rights to what it is made of, and the child attaches it over its old root: the
  // root of a user namespace may not reach `path`.
  bool by_parent = false;
  std::optional<IdMappedLayer> id_mapped = {};  // by_parent only
  bool scratch_layers = false;                  // an overlay whose upper directory is in memory
};
enum class MountKind { kBind, kFilesystem, kCgroup };
struct Mount {
  MountKind kind = MountKind::kFilesystem;
  std::string destination;  // inside the root
  std::string source;       // host path (bind), or source word of the file system
  std::string fstype;
  bool recursive = false;      // rbind
  std::uint64_t attr_set = 0;  // MOUNT_ATTR_*
  std::uint64_t attr_clear = 0;
  std::uint64_t rec_attr_set = 0;  // recursive attributes (rro ...)
  std::uint64_t rec_attr_clear = 0;
  std::uint64_t superblock_flags =
      0;  // MS_SYNCHRONOUS, MS_DIRSYNC, MS_MANDLOCK, MS_LAZYTIME, MS_I_VERSION, MS_RDONLY of a new file system
  std::vector<std::uint64_t> propagation;  // MS_SHARED|MS_REC ..., in order
  std::vector<std::string> data;           // file system options "size=65536k", "newinstance"
  bool remount = false;                    // change attributes of the mount that is there
  bool read_only_later = false;            // control groups of v1: their directory takes mount points before
  bool copy_up = false;                    // tmpcopyup
  bool idmap = false, idmap_recursive = false;
  std::vector<oci::IdMapping> uid_mappings, gid_mappings;
  bool source_is_dev_fd =
      false;  // the source is reachable only by the parent: opened before the clone and inherited (user namespaces)
  bool scratch_layers = false;  // an overlay whose upper directory is in memory
};
struct MakeEntry {  // a directory, file, link or mode that is no mount
  RootEntry entry;
};
struct RunMountCommands {  // around one mount
  std::string when;        // before, after
  std::string destination;
  std::vector<MountCommand> commands;
};
struct Relabel {  // SELinux: the tree gets the container's label
  std::string path, label;
};
struct CreateDevice {
  std::string path;
  mode_t mode = 0;  // with S_IFCHR/S_IFBLK/S_IFIFO
  std::uint32_t major = 0, minor = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  bool bind = false;  // user namespaces: bind the host's node instead of mknod
};
struct CreateSymlink {  // existing entries are left alone
  std::string path, target;
};
struct SetupConsole {  // pty from the container's devpts, slave bound on /dev/console, master handed over
  std::uint16_t height = 0, width = 0;
  uid_t uid = 0;
};
struct RunChildHooks {  // createContainer (before the pivot), startContainer (inside, before the exec)
  std::string kind;
  std::vector<oci::Hook> hooks;
};
struct PivotRoot {
  bool no_pivot = false;          // MS_MOVE + chroot (--no-pivot)
  bool shared_namespace = false;  // of mounts: nothing outside the root may change, so chroot alone
  std::string pivot_dir = {};     // must be a directory there
  bool may_replace = false;       // a copy of the tree is the same: none of its mounts is unbindable
};
// ---- child, inside the root
// ----------------------------------------------------------------------------------------------
struct FinalRootPropagation {
  std::uint64_t flags = 0;
};
struct ReadonlyPath {
  std::string path;
};
struct MaskPath {
  std::string path;
};
struct ReadonlyRoot {};
struct SetScheduler {
  oci::Scheduler scheduler;
};
struct SetIoPriority {
  int io_class = 0, priority = 0;
};
struct SetPersonality {
  std::uint64_t persona = 0;
};
struct SetMemoryPolicy {
  oci::MemoryPolicy policy;
  int mode = 0;  // MPOL_* with MPOL_F_*
  std::vector<std::uint32_t> nodes;
};
struct SetAffinity {  // exec only
  std::string when;   // "initial": before the cgroup is joined; "final"
  std::string text;   // as written
  std::vector<std::uint32_t> cpus;
};
struct SetCoreScheduling {
  pid_t share_with = 0;  // exec: the init, as the new process sees it; 0: a cookie of its own
};
struct LandlockRule {
  std::uint64_t rights = 0;  // LANDLOCK_ACCESS_FS_*, cut to what the kernel knows
  std::string word;          // ro rx rw
  std::string path;
};
struct SetLandlock {  // files that may be used; made after the pivot, in force from the last mile on
  std::vector<LandlockRule> rules;
};
struct FindExecutable {};  // args[0] in the container's PATH: fails at create, with the words callers look for
struct PrepareCwd {        // created when missing, must be inside
  std::vector<std::string> candidates = {};  // the first that is there; none is made. Empty: that of the exec
};
struct EnterInnerUserNamespace {  // a new one, in which the ids stand for root of the container's
  uid_t uid = 0;
  gid_t gid = 0;
  int fd = -1;  // one that is there, instead
};
struct LockFile {  // for reading, as fcntl(2) with F_OFD_SETLK does; the parent gets the descriptor, too
  std::string path;
};
struct SetRlimits {
  std::vector<std::pair<int, std::pair<std::uint64_t, std::uint64_t>>>
      limits;  // resource -> (soft, hard); last before credentials
};
// ---- child, last mile (async-signal-safe; no allocation)
// ---------------------------------------------------------------------
struct SetLabels {
  std::string apparmor, selinux;
};
struct SetCredentials {  // umask, groups, gid, uid, capability sets, no_new_privs
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  mode_t umask = 0022;
  bool set_groups = true;
  bool has_capabilities = false;
  std::uint64_t bounding = 0, effective = 0, permitted = 0, inheritable = 0, ambient = 0;
  bool no_new_privileges = false;
};
struct LoadSeccomp {  // compiled before the clone; loaded last (before the credentials only without no_new_privs)
  std::optional<oci::Seccomp> profile;
  std::string filter = {};  // instead of a profile: instructions of the caller
};
struct Exec {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd;
  bool init = false;           // by a child of process 1, which stays
  std::vector<int> held = {};  // descriptors of the caller that process 1 keeps
};

using StepBody = std::variant<
    StartUnit, CgroupCreate, JoinPidNamespace, NewTimeNamespace, NewNetworkNamespace, Clone, WriteIdMaps, ResctrlCreate,
    ResctrlJoin, MoveNetDevices, CreateInterfaces, RunParentHooks, WaitForChild, WaitForParent, CgroupJoin,
    EnterContainer, BecomeRoot, JoinNamespace, EnterNetworkNamespace, NewIpcNamespace, NewCgroupNamespace, NewSession,
    NewKeyring, SetOomScoreAdj, LoopbackUp, ConfigureInterface, AddRoute, SetSysctl, SetHostname, SetDomainname,
    RootPropagation, MountRoot, Mount, MakeEntry, RunMountCommands, Relabel, CreateDevice, CreateSymlink, SetupConsole,
    RunChildHooks, PivotRoot, FinalRootPropagation, ReadonlyPath, MaskPath, ReadonlyRoot, SetScheduler, SetIoPriority,
    SetPersonality, SetMemoryPolicy, SetAffinity, SetCoreScheduling, SetLandlock, FindExecutable, PrepareCwd, LockFile,
    EnterInnerUserNamespace, SetRlimits, SetLabels, SetCredentials, LoadSeccomp, Exec>;

struct Step {
  Step(Actor who, StepBody what);
  Step(const Step&);
  Step(Step&&) noexcept;
  Step& operator=(const Step&);
  Step& operator=(Step&&) noexcept;
  ~Step();

  Actor actor;
  StepBody body;
};

struct Plan {
  std::string id;
  std::vector<Step> steps;
  std::vector<std::string>
      warnings;  // ungrantable or unknown requests that do not fail a start (unknown capability ...)
  // What is worth knowing and nothing is wrong with: log level info.
  std::vector<std::string> notes;
};

// What is not in the spec.
// How messages name a member of the process, given as a JSON pointer into it ("/cwd", "/env/3"). Without one they name
// "/process" in a config.json.
using NameProcessMember = std::function<std::string(std::string_view member)>;

struct PlanOptions {
  std::string id;
  std::string bundle;                           // absolute; relative root.path and bind sources are taken from here
  std::string cgroup_default_parent = "/coop";  // cgroupsPath when the config has none: <parent>/<id>
  bool systemd_cgroup = false;                  // cgroupsPath is slice:prefix:name; the user's manager when rootless
  // Why the container gets no control group, as a clause; empty: it gets one. A limit that is lost by it is an error,
  // or a warning with ignore_limits.
  std::string no_cgroup;
  bool ignore_limits = false;
  bool cgroups_mounted = true;  // anywhere on this host
  bool no_pivot = false;
  bool no_new_keyring = false;
  bool hybrid_or_v1 = true;  // shape of cgroup mounts
  bool cgroup_v2_only = false;
  bool rootless = false;     // no cgroup permission demanded, devices are bound
  bool sets_groups = false;  // rootless all the same: as root of a user namespace that lets groups be set
  bool detach_start = true;  // create: wait for `start` before the exec; false: `run`
  int kernel_last_cap = 40;
  std::uint64_t own_capabilities = ~std::uint64_t{0};  // what can be granted where no user namespace is made or joined
  // What the host enforces (lsm.h asks the kernel). A label that cannot be applied is a warning (SELinux) or an error
  // (AppArmor).
  bool apparmor_enabled = false;
  bool selinux_enabled = false;
  // Replaces the bind of root.path (engine: overlay).
  std::optional<MountRoot> root_override;
  // The caller's sd_notify proxy and such: extra mounts after those of the config.
  std::vector<oci::Mount> extra_mounts;
  std::vector<std::string> extra_env;
  std::optional<Extras> extras;
  NameProcessMember name_process_member;
  std::vector<std::string> notes;  // the first ones of the plan
};

// Validation of everything that needs no kernel: Errc::kInvalidArgument with the JSON pointer of the offending member,
// Errc::kUnsupported for what this build does not do. Rules of the runtime spec plus runc's.
Status validate(const oci::Config& config, const PlanOptions& options);
// validate() + plan.
Result<Plan> make_plan(const oci::Config& config, const PlanOptions& options);
// The child's steps of a further process, config.process, in a container that runs: those of a start that concern a
// process, in the order of a start. Only the process is validated; the rest was valid at the start.
Result<Plan> make_process_plan(const oci::Config& config, const PlanOptions& options);

// Rules for a process alone; options.name_process_member says how messages name its members.
Status validate_process(const oci::Process& process, const PlanOptions& options);
// Rules for a resources document alone (`update`). `pointer` may begin with the name of another document: "resources:
// ".
Status validate_resources(const oci::Resources& resources, std::string_view pointer = "/linux/resources");

// "mount", "pivot-root" ... the word of a step in text and JSON.
std::string_view step_name(const StepBody& body);
// One line a step: number, actor, step, key=value...
std::string print_text(const Plan& plan);
// {"id":...,"steps":[{"actor":"child","step":"mount","destination":"/proc",...}],"warnings":[...]}
std::string print_json(const Plan& plan);

}  // namespace cooper::container
