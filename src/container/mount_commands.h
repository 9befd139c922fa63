// Zone S: commands around a mount, and labels for its source (Extras::mounts).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "container/extras.h"

namespace cooper::container {

// In order; the first that fails ends the list. `when` is for the message: "before the mount on '/data'".
Status run_mount_commands(std::string_view when, const std::vector<MountCommand>& commands);

// Gives every file of the tree the SELinux label; links are labelled themselves, other file systems are not entered.
// Errc::kInvalidArgument for directories of the host that a label must not be taken from (/, /usr, /etc ...).
Status relabel_tree(const std::string& path, const std::string& label);

}  // namespace cooper::container
