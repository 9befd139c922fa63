// The native flavor: one container per app. A pod of one app (`cooper run`) gets namespaces of its own and the app is
// PID 1. Other pods get a sandbox container whose PID 1 is cooper-init; it holds the PID, network, IPC and UTS
// namespaces that the apps join, and each app has its own mount and cgroup namespace.
#include "base/strings.h"
#include "seccomp/seccomp.h"
#include "stage1/capabilities.h"
#include "stage1/flavor.h"
#include "stage1/mounts.h"
#include "stage1/resources.h"
#include "stage1/seccomp_file.h"
#include "stage1/security.h"

namespace cooper::stage1 {
namespace {

constexpr const char* kOciVersion = "1.0.2";
constexpr const char* kPodNamespace = "pod:";  // monitor.h
constexpr const char* kSandboxInit = "/cooper-init";

std::string cgroup_of(const Pod& pod, std::string_view app) {
  std::string path = pod.cgroup_parent + "/" + pod.uuid;
  if (!pod.single) path.append("/").append(app);
  return path;
}

// Types of namespaces that the apps of a pod share. The user namespace owns the others.
std::vector<std::string> shared_namespaces(const Pod& pod) {
  std::vector<std::string> types;
  if (!pod.id_maps.empty()) types.emplace_back("user");
  types.emplace_back("pid");
  if (!pod.host_network) types.emplace_back("network");
  types.emplace_back("ipc");
  types.emplace_back("uts");
  return types;
}

std::vector<oci::Namespace> namespaces(const Pod& pod, const std::string& path_of_shared) {
  std::vector<oci::Namespace> out;
  for (const std::string& type : shared_namespaces(pod)) out.push_back({type, path_of_shared});
  out.push_back({"mount", ""});
  out.push_back({"cgroup", ""});
  return out;
}

// Whoever makes the namespaces sets them up: the app of a single pod, else the sandbox.
void own_namespaces(const Pod& pod, oci::Config& config) {
  config.linux->namespaces = namespaces(pod, "");
  config.hostname = pod.hostname;
  // Lets root's group ping without CAP_NET_RAW, which is not among the default capabilities.
  if (!pod.host_network) config.linux->sysctl["net.ipv4.ping_group_range"] = "0 0";
}

Result<std::optional<oci::Seccomp>> seccomp_of(const App& app, const Security& security,
                                               const std::vector<std::string>& capabilities) {
  if (app.privileged && security.seccomp != Security::Seccomp::kFile) return std::optional<oci::Seccomp>();
  switch (security.seccomp) {
    case Security::Seccomp::kUnconfined:
      return std::optional<oci::Seccomp>();
    case Security::Seccomp::kDefault:
      if (security.seccomp_set)
        return std::optional(apply_seccomp_set(seccomp::default_profile(capabilities), *security.seccomp_set));
      return std::optional<oci::Seccomp>(seccomp::default_profile(capabilities));
    case Security::Seccomp::kFile:
      break;
  }
  ASSIGN_OR_RETURN(oci::Seccomp profile,
                   parse_profile(app.seccomp_profile, security.seccomp_file, profile_context(capabilities)));
  return std::optional<oci::Seccomp>(std::move(profile));
}

Result<oci::Process> app_process(const App& app, const Security& security, const Host& host) {
  oci::Process process;
  process.terminal = app.terminal;
  process.user.uid = app.uid;
  process.user.gid = app.gid;
  process.user.umask = 0022;
  process.user.additional_gids = app.additional_gids;
  if (app.init) process.args = {kInitInside, "run", "--"};
  process.args.insert(process.args.end(), app.args.begin(), app.args.end());
  process.env = app.env;
  process.cwd = app.working_dir;
  // With a set of its own the filter comes last: what the start needs is not in it.
  process.no_new_privileges = security.no_new_privileges || security.seccomp_set.has_value();
  process.oom_score_adj = app.oom_score_adj;
  process.apparmor_profile = security.apparmor_profile;
  ASSIGN_OR_RETURN(process.capabilities,
                   resolve_capabilities({app.cap_add, app.cap_drop, app.privileged, app.uid == 0}, host.capabilities));
  ASSIGN_OR_RETURN(process.rlimits, app_rlimits(app, host));
  return process;
}

Result<oci::Config> app_config(const Pod& pod, const App& app, const Host& host) {
  ASSIGN_OR_RETURN(const Security security, parse_security(app.security_opts));
  oci::Config config;
  config.oci_version = kOciVersion;
  ASSIGN_OR_RETURN(config.process, app_process(app, security, host));
  config.root = oci::Root{app.mount_point, app.read_only};
  ASSIGN_OR_RETURN(config.mounts, app_mounts(pod, app, security));
  config.annotations = pod.annotations;
  for (const auto& [key, value] : app.annotations) config.annotations[key] = value;
  oci::Linux& linux = config.linux.emplace();
  if (pod.single) {
    own_namespaces(pod, config);
  } else {
    linux.namespaces = namespaces(pod, kPodNamespace);
  }
  // Also where the namespace is joined: mounts and streams are given to ids of it.
  linux.uid_mappings = pod.id_maps.uids;
  linux.gid_mappings = pod.id_maps.gids;
  if (app.privileged) linux.devices = host.devices;
  linux.cgroups_path = cgroup_of(pod, app.name);
  if (!app.pre_start.empty())
    config.hooks.start_container.push_back(
        {.path = app.pre_start.front(), .args = app.pre_start, .env = app.env, .timeout_s = {}});
  ASSIGN_OR_RETURN(linux.resources, app_resources(app));
  ASSIGN_OR_RETURN(linux.seccomp, seccomp_of(app, security, config.process->capabilities->bounding));
  ProtectedPaths paths = protected_paths(security, app.privileged);
  linux.masked_paths = std::move(paths.masked);
  linux.readonly_paths = std::move(paths.readonly);
  return config;
}

container::CreateOptions create_options(const Pod& pod, std::string_view app) {
  container::CreateOptions out;
  out.id = container_id(pod.uuid, app);
  out.bundle = pod.pod_dir;
  out.detach_start = false;
  out.cgroup_default_parent = pod.cgroup_parent;
  return out;
}

// The app once more, but for its program and its user: rkt runs handlers as root.
Result<monitor::PostStop> post_stop(const Pod& pod, const App& app, const Host& host,
                                    const container::CreateOptions& create) {
  App handler = app;
  handler.args = app.post_stop;
  handler.uid = handler.gid = 0;
  handler.additional_gids.clear();
  handler.pre_start.clear();
  handler.init = false;
  ASSIGN_OR_RETURN(oci::Config config, app_config(pod, handler, host));
  monitor::PostStop out{std::move(config), create};
  out.create.block_signals = false;
  return out;
}

Result<monitor::AppSpec> app_spec(const Pod& pod, const App& app, const Host& host) {
  if (app.args.empty()) return Error(Errc::kInvalidArgument, "no command to run");
  monitor::AppSpec spec;
  spec.name = app.name;
  ASSIGN_OR_RETURN(spec.config, app_config(pod, app, host));
  spec.create = create_options(pod, app.name);
  ASSIGN_OR_RETURN(spec.create.root_override, root_mount(pod, app));
  spec.create.block_signals = app.init;
  if (!app.post_stop.empty()) {
    ASSIGN_OR_RETURN(spec.post_stop, post_stop(pod, app, host, spec.create));
  }
  spec.terminal = app.terminal;
  spec.stdin_open = app.stdin_open;
  spec.log_file = "logs/" + app.name + ".log";
  spec.log_max_bytes = pod.log_max_bytes;
  spec.stop_signal = app.stop_signal;
  return spec;
}

// An empty read-only root with nothing but its program, no capability, no /proc.
monitor::AppSpec sandbox_spec(const Pod& pod) {
  monitor::AppSpec spec;
  spec.name = kSandboxName;
  oci::Config& config = spec.config;
  config.oci_version = kOciVersion;
  oci::Process& process = config.process.emplace();
  process.args = {kSandboxInit, "pause"};
  process.cwd = "/";
  process.user.umask = 0022;
  process.capabilities.emplace();
  process.no_new_privileges = true;
  config.root = oci::Root{pod.sandbox_rootfs, true};
  config.mounts = {{kSandboxInit, "bind", pod.init_path, {"bind", "rprivate", "ro", "nosuid", "nodev"}, {}, {}}};
  config.annotations = pod.annotations;
  oci::Linux& linux = config.linux.emplace();
  own_namespaces(pod, config);
  linux.uid_mappings = pod.id_maps.uids;
  linux.gid_mappings = pod.id_maps.gids;
  linux.cgroups_path = cgroup_of(pod, kSandboxName);
  linux.resources.emplace().devices.push_back({false, "", {}, {}, "rwm"});
  linux.seccomp = seccomp::default_profile({});
  spec.create = create_options(pod, kSandboxName);
  spec.create.block_signals = true;
  if (!pod.id_maps.empty()) {
    container::MountRoot& root = spec.create.root_override.emplace();
    root.path = pod.sandbox_rootfs;
    root.by_parent = true;
  }
  return spec;
}

class Native final : public Flavor {
 public:
  std::string_view name() const override { return "native"; }

  Result<Launch> build(const Pod& pod, const Host& host) const override {
    if (pod.apps.empty()) return Error(Errc::kInvalidArgument, "a pod needs at least one app");
    if (pod.single && pod.apps.size() != 1) return Error(Errc::kInternal, "a single pod has exactly one app");
    Launch out;
    out.cgroup_path = pod.cgroup_parent + "/" + pod.uuid;
    if (!pod.single) out.sandbox = sandbox_spec(pod);
    for (const App& app : pod.apps) {
      auto spec = app_spec(pod, app, host);
      if (!spec.ok()) return std::move(spec).error().with("app " + quoted(app.name));
      out.apps.push_back(std::move(spec).value());
    }
    return out;
  }
};

}  // namespace

const Flavor& native() {
  static const Native flavor;
  return flavor;
}

std::string container_id(std::string_view uuid, std::string_view app) {
  return std::string(uuid).append("_").append(app);
}

}  // namespace cooper::stage1
