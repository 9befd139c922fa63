// conmon: a monitor for other engines, in place of the one they come with.
#include <unistd.h>

#include "conmon/conmon.h"

int main(int argc, char** argv) {
  (void)argc;
  return cooper::conmon::run_program(argv, environ);
}
