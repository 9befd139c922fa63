// The program coop: an OCI runtime with runc's command line.
#pragma once

namespace cooper::cli::coop {

// Returns the exit status: 0, 1 for own errors (255 for those of exec), otherwise the payload's.
int run_program(int argc, char** argv);

}  // namespace cooper::cli::coop
