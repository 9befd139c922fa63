#include "cgroup/internal/subtree.h"

#include <algorithm>

#include "base/strings.h"
#include "cgroup/internal/files.h"
#include "log/log.h"

namespace cooper::cgroup {
namespace {

using Names = std::vector<std::string>;

Result<Names> read_names(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, read_control(path));
  Names out;
  for (const auto name : split(trim(text), ' ')) {
    if (!name.empty()) out.emplace_back(name);
  }
  return out;
}

bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Controllers that may go to the threads of one process. A group with processes takes them, and becomes a threaded
// group by it, below which no container can live.
bool is_threaded(const std::string& name) {
  return name == "cpu" || name == "cpuset" || name == "pids" || name == "perf_event";
}

// A group other than the root of the tree (which has no type, and may do both).
bool has_processes_of_its_own(const std::string& directory) {
  if (!read_value(directory + "/cgroup.type").ok()) return false;
  const auto members = read_processes(directory);
  return members.ok() && !members->empty();
}

// One write for all; when the kernel refuses, one each, so that one impossible controller does not cost the others.
void enable(const std::string& directory, const Names& wanted) {
  std::string all;
  for (const std::string& name : wanted) all += (all.empty() ? "+" : " +") + name;
  const std::string file = directory + "/cgroup.subtree_control";
  if (std::all_of(wanted.begin(), wanted.end(), is_threaded) && has_processes_of_its_own(directory)) {
    log::debug("cgroup controllers not delegated: " + quoted(directory) + " has processes of its own");
    return;
  }
  const Status done = write_control(file, all);
  if (done.ok()) return;
  // It has processes of its own: one by one the threaded controllers would be taken all the same.
  if (done.error().errno_value() == EBUSY) {
    log::debug("cgroup controllers not delegated: " + done.error().message());
    return;
  }
  for (const std::string& name : wanted) {
    if (Status one = write_control(file, "+" + name); !one.ok())
      log::debug("cgroup controller not delegated: " + one.error().message());
  }
}

}  // namespace

Status enable_controllers(const Hierarchy& tree, const std::string& path) {
  const std::string group = tree.directory(path);
  ASSIGN_OR_RETURN(const Names offered, read_names(tree.mount_point + "/cgroup.controllers"));
  ASSIGN_OR_RETURN(const Names present, read_names(group + "/cgroup.controllers"));
  if (std::all_of(offered.begin(), offered.end(), [&](const std::string& name) { return contains(present, name); }))
    return {};
  // Top down, the tree's root first, the group itself not.
  for (std::size_t end = tree.mount_point.size(); end != std::string::npos && end < group.size();
       end = group.find('/', end + 1)) {
    const std::string ancestor = group.substr(0, end);
    ASSIGN_OR_RETURN(const Names enabled, read_names(ancestor + "/cgroup.subtree_control"));
    ASSIGN_OR_RETURN(const Names available, read_names(ancestor + "/cgroup.controllers"));
    Names missing;
    for (const std::string& name : available) {
      if (!contains(enabled, name)) missing.push_back(name);
    }
    if (!missing.empty()) enable(ancestor, missing);
  }
  return {};
}

std::string why_missing(const Hierarchy& tree, const std::string& path, const std::string& controller) {
  const std::string group = tree.directory(path);
  const auto has = [&](const std::string& file) {
    const auto names = read_names(file);
    return names.ok() && contains(*names, controller);
  };
  if (has(group + "/cgroup.controllers")) return {};
  if (!has(tree.mount_point + "/cgroup.controllers")) return "is not available";
  for (std::size_t end = tree.mount_point.size(); end != std::string::npos && end < group.size();
       end = group.find('/', end + 1)) {
    const std::string ancestor = group.substr(0, end);
    if (has(ancestor + "/cgroup.subtree_control")) continue;
    std::string why = "is not handed down by " + quoted(ancestor);
    const auto type = read_value(ancestor + "/cgroup.type");
    const auto members = read_processes(ancestor);
    if (type.ok() && *type != "domain") {
      why += ", whose type is " + quoted(*type);
    } else if (members.ok() && !members->empty()) {
      why += ", which has processes of its own";
    }
    return why;
  }
  return "is not available";
}

}  // namespace cooper::cgroup
