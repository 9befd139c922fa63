// Runs OCI hooks: programs with the state document on standard input.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/types.h"

namespace cooper::container {

// Annotations of a configuration that was libcontainer's: hooks of the parent read {version,id,pid,root} instead of the
// state document. The root is what asks for it.
inline constexpr const char* kHookStateVersion = "io.cooper.hook-state.version";
inline constexpr const char* kHookStateRoot = "io.cooper.hook-state.root";
// What such hooks read.
std::string hook_input(const oci::State& state);

// In order; the first failure (exit status, signal, timeout, missing program) ends the list and is returned with the
// hook's path and the last line it said. Hooks inherit no descriptor (also none that the caller of the runtime left
// open): 0 is the state, and what they write to 1 and 2 goes to our standard error when they have ended, up to 64 KiB
// of it. Those without an environment of their own have `env`; nullptr: ours.
Status run_hooks(std::string_view kind, const std::vector<oci::Hook>& hooks, std::string_view state_json,
                 const std::vector<std::string>* env = nullptr);
// Each, whatever the others did; failures are warnings.
void run_each_hook(std::string_view kind, const std::vector<oci::Hook>& hooks, std::string_view state_json);
// True for an error of run_hooks(kind, ...), also when it comes from the container's init.
bool is_hook_failure(const Error& error, std::string_view kind);

}  // namespace cooper::container
