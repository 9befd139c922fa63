// The picture of one start: a line for each step, a bar for when it ran.
#pragma once

#include <string>

#include "container/timing.h"

namespace cooper::cli::coop {

// Lines for a terminal: start and length in milliseconds, process, bar, step.
std::string waterfall_text(const container::StartTiming& timing);
// The same as an SVG document.
std::string waterfall_svg(const container::StartTiming& timing);
// {"unit":"ns","marks":[{"what":...,"at":...}],"steps":[{"actor":...,"step":...,"begin":...,"length":...}]}; times
// count from the first mark.
std::string waterfall_json(const container::StartTiming& timing);

}  // namespace cooper::cli::coop
