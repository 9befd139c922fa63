// A monitor with the command line, the sockets and the files of conmon, for engines that start one for each container.
#pragma once

namespace cooper::conmon {

// The program: returns its exit status. 0 from the process the engine started; the monitor itself, its child, ends with
// the container's exit status, or with 1 when the container could not be started. 1 for a wrong command line.
int run_program(char** argv, char** environment);

}  // namespace cooper::conmon
