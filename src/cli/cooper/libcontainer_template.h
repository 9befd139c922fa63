// A libcontainer configuration from flags: what `cooper libcontainer config`
// prints and `exec` starts without a file.
#pragma once

#include <span>
#include <string>

#include "base/error.h"
#include "cli/cooper/args.h"
#include "spec/libcontainer/types.h"

namespace cooper::cli {

std::span<const Flag> template_flags();
// Errc::kInvalidArgument that names the flag. Relative paths are relative to
// `cwd`.
Result<libcontainer::Config> config_from_flags(const Args& args, const std::string& cwd);
// True when one of the flags that make a configuration is given.
bool has_template_flag(const Args& args);

}  // namespace cooper::cli
