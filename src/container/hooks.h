// Runs OCI hooks: programs with the state document on standard input.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

// In order; the first failure (exit status, signal, timeout, missing program) ends the list and is returned with the
// hook's path and the last line it wrote to standard error. Hooks inherit no descriptor but 0 (the state), 1 and 2
// (also none that the caller of the runtime left open), and only the environment given.
Status run_hooks(std::string_view kind, const std::vector<oci::Hook>& hooks, std::string_view state_json);
// True for an error of run_hooks(kind, ...), also when it comes from the container's init.
bool is_hook_failure(const Error& error, std::string_view kind);

}  // namespace cooper::container
