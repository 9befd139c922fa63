#include <algorithm>
#include <array>
#include <utility>

#include "container/plan.h"
#include "convert/convert.h"
#include "spec/libcontainer/validate.h"

namespace cooper::convert {
namespace {

struct Place {
  std::string_view oci, libcontainer;  // pointers
};
// Longer ones before those that they begin with. Of several counterparts the first one is named.
constexpr std::array<Place, 32> kPlaces{{{"/root/path", "/rootfs"},
                                         {"/process/rlimits", "/rlimits"},
                                         {"/process/capabilities/bounding", "/capabilities"},
                                         {"/process/capabilities", "/capabilities"},
                                         {"/process/oomScoreAdj", "/oom_score_adj"},
                                         {"/process/user/additionalGids", "/additional_groups"},
                                         {"/process/apparmorProfile", "/apparmor_profile"},
                                         {"/process/selinuxLabel", "/process_label"},
                                         {"/linux/namespaces", "/namespaces"},
                                         {"/linux/uidMappings", "/uid_mappings"},
                                         {"/linux/gidMappings", "/gid_mappings"},
                                         {"/linux/devices", "/devices"},
                                         {"/linux/maskedPaths", "/mask_paths"},
                                         {"/linux/readonlyPaths", "/readonly_paths"},
                                         {"/linux/sysctl", "/sysctl"},
                                         {"/linux/mountLabel", "/mount_label"},
                                         {"/linux/rootfsPropagation", "/rootPropagation"},
                                         {"/linux/seccomp", "/seccomp"},
                                         {"/linux/cgroupsPath", "/cgroups/name"},
                                         {"/linux/cgroupsPath", "/cgroups/parent"},
                                         {"/linux/cgroupsPath", "/cgroups/path"},
                                         {"/linux/resources/devices", "/cgroups/devices"},
                                         {"/linux/resources/devices", "/cgroups/allowed_devices"},
                                         {"/linux/resources/devices", "/cgroups/denied_devices"},
                                         {"/linux/resources/memory/swappiness", "/cgroups/memory_swappiness"},
                                         {"/linux/resources/cpu/shares", "/cgroups/cpu_shares"},
                                         {"/linux/resources/blockIO/weightDevice", "/cgroups/blkio_weight_device"},
                                         {"/linux/resources/blockIO/leafWeight", "/cgroups/blkio_leaf_weight"},
                                         {"/linux/resources/blockIO/weight", "/cgroups/blkio_weight"},
                                         {"/linux/resources/network/priorities", "/cgroups/net_prio_ifpriomap"},
                                         {"/linux/resources", "/cgroups"},
                                         {"/hooks", "/Hooks"}}};

using Column = std::string_view Place::*;

bool is_at_or_below(std::string_view pointer, std::string_view place) {
  return pointer.starts_with(place) && (pointer.size() == place.size() || pointer[place.size()] == '/');
}

// A pointer into what was made -> one into the source. A member without a counterpart has the same name there.
std::string in_source(std::string_view pointer, Column made, Column source) {
  constexpr std::string_view kMounts = "/mounts/", kDevice = "/device", kType = "/type";
  if (const std::string_view last = made == &Place::oci ? kType : kDevice;
      pointer.starts_with(kMounts) && pointer.ends_with(last))
    return std::string(pointer.substr(0, pointer.size() - last.size())) +
           std::string(made == &Place::oci ? kDevice : kType);
  const auto* const place =
      std::ranges::find_if(kPlaces, [&](const Place& entry) { return is_at_or_below(pointer, entry.*made); });
  if (place == kPlaces.end()) return std::string(pointer);
  return std::string((*place).*source) + std::string(pointer.substr(((*place).*made).size()));
}

// "container.json: /rootfs: must not be empty" -> "config.json: /root/path: must not be empty"
Status of_source(Status made, bool made_is_oci) {
  if (made.ok()) return made;
  const Error& error = made.error();
  const std::string prefix = made_is_oci ? "config.json: " : "container.json: ";
  const std::string& message = error.message();
  const std::size_t end = message.find(": ", prefix.size());
  if (!message.starts_with(prefix + "/") || end == std::string::npos) return made;
  const std::string pointer = message.substr(prefix.size(), end - prefix.size());
  const Column from = made_is_oci ? &Place::oci : &Place::libcontainer;
  const Column to = made_is_oci ? &Place::libcontainer : &Place::oci;
  Error out(error.code(),
            (made_is_oci ? "container.json: " : "config.json: ") + in_source(pointer, from, to) + message.substr(end));
  return error.hint().empty() ? std::move(out) : std::move(out).with_hint(error.hint());
}

container::PlanOptions any_host(const std::string& bundle) {
  container::PlanOptions out;
  out.id = "converted";
  out.bundle = bundle;
  out.apparmor_enabled = true;
  return out;
}

// What this build does not do, another runtime may.
Status only_invalid(Status checked) {
  return !checked.ok() && checked.error().code() == Errc::kUnsupported ? Status() : std::move(checked);
}

}  // namespace

Status check(const OciResult& made) {
  container::PlanOptions options = any_host("/");
  options.extras = made.extras;
  return of_source(only_invalid(container::validate(made.config, options)), true);
}

Status check(const LibcontainerResult& made) {
  return of_source(libcontainer::validate(made.config), false);
}

Status check_source(const oci::Config& source, const std::string& bundle) {
  oci::Config whole = source;
  // A bundle may get its process later, and container.json has none.
  if (!whole.process) {
    whole.process.emplace().args = {"true"};
    whole.process->cwd = "/";
  }
  if (!whole.linux) whole.linux.emplace();
  return only_invalid(container::validate(whole, any_host(bundle)));
}

}  // namespace cooper::convert
