// Landlock (kernel 5.13): which files below its root a container's processes may use, by annotation. The runtime
// specification has no member for it.
//
//   "io.cooper.landlock": "rx:/usr,rx:/bin,ro:/etc,rw:/tmp,rw:/dev"
//
// Each entry allows something below a path: ro reads files and lists directories, rx executes them too, rw allows all.
// Everything else is refused to the process and whatever it starts, whoever it is.
#pragma once

#include <string_view>

#include "base/error.h"
#include "base/fd.h"
#include "container/plan.h"
#include "io/root_dir.h"

namespace cooper::container {

inline constexpr const char* kLandlockAnnotation = "io.cooper.landlock";

Result<SetLandlock> parse_landlock(std::string_view text);

// Zone S: a ruleset for landlock_restrict_self(2); paths are those of the container. Errc::kUnsupported where the
// kernel has no Landlock.
Result<UniqueFd> make_landlock_ruleset(const SetLandlock& step, const io::RootDir& root);

}  // namespace cooper::container
