// Group::delegate(): who may make groups below.
#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/files.h"
#include "sys/file.h"

namespace cooper::cgroup {

Status Group::delegate(uid_t owner) {
  const Dir* dir = pure_v2() ? v2_dir() : nullptr;
  if (dir == nullptr) return {};
  constexpr auto kSameGroup = static_cast<gid_t>(-1);
  // Kernel 4.15; the three are what every kernel with v2 lists.
  const std::string names =
      read_control("/sys/kernel/cgroup/delegate").value_or("cgroup.procs\ncgroup.subtree_control\ncgroup.threads");
  Status done = sys::fchownat(dir->fd, "", owner, kSameGroup, AT_EMPTY_PATH);
  for (const std::string_view line : split(names, '\n')) {
    const std::string name(trim(line));
    if (!done.ok()) break;
    if (name.empty() || name.find('/') != std::string::npos) continue;
    done = sys::fchownat(dir->fd, name, owner, kSameGroup);
    // Of a controller that the group does not have.
    if (!done.ok() && done.error().errno_value() == ENOENT) done = {};
  }
  if (done.ok()) return {};
  if (policy_ == Policy::kBestEffort && is_permission(done.error().errno_value())) return {};
  return std::move(done).error().with("give cgroup " + quoted(dir->directory) + " to user " + std::to_string(owner));
}

}  // namespace cooper::cgroup
