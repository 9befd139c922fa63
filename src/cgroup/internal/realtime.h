// Realtime budgets of cgroup v1: the shares of a group's children have to fit into its own.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cgroup/internal/settings.h"

namespace cooper::cgroup {

// Raises the budgets of the groups above `directory`, outermost first, to what their children need when `setting`
// (cpu.rt_runtime_us or cpu.rt_period_us) is in force in it. The root of the tree is the host's own and stays. Adds to
// `undo` what was there before, on failure too.
Status make_room_for_realtime(const std::string& mount_point, const std::string& directory, const Setting& setting,
                              std::vector<Undo>& undo);

}  // namespace cooper::cgroup
