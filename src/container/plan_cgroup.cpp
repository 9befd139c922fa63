// The control group of a start: where it is, whose, and with which limits.
#include <vector>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "container/plan_parts.h"
#include "container/validate_rules.h"
#include "spec/oci_runtime/id_maps.h"
#include "spec/oci_runtime/versions.h"

namespace cooper::container {
namespace {

std::string cgroup_path(const oci::Config& config, const PlanOptions& options) {
  const std::string& path = config.linux->cgroups_path;
  if (path.empty()) return options.cgroup_default_parent + "/" + options.id;
  // A relative path is below the place this runtime chooses.
  return rules::clean_path(path[0] == '/' ? path : options.cgroup_default_parent + "/" + path);
}

// As the runtime specification has it: a cgroup that is the root of a namespace of its own, and mounted writable, is
// the user's. None when that is who has it already.
std::optional<uid_t> cgroup_owner(const oci::Config& config, const PlanOptions& options) {
  const oci::Namespace* cgroup = rules::find_namespace(config, "cgroup");
  const oci::Namespace* user = rules::find_namespace(config, "user");
  if (!options.cgroup_v2_only || cgroup == nullptr || !cgroup->path.empty()) return {};
  if (user != nullptr && !user->path.empty()) return {};
  bool writable = false;
  for (const oci::Mount& mount : config.mounts) {
    if ((mount.type != "cgroup" && mount.type != "cgroup2") || rules::clean_path(mount.destination) != "/sys/fs/cgroup")
      continue;
    writable = true;
    for (const std::string& option : mount.options) {
      if (option == "ro" || option == "rro") writable = false;
      if (option == "rw") writable = true;
    }
  }
  if (!writable) return {};
  const uid_t uid = config.process->user.uid;
  if (user == nullptr) return uid == 0 ? std::optional<uid_t>() : uid;
  return oci::host_id(config.linux->uid_mappings, uid);
}

oci::Resources resources(const oci::Config& config, const PlanOptions& options) {
  oci::Resources out = config.linux->resources.value_or(oci::Resources{});
  if (zero_is_no_pids_limit(config)) out.pids_limit = -1;
  if (options.extras && options.extras->exact_device_rules) return out;
  complete_device_rules(out.devices);
  return out;
}

// Nothing is lost in silence: a limit is refused, or named when it is left out by will.
Status without_cgroup(Plan& plan, const oci::Config& config, const PlanOptions& options) {
  const std::string limits = join(cgroup::limited_controllers(resources(config, options)), ", ");
  if (options.ignore_limits) {
    if (!limits.empty()) plan.warnings.push_back("limits of " + limits + " are ignored: " + options.no_cgroup);
    return {};
  }
  if (!limits.empty()) {
    return rules::fail("/linux/resources", "limits of " + limits + " cannot be set: " + options.no_cgroup,
                       Errc::kUnsupported)
        .with_hint("leave the limits out, or give --cgroup-manager disabled, which ignores them");
  }
  plan.warnings.push_back("the container gets no control group: " + options.no_cgroup +
                          "; its device rules are not enforced, and pause, update and events have nothing to act on");
  return {};
}

}  // namespace

bool zero_is_no_pids_limit(const oci::Config& config) {
  return config.linux->resources && config.linux->resources->pids_limit == 0 &&
         !oci::holds(oci::Rule::kPidsLimitZeroIsALimit, config.oci_version);
}

void complete_device_rules(std::vector<oci::DeviceRule>& rules) {
  const auto denies_all = [](const oci::DeviceRule& rule) {
    return !rule.allow && (rule.type.empty() || rule.type == "a") && rule.major.value_or(-1) == -1 &&
           rule.minor.value_or(-1) == -1 && (rule.access.empty() || rule.access.size() == 3);
  };
  if (rules.empty() || !denies_all(rules.front())) rules.insert(rules.begin(), {false, "a", {}, {}, "rwm"});
  for (oci::DeviceRule& rule : cgroup::default_device_rules()) rules.push_back(std::move(rule));
}

Status plan_cgroup(Plan& plan, const oci::Config& config, const PlanOptions& options) {
  if (!options.no_cgroup.empty()) return without_cgroup(plan, config, options);
  CgroupCreate create{{}, resources(config, options), cgroup_owner(config, options)};
  if (!options.systemd_cgroup) {
    create.path = cgroup_path(config, options);
    plan.steps.push_back({Actor::kParent, std::move(create)});
    return {};
  }
  if (options.rootless && !options.cgroup_v2_only) {
    return Error(Errc::kUnsupported,
                 "the systemd cgroup manager serves users other than root on cgroup v2 only, this host uses v1")
        .with_hint("leave out --systemd-cgroup");
  }
  const auto tree = options.cgroup_v2_only ? cgroup::Tree::kV2 : cgroup::Tree::kV1;
  StartUnit start;
  start.user_manager = options.rootless;
  ASSIGN_OR_RETURN(start.name, cgroup::parse_unit_name(config.linux->cgroups_path, options.id,
                                                       options.rootless ? dbus::Bus::kUser : dbus::Bus::kSystem));
  cgroup::round_quota(create.resources);
  start.properties = cgroup::unit_properties(start.name, options.id, tree);
  ASSIGN_OR_RETURN(const auto limits, cgroup::resource_properties(create.resources, tree, cgroup::Occasion::kCreate));
  start.properties.insert(start.properties.end(), limits.begin(), limits.end());
  // Last: systemd takes the last word on a property, and these are the user's own.
  ASSIGN_OR_RETURN(const auto asked, cgroup::annotation_properties(config.annotations));
  start.properties.insert(start.properties.end(), asked.begin(), asked.end());
  create.path = start.name.path;
  plan.steps.push_back({Actor::kParent, std::move(start)});
  plan.steps.push_back({Actor::kParent, std::move(create)});
  return {};
}

}  // namespace cooper::container
