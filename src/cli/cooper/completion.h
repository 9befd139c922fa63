// What a shell offers behind a command line that is being typed.
#pragma once

#include <span>
#include <string>

#include "cli/cooper/command.h"

namespace cooper::cli {

// Script for bash: asks the program itself (__complete) for candidates.
std::string bash_completion();
// Candidates for the last of `words` (the command line after the program's name), one a line; ":files" and
// ":directories" stand for those that the shell knows. --root, --run-root and --config among the words count.
std::string complete(const Context& context, std::span<const std::string> words);

}  // namespace cooper::cli
