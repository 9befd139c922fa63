// Exchanges each pair of paths named on the command line, over and over: for races against whoever resolves them.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char** argv) {
  puts("swapping");
  fflush(stdout);
  for (;;) {
    for (int i = 1; i + 1 < argc; i += 2) (void)renameat2(AT_FDCWD, argv[i], AT_FDCWD, argv[i + 1], RENAME_EXCHANGE);
  }
}
