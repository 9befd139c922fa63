#include "pod/aci_app.h"

#include <algorithm>
#include <limits>

#include "base/strings.h"
#include "spec/appc/isolators.h"
#include "stage1/seccomp_set.h"

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

bool is_asked_for(const AppRequest& request, std::string_view option) {
  return std::ranges::any_of(request.security_opts, [&](const std::string& word) {
    return word.starts_with(option) &&
           (word.size() == option.size() || word[option.size()] == '=' || word[option.size()] == ':');
  });
}

// A filter that the user has chosen wins.
Status apply_seccomp(const appc::SeccompSet& set, const AppRequest& request, stage1::App& app) {
  if (is_asked_for(request, "seccomp") || is_asked_for(request, "seccomp-set") || request.privileged) return {};
  std::string word = set.retain ? "retain" : "remove";
  if (!set.errno_name.empty()) word += ",errno=" + set.errno_name;
  for (const std::string& name : set.names) {
    if (name.find(',') != std::string::npos)
      return Error(Errc::kInvalidArgument, quoted(name) + " is not the name of a system call");
    word += "," + name;
  }
  if (auto parsed = stage1::parse_seccomp_set(word); !parsed.ok())
    return std::move(parsed).error().with(std::string("os/linux/seccomp-") +
                                          (set.retain ? "retain-set" : "remove-set"));
  app.security_opts.push_back("seccomp-set=" + word);
  return {};
}

// Without them the app would have more rights than its image says.
Status refuse_confinement(const std::vector<std::string>& isolators) {
  for (const std::string& name : isolators) {
    if (name != "os/linux/apparmor-profile" && name != "os/linux/selinux-context") continue;
    return Error(Errc::kUnsupported, "the image asks for the isolator " + quoted(name) + ", which is not supported")
        .with_hint("leave it out of the image, and name a profile with --security-opt apparmor=PROFILE");
  }
  return {};
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
  if (isolation.no_new_privileges == true && !is_asked_for(request, "no-new-privileges"))
    app.security_opts.emplace_back("no-new-privileges");
  if (isolation.seccomp) RETURN_IF_ERROR(apply_seccomp(*isolation.seccomp, request, app));
  if (isolation.oom_score_adj) app.oom_score_adj = isolation.oom_score_adj;
  apply_read_only(section, app);
  std::vector<std::string> without_effect = isolation.others;
  RETURN_IF_ERROR(refuse_confinement(isolation.others));
  for (const appc::EventHandler& handler : section.event_handlers) {
    const bool absolute = !handler.exec.empty() && handler.exec.front().starts_with('/');
    if (handler.name == "post-stop") {
      app.post_stop = handler.exec;
    } else if (absolute) {
      app.pre_start = handler.exec;
    } else {
      without_effect.push_back("event handler " + handler.name);
    }
  }
  return without_effect;
}

}  // namespace cooper::pod
