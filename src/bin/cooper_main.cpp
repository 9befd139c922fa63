// cooper: the engine's command line.
#include <string>
#include <vector>

#include "cli/cooper/command.h"

int main(int argc, char** argv) {
  (void)argc;
  return cooper::cli::main_cooper(argv);
}
