// Programs of ours that other programs of ours start: cooper-init, cooper-fetch.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::io {

// The absolute path of the program `name`: the configured one when that is not empty, else beside the running
// executable, else in the libexec directory that belongs to it, else in those of the system. `setting` is the key of
// the configuration file, for the hint of Errc::kNotFound.
Result<std::string> find_helper(std::string_view name, const std::string& configured, std::string_view setting);

}  // namespace cooper::io
