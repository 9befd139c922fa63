#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "base/strings.h"
#include "container/plan_parts.h"
#include "container/validate_rules.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/tables.h"

namespace cooper::container {
namespace {

// Unknown or ungrantable capabilities warn, as runc, crun and the runtime spec say.
std::uint64_t mask_of(const std::vector<std::string>& names, int last_cap, std::vector<std::string>& warnings) {
  std::uint64_t mask = 0;
  for (const std::string& name : names) {
    const auto number = name.starts_with("CAP_") ? sys::capability_from_name(name) : std::nullopt;
    if (!number || *number > last_cap) {
      std::string text =
          "capability " + quoted(name) + (number ? " is not known to this kernel" : " is unknown") + " and is ignored";
      if (std::find(warnings.begin(), warnings.end(), text) == warnings.end()) warnings.push_back(std::move(text));
    } else {
      mask |= std::uint64_t{1} << static_cast<unsigned>(*number);
    }
  }
  return mask;
}

void warn_of_each(std::uint64_t mask, std::string_view why, std::vector<std::string>& warnings) {
  const auto names = sys::capability_names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if ((mask >> i & 1) != 0) warnings.push_back("capability " + quoted(names[i]) + " " + std::string(why));
  }
}

// What the kernel would refuse is left out, which the specification wants to be told. Not of ambient ones: everybody's
// `spec` writes some that are not inheritable.
void warn_of_refused(const SetCredentials& wanted, std::uint64_t effective, std::uint64_t inheritable,
                     std::uint64_t own, std::vector<std::string>& warnings) {
  warn_of_each((wanted.permitted | inheritable) & ~own, "cannot be granted by who lacks it, and is ignored", warnings);
  warn_of_each(effective & ~wanted.permitted, "is effective but not permitted, and is ignored", warnings);
  warn_of_each(inheritable & own & ~wanted.bounding, "is inheritable but not in the bounding set, and is ignored",
               warnings);
}

bool annotated(const oci::Config& config, const char* key) {
  const auto found = config.annotations.find(key);
  return found != config.annotations.end() && (found->second == "1" || found->second == "true");
}

// A range of groups, which newgidmap(1) writes without giving up setgroups.
bool maps_groups(const oci::Config& config) {
  std::uint64_t count = 0;
  if (config.linux) {
    for (const oci::IdMapping& m : config.linux->gid_mappings) count += m.size;
  }
  return count > 1;
}

}  // namespace

SetRlimits plan_rlimits(const oci::Process& process) {
  SetRlimits out;
  out.limits.reserve(process.rlimits.size());
  for (const oci::Rlimit& limit : process.rlimits) {
    out.limits.emplace_back(sys::rlimit_from_name(limit.type).value_or(-1), std::pair(limit.soft, limit.hard));
  }
  return out;
}

SetCredentials plan_credentials(const oci::Process& process, const oci::Config& config, const PlanOptions& options,
                                std::vector<std::string>& warnings) {
  SetCredentials out;
  out.uid = process.user.uid;
  out.gid = process.user.gid;
  out.groups.assign(process.user.additional_gids.begin(), process.user.additional_gids.end());
  out.umask = process.user.umask.value_or(0022);
  // A user's own group alone is only accepted as mapping with setgroups switched off.
  const bool callers_namespace = rules::find_namespace(config, "user") == nullptr;
  const bool may_set = !options.rootless || (callers_namespace ? options.sets_groups : maps_groups(config));
  out.set_groups = may_set && !annotated(config, "run.oci.keep_original_groups");
  if (options.extras && options.extras->inner_user) out.set_groups = false;
  // The one that is joined may forbid it; who joined it has none any more.
  const oci::Namespace* user = rules::find_namespace(config, "user");
  if (user != nullptr && !user->path.empty() && out.groups.empty()) out.set_groups = false;
  if (!out.set_groups && !out.groups.empty())
    warnings.emplace_back("supplementary groups cannot be set and are ignored");
  out.no_new_privileges = process.no_new_privileges;
  // A process without the member gets none.
  const oci::Capabilities caps = process.capabilities.value_or(oci::Capabilities{});
  out.has_capabilities = true;
  out.bounding = mask_of(caps.bounding, options.kernel_last_cap, warnings);
  out.permitted = mask_of(caps.permitted, options.kernel_last_cap, warnings);
  // The kernel refuses an inheritable capability that is not in the bounding set, an effective one that is not
  // permitted, and an ambient one that is not permitted and inheritable.
  const std::uint64_t inheritable = mask_of(caps.inheritable, options.kernel_last_cap, warnings);
  out.inheritable = inheritable & out.bounding;
  const std::uint64_t effective = mask_of(caps.effective, options.kernel_last_cap, warnings);
  out.effective = effective & out.permitted;
  out.ambient = mask_of(caps.ambient, options.kernel_last_cap, warnings) & out.permitted & out.inheritable;
  warn_of_refused(out, effective, inheritable, user != nullptr ? ~std::uint64_t{0} : options.own_capabilities,
                  warnings);
  return out;
}

Status check_ids_are_mapped(const SetCredentials& wanted, const oci::Linux& linux) {
  const auto check = [](const std::vector<oci::IdMapping>& mappings, std::uint32_t id, const std::string& pointer,
                        const char* list) -> Status {
    if (oci::host_id(mappings, id)) return {};
    return rules::fail(pointer, std::to_string(id) + " is not among the ids that /linux/" + list + " maps");
  };
  RETURN_IF_ERROR(check(linux.uid_mappings, wanted.uid, "/process/user/uid", "uidMappings"));
  RETURN_IF_ERROR(check(linux.gid_mappings, wanted.gid, "/process/user/gid", "gidMappings"));
  if (!wanted.set_groups) return {};
  for (std::size_t i = 0; i < wanted.groups.size(); ++i)
    RETURN_IF_ERROR(
        check(linux.gid_mappings, wanted.groups[i], rules::at("/process/user/additionalGids", i, ""), "gidMappings"));
  return {};
}

SetLabels plan_labels(const oci::Process& process, const PlanOptions& options, std::vector<std::string>& warnings) {
  SetLabels out;
  if (process.apparmor_profile != "unconfined") out.apparmor = process.apparmor_profile;
  if (options.selinux_enabled) {
    out.selinux = process.selinux_label;
  } else if (!process.selinux_label.empty()) {
    warnings.emplace_back("SELinux label " + quoted(process.selinux_label) +
                          " is ignored: SELinux is not enabled on this host");
  }
  return out;
}

Exec plan_exec(const oci::Process& process, const PlanOptions& options) {
  Exec out;
  out.args = process.args;
  out.cwd = rules::clean_path(process.cwd);
  out.env.reserve(process.env.size() + options.extra_env.size());
  // The last of several values of one name wins, in the place of the first. Names are those of the caller's strings.
  std::unordered_map<std::string_view, std::size_t> places;
  const auto add = [&](const std::string& entry) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('=') + 1);
    const auto [place, added] = places.try_emplace(name, out.env.size());
    if (added) {
      out.env.push_back(entry);
    } else {
      out.env[place->second] = entry;
    }
  };
  for (const std::string& entry : process.env) add(entry);
  for (const std::string& entry : options.extra_env) add(entry);
  return out;
}

SetIoPriority plan_io_priority(const oci::IoPriority& io) {
  // ioprio_set(2): 1 real time, 2 best effort, 3 idle.
  const int io_class = io.io_class == "IOPRIO_CLASS_RT" ? 1 : io.io_class == "IOPRIO_CLASS_BE" ? 2 : 3;
  return {io_class, io.priority};
}

void add_last_mile(Plan& plan, const oci::Process& process, const oci::Config& config, const PlanOptions& options) {
  const auto add = [&](StepBody body) { plan.steps.push_back({Actor::kChild, std::move(body)}); };
  // Limits come after everything that opens files, forks or allocates: a small one must hit the payload, not its
  // set-up.
  if (!process.rlimits.empty()) add(plan_rlimits(process));
  SetLabels labels = plan_labels(process, options, plan.warnings);
  SetCredentials credentials = plan_credentials(process, config, options, plan.warnings);
  constexpr std::uint64_t kSysAdmin = std::uint64_t{1} << 21;
  // The kernel takes a filter from a thread with no_new_privs or CAP_SYS_ADMIN only. Whenever the final credentials
  // allow it, the filter is loaded last, so that it need not permit the calls that set them.
  const bool last = credentials.no_new_privileges || (credentials.effective & kSysAdmin) != 0;
  LoadSeccomp filter;
  if (config.linux) filter.profile = config.linux->seccomp;
  if (options.extras) filter.filter = options.extras->seccomp_filter;
  const bool filtered = filter.profile || !filter.filter.empty();
  // The label applies at the exec; writing it needs /proc and may need privileges the credentials drop.
  if (!labels.apparmor.empty() || !labels.selinux.empty()) add(std::move(labels));
  if (filtered && !last) add(filter);
  add(std::move(credentials));
  if (filtered && last) add(filter);
  Exec exec = plan_exec(process, options);
  exec.init = options.extras && options.extras->init;
  if (exec.init) exec.held = options.extras->held_fds;
  add(std::move(exec));
}

}  // namespace cooper::container
