// Makes one system call: syscall NUMBER [ARGUMENT...]; prints "RESULT ERRNO".
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  unsigned long a[6] = {0};
  if (argc < 2) return 2;
  for (int i = 2; i < argc && i < 8; ++i) a[i - 2] = strtoul(argv[i], NULL, 0);
  errno = 0;
  long result = syscall(strtol(argv[1], NULL, 0), a[0], a[1], a[2], a[3], a[4], a[5]);
  printf("%ld %d\n", result, errno);
  return 0;
}
