#include "container/lsm.h"

#include <linux/magic.h>
#include <sys/statfs.h>

#include <algorithm>

#include "io/file.h"

namespace cooper::container {

bool apparmor_enabled() {
  const auto text = io::read_file("/sys/module/apparmor/parameters/enabled", 16);
  return text.ok() && text->starts_with('Y');
}

bool selinux_enabled() {
  struct statfs info = {};
  // Mounted only once a policy is loaded; the magic tells it from a directory of that name.
  return ::statfs("/sys/fs/selinux", &info) == 0 && static_cast<unsigned long>(info.f_type) == SELINUX_MAGIC;
}

void probe_modules(const oci::Config& config, PlanOptions& options) {
  const bool mounts = options.extras && std::ranges::any_of(options.extras->mounts, [](const MountExtras& extras) {
                        return !extras.relabel.empty();
                      });
  const bool label = config.linux && !config.linux->mount_label.empty();
  const bool process = config.process && !config.process->selinux_label.empty();
  options.apparmor_enabled = config.process && !config.process->apparmor_profile.empty() && apparmor_enabled();
  options.selinux_enabled = (mounts || label || process) && selinux_enabled();
}

}  // namespace cooper::container
