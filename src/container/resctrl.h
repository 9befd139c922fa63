// linux.intelRdt: classes of service and monitoring groups of the resctrl file system (kernel 4.10).
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "container/plan.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

// Rules that need no kernel: a closID is one name or "/", schemata are single lines.
Status check_intel_rdt(const oci::IntelRdt& rdt, std::string_view pointer);
ResctrlCreate plan_resctrl(const oci::IntelRdt& rdt, const std::string& id);

// The groups of one container. What was made here, and only that, is removed again.
struct ResctrlGroups {
  std::string class_path;    // empty: none
  std::string monitor_path;  // empty: none
  bool made_class = false;
  bool made_monitor = false;
};

class Resctrl {
 public:
  static constexpr std::string_view kMountPoint = "/sys/fs/resctrl";
  // Errc::kUnsupported when no resctrl file system is mounted there.
  static Result<Resctrl> open();
  // For tests: any directory, and what making a group in it is.
  using MakeGroup = std::function<Status(const std::string& path)>;
  Resctrl(std::string root, MakeGroup make) : root_(std::move(root)), make_(std::move(make)) {}

  // What create() would make, before it does; nothing is written.
  ResctrlGroups wanted(const ResctrlCreate& step) const;
  // On failure nothing is left of what was made.
  Result<ResctrlGroups> create(const ResctrlCreate& step) const;
  // Writes lines of schemata to the container's class, which must have been made for it. Returns the former lines of
  // the same resources, which bring it back; on failure it is as it was.
  Result<std::vector<std::string>> set_schemata(const ResctrlGroups& groups,
                                                const std::vector<std::string>& lines) const;

 private:
  Status set_up(const ResctrlCreate& step, ResctrlGroups& out) const;
  std::string root_;
  MakeGroup make_;
};

Status join_resctrl(const ResctrlGroups& groups, pid_t pid);
// Groups that are gone already are fine.
Status remove_resctrl(const ResctrlGroups& groups);
// The same for groups that were only wanted, by a creator that was killed: somebody else may have made them since, so
// one with a task in it stays.
Status remove_unused_resctrl(ResctrlGroups groups);

// True when the schemata file `now` says for each resource and domain of `wanted` what `wanted` says. Exposed for
// tests.
bool schemata_agree(std::string_view now, std::string_view wanted);

}  // namespace cooper::container
