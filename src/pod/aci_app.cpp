#include "pod/aci_app.h"

#include <algorithm>
#include <limits>

#include "spec/appc/isolators.h"

namespace cooper::pod {
namespace {

constexpr double kMilli = 1000;

void apply_limits(const appc::Isolation& isolation, stage1::App& app) {
  if (isolation.memory_limit_bytes && !app.memory_bytes)
    app.memory_bytes = static_cast<std::int64_t>(
        std::min<std::uint64_t>(*isolation.memory_limit_bytes, std::numeric_limits<std::int64_t>::max()));
  if (isolation.cpu_limit_milli && !app.cpus) app.cpus = static_cast<double>(*isolation.cpu_limit_milli) / kMilli;
  if (isolation.cpu_shares && !app.cpu_shares) app.cpu_shares = static_cast<std::int64_t>(*isolation.cpu_shares);
}

void apply_capabilities(const appc::CapabilitySet& set, const AppRequest& request, stage1::App& app) {
  if (!request.cap_add.empty() || !request.cap_drop.empty() || request.privileged) return;
  (set.retain ? app.cap_add : app.cap_drop) = set.names;
  if (set.retain) app.cap_drop = {"ALL"};
}

void apply_read_only(const appc::App& section, stage1::App& app) {
  for (const appc::MountPoint& point : section.mount_points) {
    if (!point.read_only) continue;
    for (stage1::Volume& volume : app.volumes) {
      const bool here = volume.destination == point.path || volume.destination + "/" == point.path;
      if (!here || std::ranges::find(volume.options, "ro") != volume.options.end()) continue;
      std::erase(volume.options, "rw");
      volume.options.emplace_back("ro");
    }
  }
}

}  // namespace

Result<std::vector<std::string>> apply_aci_app(const appc::App& section, const AppRequest& request, stage1::App& app) {
  ASSIGN_OR_RETURN(const appc::Isolation isolation, appc::read_isolators(section.isolators));
  for (const std::uint32_t gid : section.supplementary_gids) {
    const bool known = std::ranges::find(app.additional_gids, gid) != app.additional_gids.end();
    if (!known && request.user.empty()) app.additional_gids.push_back(gid);
  }
  apply_limits(isolation, app);
  if (isolation.capabilities) apply_capabilities(*isolation.capabilities, request, app);
  if (isolation.no_new_privileges == true && request.security_opts.empty())
    app.security_opts.emplace_back("no-new-privileges");
  apply_read_only(section, app);
  std::vector<std::string> without_effect = isolation.others;
  if (isolation.seccomp) without_effect.emplace_back("os/linux/seccomp");
  if (isolation.oom_score_adj) without_effect.emplace_back("os/linux/oom-score-adj");
  for (const appc::EventHandler& handler : section.event_handlers) without_effect.push_back(handler.name);
  return without_effect;
}

}  // namespace cooper::pod
