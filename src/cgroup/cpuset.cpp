#include "cgroup/internal/cpuset.h"

#include "base/strings.h"
#include "cgroup/internal/files.h"

namespace cooper::cgroup {
namespace {

struct Value {
  std::string text;
  bool was_there = false;
};

// The value of `file` in `directory`, inherited if it was empty.
Result<Value> ensure(const std::string& mount_point, const std::string& directory, const std::string& file, Base base) {
  ASSIGN_OR_RETURN(std::string own, read_value(directory + "/" + file, base));
  if (!own.empty() || directory.size() <= mount_point.size()) return Value{std::move(own), true};
  ASSIGN_OR_RETURN(Value inherited, ensure(mount_point, directory.substr(0, directory.rfind('/')), file, base));
  RETURN_IF_ERROR(write_control(directory + "/" + file, inherited.text, base));
  inherited.was_there = false;
  return inherited;
}

}  // namespace

Status inherit_cpuset(const std::string& mount_point, const std::string& directory, Age age, Base base) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    auto value = ensure(mount_point, directory, file, base);
    if (!value.ok()) return std::move(value).error().with("inherit " + quoted(file));
    if (age == Age::kNew && value->was_there) return {};
  }
  return {};
}

Status prepare_cpuset_parent(const std::string& mount_point, const std::string& directory, Base base) {
  RETURN_IF_ERROR(inherit_cpuset(mount_point, directory, Age::kNew, base));
  return write_control(directory + "/cgroup.clone_children", "1", base);
}

}  // namespace cooper::cgroup
