// Forks children that sleep until fork fails or N are there; prints how many it got.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  int wanted = argc > 1 ? atoi(argv[1]) : 10;
  int count = 0;
  pid_t children[4096];
  while (count < wanted && count < 4096) {
    pid_t child = fork();
    if (child < 0) break;
    if (child == 0) {
      for (;;) pause();
    }
    children[count++] = child;
  }
  printf("%d\n", count);
  for (int i = 0; i < count; ++i) kill(children[i], SIGKILL);
  return 0;
}
