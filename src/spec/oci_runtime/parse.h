// Text -> values of types.h. Every wrong type, missing required member and number out of range is an error that carries
// the JSON pointer of the offending value ("config.json: /process/args/0: must be a string, not a number"). Unknown
// members are ignored. Meaning (absolute paths, known words ...) is not checked here: that is container::validate().
// `what` names the text in messages and must outlive the call.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "spec/oci_runtime/types.h"

namespace cooper::spec::oci_runtime {

// Cap for callers that read the text from a file.
inline constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20;

// A config.json. ociVersion must be a semantic version of major 1 (Errc::kUnsupported otherwise).
Result<Config> parse_config(std::string text, std::string_view what = "config.json");
// A process document alone (exec -p).
Result<Process> parse_process(std::string text, std::string_view what = "process.json");
// A linux.resources document alone (update -r).
Result<Resources> parse_resources(std::string text, std::string_view what = "resources.json");
// The state document that hooks receive and `state` prints; unknown members are ignored.
Result<State> parse_state(std::string text, std::string_view what = "state");

}  // namespace cooper::spec::oci_runtime
