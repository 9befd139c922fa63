// Text -> values of types.h, of either generation. Every wrong type and number out of range is an error that carries
// the JSON pointer of the offending value ("container.json: /mounts/0/flags: must be a number, not a string"). Members
// that this room does not know are listed in Config::unknown, never an error: the format had no version. What the
// members mean together is not checked here: validate.h does. `what` names the text in messages and must outlive the
// call. Slashes at the end of rootfs are left out.
//
// One quirk of the format is kept out: its realtime members had the same JSON names as cpu_quota and cpu_period, so
// that the original reader dropped all four. Here cpu_quota and cpu_period mean what they say, and cpu_rt_runtime and
// cpu_rt_period (the later names) are the realtime ones.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "spec/libcontainer/types.h"

namespace cooper::spec::libcontainer {

// Cap for callers that read the text from a file.
inline constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20;

Result<Config> parse_config(std::string text, std::string_view what = "container.json");

// Whether a text looks like this format rather than a config.json of the runtime specification. Errc::kInvalidArgument
// when it is no JSON object.
Result<bool> looks_like_libcontainer(std::string text, std::string_view what);

}  // namespace cooper::spec::libcontainer
