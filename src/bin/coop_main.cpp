#include "cli/coop/coop.h"

int main(int argc, char** argv) {
  return cooper::cli::coop::run_program(argc, argv);
}
