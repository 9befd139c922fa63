#include "cgroup/internal/cpuset.h"

#include "base/strings.h"
#include "cgroup/internal/files.h"

namespace cooper::cgroup {
namespace {

// Returns the value of `file` in `directory`, inherited if it was empty.
Result<std::string> ensure(const std::string& mount_point, const std::string& directory, const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, read_control(directory + "/" + file));
  std::string value(trim(text));
  if (!value.empty() || directory.size() <= mount_point.size()) return value;
  ASSIGN_OR_RETURN(value, ensure(mount_point, directory.substr(0, directory.rfind('/')), file));
  RETURN_IF_ERROR(write_control(directory + "/" + file, value));
  return value;
}

}  // namespace

Status inherit_cpuset(const std::string& mount_point, const std::string& directory) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    auto value = ensure(mount_point, directory, file);
    if (!value.ok()) return std::move(value).error().with("inherit " + quoted(file));
  }
  return {};
}

Status prepare_cpuset_parent(const std::string& mount_point, const std::string& directory) {
  RETURN_IF_ERROR(inherit_cpuset(mount_point, directory));
  return write_control(directory + "/cgroup.clone_children", "1");
}

}  // namespace cooper::cgroup
