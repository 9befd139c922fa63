#include <algorithm>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/cpuset.h"
#include "cgroup/internal/files.h"
#include "cgroup/internal/subtree.h"
#include "log/log.h"
#include "sys/file.h"

namespace cooper::cgroup {
namespace {

// Somebody may remove an empty parent between its creation and ours of the child.
constexpr int kParentRaces = 16;

bool has_controller(const Hierarchy& hierarchy, std::string_view controller) {
  return std::find(hierarchy.controllers.begin(), hierarchy.controllers.end(), controller) !=
         hierarchy.controllers.end();
}

// "/a/b/c" -> "/a", "/a/b".
std::vector<std::string> ancestors(const std::string& path) {
  std::vector<std::string> out;
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
    out.push_back(path.substr(0, at));
  return out;
}

}  // namespace

const Group::Dir* Group::find(std::string_view controller) const {
  for (const Dir& dir : dirs_) {
    if (controller.empty() ? dir.hierarchy.v2 : has_controller(dir.hierarchy, controller)) return &dir;
  }
  return nullptr;
}

// Everything but the system calls.
Result<Group> Group::with_directories(const Layout& layout, const std::string& path) {
  ASSIGN_OR_RETURN(std::string normal, normalize_path(path));
  Group group(std::move(normal));
  group.mode_ = layout.mode;
  group.base_ = Base::open();
  for (const Hierarchy& hierarchy : layout.hierarchies) {
    Dir dir;
    dir.hierarchy = hierarchy;
    dir.directory = hierarchy.directory(group.path_);
    group.dirs_.push_back(std::move(dir));
  }
  return group;
}

Result<Group> Group::create(const Layout& layout, const std::string& path, Policy policy) {
  return make(layout, path, policy, Maker::kWe, 0);
}

Result<Group> Group::adopt(const Layout& layout, const std::string& path, Policy policy, pid_t holder) {
  return make(layout, path, policy, Maker::kSystemd, holder);
}

Result<Group> Group::make(const Layout& layout, const std::string& path, Policy policy, Maker maker, pid_t holder) {
  if (layout.hierarchies.empty() && policy == Policy::kRequired) {
    return Error(Errc::kUnsupported, "no cgroup hierarchy is mounted").with_hint("mount cgroup2 on /sys/fs/cgroup");
  }
  ASSIGN_OR_RETURN(Group group, with_directories(layout, path));
  group.policy_ = policy;
  group.maker_ = maker;
  group.holder_ = holder;
  std::vector<Dir> wanted;
  std::swap(wanted, group.dirs_);
  for (Dir& dir : wanted) {
    group.dirs_.push_back(std::move(dir));
    Status made = group.create_directory(group.dirs_.back());
    if (made.ok()) continue;
    if (policy == Policy::kBestEffort && is_permission(made.error().errno_value())) {
      log::debug("no cgroup: " + made.error().message());
      group.dirs_.pop_back();
      continue;
    }
    group.roll_back();
    return std::move(made).error();
  }
  return group;
}

Result<Group> Group::open(const Layout& layout, const std::string& path) {
  ASSIGN_OR_RETURN(Group group, with_directories(layout, path));
  for (Dir& dir : group.dirs_) {
    if (!dir.hierarchy.v2) continue;
    // Without it (a group that was never made there, or is gone) children are moved instead of born inside.
    auto fd = Base(group.base_).openat(dir.directory, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (fd.ok()) dir.fd = std::move(*fd);
  }
  return group;
}

Status Group::enter_subgroup(std::string_view controller, const std::string& relative) {
  const std::string below = "/" + relative;
  // normalize_path() refuses what would climb out.
  ASSIGN_OR_RETURN(const std::string normal, normalize_path(below));
  const bool all = controller.empty();
  if (!all && (pure_v2() || find(controller) == nullptr)) {
    return Error(Errc::kInvalidArgument, pure_v2() ? "cgroup v2 has no groups of single controllers"
                                                   : "no cgroup hierarchy has the controller " + quoted(controller));
  }
  bool entered = false;
  for (Dir& dir : dirs_) {
    if (!all && find(controller) != &dir) continue;
    if (!dir.entered.empty() && dir.entered != normal) {
      return Error(Errc::kInvalidArgument, "cgroup controllers of one hierarchy are given two groups: " +
                                               quoted(dir.entered) + " and " + quoted(normal));
    }
    if (dir.entered == normal) {
      entered = true;
      continue;
    }
    const std::string directory = dir.directory + normal;
    if (!sys::fstatat(sys::kCwd, directory).ok()) {
      if (all && !pure_v2()) continue;
      return Error(Errc::kNotFound, "cgroup " + quoted(directory) + " does not exist", ENOENT);
    }
    entered = true;
    dir.directory = directory;
    dir.entered = normal;
    if (!dir.hierarchy.v2) continue;
    ASSIGN_OR_RETURN(dir.fd, Base(base_).openat(dir.directory, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  }
  if (entered || dirs_.empty()) return {};
  return Error(Errc::kNotFound, "cgroup " + quoted(path_ + normal) + " does not exist in any hierarchy", ENOENT);
}

Status Group::create_directory(Dir& dir) {
  const Base base(base_);
  Status made = base.mkdir(dir.directory);
  for (int race = 0; !made.ok() && made.error().errno_value() == ENOENT && race < kParentRaces; ++race) {
    RETURN_IF_ERROR(make_missing_parents(dir));
    made = base.mkdir(dir.directory);
  }
  if (!made.ok() && made.error().errno_value() != EEXIST) return made;
  dir.created = made.ok();
  if (!dir.created) RETURN_IF_ERROR(check_existing(dir));
  const bool below_root = path_.find('/', 1) == std::string::npos;
  if (dir.hierarchy.v2) {
    if (pure_v2() && maker_ == Maker::kWe) RETURN_IF_ERROR(enable_controllers(dir.hierarchy, path_));
    ASSIGN_OR_RETURN(dir.fd, base.openat(dir.directory, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  } else if (has_controller(dir.hierarchy, "cpuset")) {
    RETURN_IF_ERROR(
        inherit_cpuset(dir.hierarchy.mount_point, dir.directory, dir.created ? Age::kNew : Age::kOld, base));
  }
  // A new group is born frozen below a frozen one; the root of a tree never is.
  if (!dir.created || !below_root) RETURN_IF_ERROR(check_not_frozen(dir));
  return {};
}

Status Group::make_missing_parents(Dir& dir) {
  const bool cpuset = has_controller(dir.hierarchy, "cpuset");
  for (const std::string& ancestor : ancestors(path_)) {
    const std::string parent = dir.hierarchy.directory(ancestor);
    if (parent.size() <= dir.hierarchy.mount_point.size()) continue;
    if (Status made = Base(base_).mkdir(parent); !made.ok()) {
      if (made.error().errno_value() == EEXIST) continue;
      return made;
    }
    dir.made_parents.push_back(parent);
    if (cpuset) RETURN_IF_ERROR(prepare_cpuset_parent(dir.hierarchy.mount_point, parent, Base(base_)));
  }
  return {};
}

Status Group::check_existing(const Dir& dir) const {
  ASSIGN_OR_RETURN(auto pids, read_processes_recursive(dir.directory));
  std::erase(pids, holder_);
  if (pids.empty()) return {};
  return Error(Errc::kBusy,
               "container's cgroup is not empty: " + std::to_string(pids.size()) + " process(es) found in " +
                   quoted(dir.directory),
               EBUSY)
      .with_hint("stop what runs there or choose another cgroup path");
}

Status Group::check_not_frozen(const Dir& dir) const {
  const bool v1 = has_controller(dir.hierarchy, "freezer");
  if (!v1 && !(dir.hierarchy.v2 && pure_v2())) return {};
  auto text = read_value(dir.directory + (v1 ? "/freezer.state" : "/cgroup.events"), Base(base_));
  if (!text.ok()) {
    if (text.error().errno_value() == ENOENT) return {};  // cgroup.events has no such file before 5.2
    return std::move(text).error();
  }
  const bool frozen = v1 ? *text != "THAWED" : text->find("frozen 1") != std::string::npos;
  if (!frozen) return {};
  return Error(Errc::kBusy,
               "container's cgroup " + quoted(dir.directory) + " is frozen: a process started there would never run",
               EBUSY)
      .with_hint("thaw it or its parents, or choose another cgroup path");
}

void Group::roll_back() {
  for (auto dir = dirs_.rbegin(); dir != dirs_.rend(); ++dir) {
    if (dir->created) (void)!Base(base_).rmdir(dir->directory).ok();
    for (auto parent = dir->made_parents.rbegin(); parent != dir->made_parents.rend(); ++parent) {
      (void)!Base(base_).rmdir(*parent).ok();
    }
  }
  dirs_.clear();
}

bool Group::exists() const {
  return std::ranges::any_of(dirs_, [](const Dir& dir) { return sys::fstatat(sys::kCwd, dir.directory).ok(); });
}

std::map<std::string, std::string> Group::directories() const {
  std::map<std::string, std::string> out;
  for (const Dir& dir : dirs_) {
    if (dir.hierarchy.v2) out[""] = dir.directory;
    for (const std::string& controller : dir.hierarchy.controllers) out[controller] = dir.directory;
  }
  return out;
}

int Group::v2_fd() const {
  const Dir* dir = v2_dir();
  return dir == nullptr || births_refused_ ? -1 : dir->fd.get();
}

Result<std::vector<pid_t>> Group::processes() const {
  // Every hierarchy has the same members unless a process inside moved itself in one of them.
  const Dir* dir = nullptr;
  if (!pure_v2()) {
    for (const char* controller : {"pids", "memory", "devices", "name=systemd"}) {
      if (dir == nullptr) dir = find(controller);
    }
  }
  if (dir == nullptr) dir = dirs_.empty() ? nullptr : &dirs_.front();
  if (dir == nullptr) return std::vector<pid_t>{};
  return read_processes_recursive(dir->directory);
}

}  // namespace cooper::cgroup
