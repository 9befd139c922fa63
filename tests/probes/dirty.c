// Writes N MiB of memory again and again, ten times a second, and counts how often: dirty N.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  size_t size = (size_t)atol(argc > 1 ? argv[1] : "1") << 20;
  char* block = malloc(size);
  if (block == NULL) return 2;
  for (unsigned i = 1;; i++) {
    memset(block, (int)(i % 255 + 1), size);
    // Nobody reads it: without this the compiler leaves the writing out.
    __asm__ volatile("" : : "r"(block) : "memory");
    printf("%u\n", i);
    fflush(stdout);
    usleep(100000);
  }
}
