// The order of a start. Every constraint is stated beside the step that has it; what has none stands where it overlaps
// best.
#include "container/plan.h"

#include <algorithm>

#include "base/strings.h"
#include "container/core_scheduling.h"
#include "container/find_step.h"
#include "container/landlock.h"
#include "container/memory_policy.h"
#include "container/mount_options.h"
#include "container/plan_parts.h"
#include "container/resctrl.h"
#include "container/validate_rules.h"
#include "seccomp/seccomp.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/mount.h"
#include "sys/tables.h"

namespace cooper::container {
namespace {

class Builder {
 public:
  Builder(const oci::Config& config, const PlanOptions& options)
      : config_(config), linux_(*config.linux), process_(*config.process), options_(options) {
    plan_.id = options.id;
    plan_.steps.reserve(96);
    new_user_ = is_new("user");
    parent_hooks_ = !config.hooks.prestart.empty() || !config.hooks.create_runtime.empty();
  }

  Result<Plan> build() {
    RETURN_IF_ERROR(notes());
    RETURN_IF_ERROR(plan_cgroup(plan_, config_, options_));
    parent_steps();
    namespace_steps();
    identity_steps();
    RETURN_IF_ERROR(root_steps());
    enter_root_steps();
    RETURN_IF_ERROR(annotation_steps());
    process_steps();
    if (!linux_.mount_label.empty() && !options_.selinux_enabled) {
      plan_.warnings.push_back("SELinux mount label " + quoted(linux_.mount_label) +
                               " is ignored: SELinux is not enabled on this host");
    }
    add_last_mile(plan_, process_, config_, options_);
    // Of a user namespace that is joined the child asks.
    const auto* credentials = find_step<SetCredentials>(plan_);
    if (new_user_ && credentials != nullptr && !(options_.extras && options_.extras->inner_user))
      RETURN_IF_ERROR(check_ids_are_mapped(*credentials, linux_));
    // Last in the list although it is the parent's: it runs after the exec, on `start`.
    if (!config_.hooks.poststart.empty()) parent(RunParentHooks{"poststart", config_.hooks.poststart});
    return std::move(plan_);
  }

  Result<Plan> build_process() {
    session_steps();
    if (process_.terminal) console_step();
    RETURN_IF_ERROR(landlock_step());
    scheduling_steps();
    program_steps();
    add_last_mile(plan_, process_, config_, options_);
    return std::move(plan_);
  }

 private:
  void parent(StepBody body) { plan_.steps.push_back({Actor::kParent, std::move(body)}); }
  void child(StepBody body) { plan_.steps.push_back({Actor::kChild, std::move(body)}); }

  const oci::Namespace* ns(std::string_view type) const { return rules::find_namespace(config_, type); }
  bool is_new(std::string_view type) const {
    const oci::Namespace* found = ns(type);
    return found != nullptr && found->path.empty();
  }
  bool is_joined(std::string_view type) const {
    const oci::Namespace* found = ns(type);
    return found != nullptr && !found->path.empty();
  }

  void parent_steps();
  void namespace_steps();
  void session_steps();
  void identity_steps();
  Status root_steps();
  void console_step();
  Status annotation_steps();
  Status landlock_step();
  Status mount_steps(const std::vector<oci::Mount>& mounts);
  void entry_steps(std::size_t before_mount);
  void device_steps();
  bool has_interfaces() const { return options_.extras && !options_.extras->interfaces.empty(); }
  bool wants_loopback() const { return options_.extras ? options_.extras->loopback : is_new("network"); }
  bool network_ahead() const { return plan_network_ahead(config_, options_.extras, options_.rootless).has_value(); }
  void network_steps();
  const MountExtras* mount_extras(const oci::Mount& mount) const;
  void relabel(const Mount& mount, const MountExtras& extras);
  void cgroup_namespace();
  void join_cgroup();
  bool may_replace_root() const;
  void enter_root_steps();
  void scheduling_steps();
  void inner_steps(const Extras& extras);
  void program_steps();
  void process_steps();
  Status notes();

  const oci::Config& config_;
  const oci::Linux& linux_;
  const oci::Process& process_;
  const PlanOptions& options_;
  Plan plan_;
  bool new_user_ = false;
  bool parent_hooks_ = false;
  bool cgroup_joined_ = false;
  bool cgroup_namespace_done_ = false;
};

Status Builder::notes() {
  plan_.notes = options_.notes;
  if (!oci::maps_ids(config_) && !(linux_.uid_mappings.empty() && linux_.gid_mappings.empty()))
    plan_.warnings.emplace_back("uidMappings and gidMappings are ignored: the configuration has no user namespace");
  if (zero_is_no_pids_limit(config_))
    plan_.notes.push_back("config.json: /linux/resources/pids/limit: 0 is no limit, because ociVersion is " +
                          quoted(config_.oci_version) + "; from 1.3.0 on it is one");
  if (!linux_.seccomp) return {};
  ASSIGN_OR_RETURN(const auto elsewhere, seccomp::architectures_elsewhere(*linux_.seccomp));
  if (!elsewhere.empty())
    plan_.notes.push_back("config.json: /linux/seccomp/architectures: " + join(elsewhere, ", ") +
                          " cannot occur on this machine, and get no part of the filter");
  return {};
}

void Builder::parent_steps() {
  // A process never changes its own PID namespace: only children of the caller are born in the other one.
  if (is_joined("pid")) parent(JoinPidNamespace{ns("pid")->path});
  if (options_.extras && !options_.extras->parent_pid_namespace.empty())
    parent(JoinPidNamespace{options_.extras->parent_pid_namespace, true});
  // The init is born in it. Without privileges there is no way back for the parent: the child makes its own.
  if (is_new("time") && !options_.rootless) parent(NewTimeNamespace{linux_.time_offsets});
  // Like the cgroup: what cannot be had must fail before anything else is done.
  if (linux_.intel_rdt) parent(plan_resctrl(*linux_.intel_rdt, options_.id));
  if (const auto ahead = plan_network_ahead(config_, options_.extras, options_.rootless)) parent(*ahead);
  Clone clone;
  // On cgroup v2 device rules hold for making nodes, too: where they are exactly the configuration's, its nodes come
  // first.
  clone.into_cgroup = !(options_.extras && options_.extras->exact_device_rules);
  for (const oci::Namespace& entry : linux_.namespaces) {
    // A cgroup namespace takes the group of its maker as root, so it must follow the join; time was made above.
    if (!entry.path.empty() || entry.type == "cgroup" || entry.type == "time") continue;
    if (entry.type == "network" && network_ahead()) continue;
    if (entry.type == "ipc" && ns("user") != nullptr) continue;
    clone.flags |=
        static_cast<std::uint64_t>(static_cast<unsigned>(sys::namespace_by_oci_name(entry.type)->clone_flag));
  }
  parent(clone);
  if (linux_.intel_rdt) parent(ResctrlJoin{});
  if (new_user_) parent(WriteIdMaps{linux_.uid_mappings, linux_.gid_mappings});
  // The child has its network namespace from its birth; one it joins is reached by its path.
  if (!linux_.net_devices.empty()) parent(MoveNetDevices{linux_.net_devices, ns("network")->path});
  if (has_interfaces()) {
    // The child configures its ends once they are there.
    const oci::Namespace* network = ns("network");
    parent(CreateInterfaces{options_.extras->interfaces, network == nullptr ? std::string() : network->path});
  }
  if (parent_hooks_) {
    parent(WaitForChild{"ready-for-hooks"});
    if (!config_.hooks.prestart.empty()) parent(RunParentHooks{"prestart", config_.hooks.prestart});
    if (!config_.hooks.create_runtime.empty()) parent(RunParentHooks{"createRuntime", config_.hooks.create_runtime});
  }
  parent(WaitForChild{"prepared"});
}

void Builder::namespace_steps() {
  // While /proc is the host's and the file is ours: the root of a user namespace may not open it.
  if (process_.oom_score_adj) child(SetOomScoreAdj{*process_.oom_score_adj});
  if (new_user_) {
    child(WaitForParent{"id-maps"});
    child(BecomeRoot{});
  }
  // The user namespace first: joining the others needs its capabilities.
  if (is_joined("user")) {
    child(JoinNamespace{"user", ns("user")->path});
    child(BecomeRoot{});
  }
  if (is_new("ipc") && ns("user") != nullptr) child(NewIpcNamespace{});
  if (is_new("time") && options_.rootless) child(NewTimeNamespace{linux_.time_offsets});
  if (network_ahead()) child(EnterNetworkNamespace{});
  for (const std::string_view type : {"network", "ipc", "uts", "time"}) {
    if (is_joined(type)) child(JoinNamespace{std::string(type), ns(type)->path});
  }
}

void Builder::session_steps() {
  // Before the console: a controlling terminal needs a session leader.
  child(NewSession{});
  if (!options_.no_new_keyring) {
    child(NewKeyring{"_ses." + options_.id, options_.selinux_enabled ? process_.selinux_label : std::string()});
  }
}

void Builder::identity_steps() {
  session_steps();
  network_steps();
  // Sysctls may be about them.
  if (!linux_.net_devices.empty()) child(WaitForParent{"net-devices"});
  // Through the host's /proc, which shows the caller's namespaces: the container's may be masked, read-only or missing.
  for (const auto& [key, value] : linux_.sysctl) child(SetSysctl{rules::sysctl_path(key), value});
  if (!config_.hostname.empty()) child(SetHostname{config_.hostname});
  if (!config_.domainname.empty()) child(SetDomainname{config_.domainname});
}

// What the specification has no member for.
Status Builder::annotation_steps() {
  if (const auto wanted = config_.annotations.find(kCoreSchedulingAnnotation); wanted != config_.annotations.end()) {
    ASSIGN_OR_RETURN(const SetCoreScheduling step, parse_core_scheduling(wanted->second));
    child(step);
  }
  return landlock_step();
}

Status Builder::landlock_step() {
  if (const auto wanted = config_.annotations.find(kLandlockAnnotation); wanted != config_.annotations.end()) {
    ASSIGN_OR_RETURN(SetLandlock step, parse_landlock(wanted->second));
    child(std::move(step));
  }
  return {};
}

// Before the sysctls: those of net.*.conf.NAME need the interface.
void Builder::network_steps() {
  if (wants_loopback() && !network_ahead()) child(LoopbackUp{});
  if (!options_.extras) return;
  const Extras& extras = *options_.extras;
  if (has_interfaces()) child(WaitForParent{"network"});
  for (std::size_t i = 0; i < extras.interfaces.size(); ++i) child(ConfigureInterface{i, extras.interfaces[i]});
  for (const ExtraRoute& route : extras.routes) child(AddRoute{route});
}

const MountExtras* Builder::mount_extras(const oci::Mount& mount) const {
  if (!options_.extras) return nullptr;
  for (const MountExtras& entry : options_.extras->mounts) {
    if (entry.index < config_.mounts.size() && &config_.mounts[entry.index] == &mount) return &entry;
  }
  return nullptr;
}

void Builder::relabel(const Mount& mount, const MountExtras& extras) {
  if (extras.relabel.empty()) return;
  if (!options_.selinux_enabled) {
    plan_.warnings.push_back("relabelling " + quoted(mount.source) +
                             " is ignored: SELinux is not enabled on this host");
  } else if (!linux_.mount_label.empty()) {
    child(Relabel{mount.source, relabel_to(linux_.mount_label, extras.relabel == "z")});
  }
}

Status Builder::root_steps() {
  const std::uint64_t wanted = propagation_from_word(linux_.rootfs_propagation);
  // Whatever is mounted from here on must not show on the host unless "shared" is asked for, on any mount below "/"
  // (hence MS_REC). An unbindable tree could not be bound as the new root: it becomes so at the end.
  std::uint64_t first = MS_SLAVE | MS_REC;
  if ((wanted & MS_SHARED) != 0) first = wanted;
  if ((wanted & (MS_PRIVATE | MS_UNBINDABLE)) != 0) first = MS_PRIVATE | MS_REC;
  if (!is_new("mount")) {
    // Last of the namespaces: their paths, and what is read and written in /proc, are the caller's.
    if (is_joined("mount")) child(JoinNamespace{"mount", ns("mount")->path});
    first = 0;
    plan_.warnings.emplace_back(
        "the container has no mount namespace of its own: its mounts show outside, and its root is changed by chroot");
  }
  child(RootPropagation{first});
  if (options_.root_override) {
    child(*options_.root_override);
  } else {
    const std::string& path = config_.root->path;
    child(MountRoot{path[0] == '/' ? path : options_.bundle + "/" + path, {}, {}, {}});
  }
  RETURN_IF_ERROR(mount_steps(config_.mounts));
  entry_steps(config_.mounts.size());
  RETURN_IF_ERROR(mount_steps(options_.extra_mounts));
  const DeviceNodes nodes = options_.extras ? options_.extras->device_nodes : DeviceNodes::kStandard;
  if (nodes != DeviceNodes::kNone && owns_dev(config_)) device_steps();
  // The pty comes from the container's own devpts (CVE-2025-52565: before masks, checked by the executor).
  if (process_.terminal) console_step();
  seal_readonly_mounts(plan_, options_.cgroup_v2_only);
  return {};
}

void Builder::console_step() {
  SetupConsole console;
  if (process_.console_size) {
    console.height = static_cast<std::uint16_t>(process_.console_size->height);
    console.width = static_cast<std::uint16_t>(process_.console_size->width);
  }
  // It is made before the program's user is one.
  console.uid = options_.extras && options_.extras->inner_user ? 0 : process_.user.uid;
  child(console);
}

// What stands between two mounts is made between them: it may be in the one and below the other.
void Builder::entry_steps(std::size_t before_mount) {
  if (!options_.extras) return;
  for (const RootEntry& entry : options_.extras->entries) {
    if (entry.before_mount == before_mount) child(MakeEntry{entry});
  }
}

Status Builder::mount_steps(const std::vector<oci::Mount>& mounts) {
  for (const oci::Mount& entry : mounts) {
    if (&mounts == &config_.mounts) entry_steps(static_cast<std::size_t>(&entry - mounts.data()));
    ASSIGN_OR_RETURN(Mount mount, plan_mount(entry, config_, options_));
    // Inside a cgroup namespace the mount shows the container's group as root, so the namespace comes first, and that
    // needs the join.
    const bool cgroup = mount.kind == MountKind::kCgroup || mount.fstype == "cgroup2";
    // Without a group of its own it would be shown those of others.
    if (cgroup && !options_.no_cgroup.empty() && (!is_new("cgroup") || !options_.cgroups_mounted)) continue;
    if (cgroup) cgroup_namespace();
    const MountExtras* extras = mount_extras(entry);
    if (extras == nullptr) {
      child(std::move(mount));
      continue;
    }
    mount.scratch_layers = extras->scratch_layers;
    const Mount done = mount;
    if (!extras->before.empty()) child(RunMountCommands{"before", done.destination, extras->before});
    child(std::move(mount));
    relabel(done, *extras);
    if (!extras->after.empty()) child(RunMountCommands{"after", done.destination, extras->after});
  }
  return {};
}

// As late as may be: what the kernel allocates for the container's mounts is not its programs' memory, so that a small
// limit leaves them more of it.
void Builder::join_cgroup() {
  if (cgroup_joined_) return;
  child(CgroupJoin{});
  cgroup_joined_ = true;
}

void Builder::cgroup_namespace() {
  if (cgroup_namespace_done_) return;
  cgroup_namespace_done_ = true;
  if (is_new("cgroup")) {
    join_cgroup();
    child(NewCgroupNamespace{});
  } else if (is_joined("cgroup")) {
    child(JoinNamespace{"cgroup", ns("cgroup")->path});
  }
}

void Builder::device_steps() {
  for (CreateDevice& device : plan_devices(config_, options_)) child(std::move(device));
  for (CreateSymlink& link : plan_symlinks()) child(std::move(link));
}

// Whether a copy of the finished tree is the same as the tree. An unbindable mount is in no copy, and hooks and
// commands mount what they like. Mounts that came with another user namespace cannot be taken away, shared ones shall
// not.
bool Builder::may_replace_root() const {
  if (!is_new("mount") || new_user_ || is_joined("user")) return false;
  if (parent_hooks_ || !config_.hooks.create_container.empty()) return false;
  if ((propagation_from_word(linux_.rootfs_propagation) & (MS_SHARED | MS_UNBINDABLE)) != 0) return false;
  return std::ranges::none_of(plan_.steps, [](const Step& step) {
    const Mount* mount = std::get_if<Mount>(&step.body);
    return std::holds_alternative<RunMountCommands>(step.body) ||
           (mount != nullptr &&
            std::ranges::any_of(mount->propagation, [](std::uint64_t flags) { return (flags & MS_UNBINDABLE) != 0; }));
  });
}

void Builder::enter_root_steps() {
  cgroup_namespace();
  // Hooks of the host see the finished tree and may still change it: after the mounts, before the switch.
  // A hook may ask which cgroup the container is in; and one inside is its first program, for which the limits hold.
  if (parent_hooks_ || !config_.hooks.create_container.empty()) join_cgroup();
  if (parent_hooks_) child(WaitForParent{"create-runtime-hooks"});
  if (!config_.hooks.create_container.empty()) {
    child(RunChildHooks{"createContainer", config_.hooks.create_container});
  }
  child(PivotRoot{options_.no_pivot, !is_new("mount"), options_.extras ? options_.extras->pivot_dir : std::string(),
                  may_replace_root()});
  // Before the root is read-only: the directory may have to be made.
  child(PrepareCwd{options_.extras ? options_.extras->working_directories : std::vector<std::string>()});
  // Read-only first: a masked path inside a read-only one stays masked, and binding a masked path again would unmask
  // nothing.
  for (const std::string& path : linux_.readonly_paths) child(ReadonlyPath{rules::clean_path(path)});
  for (const std::string& path : linux_.masked_paths) child(MaskPath{rules::clean_path(path)});
  // After the masks, which are binds and fail in an unbindable tree. What is below the root has its propagation from
  // the first step, or its own from the config, which a recursive change would undo.
  if (const std::uint64_t wanted = propagation_from_word(linux_.rootfs_propagation); wanted != 0) {
    child(FinalRootPropagation{(wanted & MS_UNBINDABLE) != 0 ? wanted : wanted & ~std::uint64_t{MS_REC}});
  }
  if (config_.root && config_.root->readonly) child(ReadonlyRoot{});
}

void Builder::scheduling_steps() {
  if (process_.scheduler) child(SetScheduler{*process_.scheduler});
  if (process_.io_priority) child(plan_io_priority(*process_.io_priority));
  if (linux_.personality) {
    if (!linux_.personality->flags.empty())
      plan_.warnings.emplace_back("personality flags are ignored: the runtime specification defines none");
    constexpr std::uint64_t kLinux32 = 0x0008;  // PER_LINUX32
    child(SetPersonality{linux_.personality->domain == "LINUX32" ? kLinux32 : 0});
  }
}

void Builder::inner_steps(const Extras& extras) {
  for (const std::string& path : extras.lock_files) child(LockFile{path});
  if (extras.inner_user) child(EnterInnerUserNamespace{extras.inner_user->uid, extras.inner_user->gid});
  if (extras.inner_user_fd >= 0) child(EnterInnerUserNamespace{0, 0, extras.inner_user_fd});
}

void Builder::program_steps() {
  // The nodes must be in the cpuset of the cgroup.
  if (linux_.memory_policy) child(plan_memory_policy(*linux_.memory_policy));
  // At create, not at start: callers learn of a missing program while they can still tell the user.
  child(FindExecutable{});
  // All that takes rights over the mounts and groups is done; who waits for the start is told the final namespaces.
  if (options_.extras) inner_steps(*options_.extras);
  child(WaitForParent{"start"});
}

void Builder::process_steps() {
  scheduling_steps();
  join_cgroup();
  program_steps();
  if (!config_.hooks.start_container.empty()) child(RunChildHooks{"startContainer", config_.hooks.start_container});
}

}  // namespace

// The caller's user namespace must be its owner; and who reaches it by way of the child needs it at the child's birth.
std::optional<NewNetworkNamespace> plan_network_ahead(const oci::Config& config, const std::optional<Extras>& extras,
                                                      bool rootless) {
  if (!config.linux || rootless || !config.linux->net_devices.empty() || (extras && !extras->interfaces.empty()))
    return std::nullopt;
  const oci::Namespace* network = rules::find_namespace(config, "network");
  if (network == nullptr || !network->path.empty() || rules::find_namespace(config, "user") != nullptr)
    return std::nullopt;
  return NewNetworkNamespace{!extras || extras->loopback};
}

Result<Plan> make_process_plan(const oci::Config& config, const PlanOptions& options) {
  if (!config.linux) {
    oci::Config filled = config;
    filled.linux.emplace();
    return make_process_plan(filled, options);
  }
  RETURN_IF_ERROR(validate_process(*config.process, options));
  return Builder(config, options).build_process();
}

Result<Plan> make_plan(const oci::Config& config, const PlanOptions& options) {
  if (!config.linux) {
    oci::Config filled = config;
    filled.linux.emplace();
    return make_plan(filled, options);
  }
  RETURN_IF_ERROR(validate(config, options));
  return Builder(config, options).build();
}

}  // namespace cooper::container
