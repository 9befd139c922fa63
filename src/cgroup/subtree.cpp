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

// One write for all; when the kernel refuses, one each, so that one impossible controller does not cost the others.
void enable(const std::string& directory, const Names& wanted) {
  std::string all;
  for (const std::string& name : wanted) all += (all.empty() ? "+" : " +") + name;
  const std::string file = directory + "/cgroup.subtree_control";
  if (write_control(file, all).ok()) return;
  for (const std::string& name : wanted) {
    if (Status one = write_control(file, "+" + name); !one.ok())
      log::debug("cgroup controller not delegated: " + one.error().message());
  }
}

}  // namespace

Status enable_controllers(const Hierarchy& tree, const std::string& path) {
  const std::string group = directory_of(tree.mount_point, tree.mount_root, path);
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

}  // namespace cooper::cgroup
