// What this build is.
#pragma once

#include <string>
#include <string_view>

namespace cooper::cli::coop {

// Of the sources, in full, with "-dirty" behind it when they were changed since; empty when they are in no repository.
std::string_view commit();
// Lines as callers of a runtime read them: "coop version 1.2.3", "commit: 0123...", "spec: 1.3.0".
std::string version_text();

}  // namespace cooper::cli::coop
