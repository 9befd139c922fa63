// Joining, leaving and removing.
#include <algorithm>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/files.h"
#include "sys/file.h"

namespace cooper::cgroup {
namespace {

// `procs` moves a thread group and makes the kernel hold all of them still. `tasks` with "0" moves the calling thread
// only, for which it need not (kernel 5.15; older ones merely wait). v2 has no such file that may be used between
// domains.
const char* self_file(const Hierarchy& hierarchy) {
  return hierarchy.v2 ? "/cgroup.procs" : "/tasks";
}

Error join_error(Error error, const Hierarchy& hierarchy, const std::string& directory) {
  std::string what = "join cgroup " + quoted(directory);
  if (hierarchy.v2 && error.errno_value() == EBUSY) what += ", which has handed controllers to groups below it";
  // Of type "domain invalid" below a threaded group, or "threaded" itself.
  if (hierarchy.v2 && error.errno_value() == EOPNOTSUPP)
    what += ", which is part of a threaded group and takes threads of that group's processes only";
  // A group of v1 has no real-time for who joins it until it is given some.
  const bool cpu = !hierarchy.v2 && std::ranges::count(hierarchy.controllers, "cpu") != 0;
  const bool real_time = cpu && error.errno_value() == EINVAL;
  error = std::move(error).with(std::move(what));
  if (real_time)
    return std::move(error).with_hint("a process with a real-time policy needs linux.resources.cpu.realtimeRuntime");
  return error;
}

// Removes the group and its children, depth first. Returns true when nothing is left.
Result<bool> remove_group(const std::string& directory, Base base) {
  Status removed = base.rmdir(directory);
  if (removed.ok() || removed.error().errno_value() == ENOENT) return true;
  if (removed.error().errno_value() != EBUSY && removed.error().errno_value() != ENOTEMPTY) {
    // A read-only mount answers EROFS before it looks.
    if (is_permission(removed.error().errno_value()) && !sys::fstatat(sys::kCwd, directory).ok()) return true;
    return std::move(removed).error();
  }
  ASSIGN_OR_RETURN(const auto children, child_groups(directory));
  if (children.empty()) return false;  // tasks, maybe dying ones
  for (const std::string& child : children) {
    ASSIGN_OR_RETURN(const bool gone, remove_group(directory + "/" + child, base));
    if (!gone) return false;
  }
  removed = base.rmdir(directory);
  if (removed.ok() || removed.error().errno_value() == ENOENT) return true;
  if (removed.error().errno_value() == EBUSY || removed.error().errno_value() == ENOTEMPTY) return false;
  return std::move(removed).error();
}

}  // namespace

Status Group::prepare_attach_self(Born born) {
  for (Dir& dir : dirs_) {
    if (dir.join || (born == Born::kInV2 && dir.hierarchy.v2)) continue;
    auto file = Base(base_).openat(dir.directory + self_file(dir.hierarchy), O_WRONLY);
    if (!file.ok() && file.error().errno_value() == ENOENT && !dir.created) continue;
    if (!file.ok()) return std::move(file).error().with("join cgroup");
    dir.join = std::move(*file);
  }
  return {};
}

// A group opened, not created, may lack hierarchies (mounted later, or refused when it started), which then hold no
// limits of it. It must have one.
Error Group::not_there() const {
  return Error(Errc::kNotFound, "cgroup " + quoted(path_) + " does not exist in any hierarchy", ENOENT);
}

Status Group::attach_self(Born born) {
  RETURN_IF_ERROR(prepare_attach_self(born));
  std::size_t joined = 0;
  // Last: in a frozen group the caller stops there, and is to be found in all others.
  const Dir* freezer = find("freezer");
  const auto join = [&](Dir& dir) -> Status {
    auto written = sys::write(dir.join, "0");
    dir.join.reset();
    if (!written.ok()) return join_error(std::move(written).error(), dir.hierarchy, dir.directory);
    ++joined;
    return {};
  };
  for (Dir& dir : dirs_) {
    if (born == Born::kInV2 && dir.hierarchy.v2) ++joined;
    if (dir.join && &dir != freezer) RETURN_IF_ERROR(join(dir));
  }
  for (Dir& dir : dirs_) {
    if (dir.join) RETURN_IF_ERROR(join(dir));
  }
  // Who has joined is on its way into a root of its own, and may wait there for its start: nothing it holds leads to
  // the host's groups.
  base_.reset();
  for (Dir& dir : dirs_) dir.fd.reset();
  if (joined == 0 && !dirs_.empty()) return not_there();
  return {};
}

Status Group::attach(pid_t pid) {
  const std::string text = std::to_string(pid);
  std::size_t joined = 0;
  for (const Dir& dir : dirs_) {
    Status written = write_control(dir.directory + "/cgroup.procs", text, Base(base_));
    if (!written.ok() && written.error().errno_value() == ENOENT && !dir.created) continue;
    if (!written.ok()) return join_error(std::move(written).error(), dir.hierarchy, dir.directory);
    ++joined;
  }
  if (joined == 0 && !dirs_.empty()) return not_there();
  return {};
}

Status Group::remove(int timeout_ms) {
  std::vector<const Dir*> left;
  left.reserve(dirs_.size());
  for (const Dir& dir : dirs_) left.push_back(&dir);
  const Deadline deadline(timeout_ms);
  Backoff backoff;
  while (true) {
    std::vector<const Dir*> busy;
    for (const Dir* dir : left) {
      ASSIGN_OR_RETURN(const bool gone, remove_group(dir->directory, Base(base_)));
      if (!gone) busy.push_back(dir);
    }
    if (busy.empty()) return {};
    if (deadline.passed()) {
      ASSIGN_OR_RETURN(const auto pids, read_processes_recursive(busy.front()->directory));
      return Error(
          Errc::kBusy,
          "cgroup " + quoted(busy.front()->directory) + " still has " + std::to_string(pids.size()) + " process(es)",
          EBUSY);
    }
    left = std::move(busy);
    backoff.sleep();
  }
}

void remove_empty_parents(const Layout& layout, const std::string& path, const std::string& stop_at) {
  const auto normal = normalize_path(path);
  if (!normal.ok()) return;
  const auto stop = normalize_path(stop_at);
  const std::string last = stop.ok() ? *stop : "";
  const UniqueFd held = Base::open();
  const Base base(held);
  for (const Hierarchy& hierarchy : layout.hierarchies) {
    std::string at = *normal;
    while (!at.empty() && at != last && (last.empty() || at.starts_with(last + "/"))) {
      const Status removed = base.rmdir(hierarchy.directory(at));
      if (!removed.ok() && removed.error().errno_value() != ENOENT) break;
      at.resize(at.rfind('/'));
    }
  }
}

}  // namespace cooper::cgroup
