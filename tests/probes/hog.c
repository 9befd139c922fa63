// Touches N MiB of memory: hog N; prints "done" when it could.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
  size_t size = (size_t)atol(argc > 1 ? argv[1] : "1") << 20;
  char* block = malloc(size);
  if (block == NULL) return 2;
  for (size_t i = 0; i < size; i += 4096) ((volatile char*)block)[i] = 1;
  puts("done");
  return 0;
}
