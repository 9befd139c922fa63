// Opens a file: open PATH [r|w|rw|trunc|create]; prints "ok" or the errno.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  const char* how = argc > 2 ? argv[2] : "r";
  int flags = O_RDONLY;
  if (strcmp(how, "w") == 0) flags = O_WRONLY;
  if (strcmp(how, "rw") == 0) flags = O_RDWR;
  if (strcmp(how, "trunc") == 0) flags = O_WRONLY | O_TRUNC;
  if (strcmp(how, "create") == 0) flags = O_WRONLY | O_CREAT;
  if (argc < 2) return 2;
  if (open(argv[1], flags | O_CLOEXEC | O_NONBLOCK, 0600) >= 0)
    puts("ok");
  else
    printf("%d\n", errno);
  return 0;
}
