// Prints every open file descriptor below 1024 and what it refers to: "N target".
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  for (int fd = 0; fd < 1024; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) continue;
    char name[64];
    char target[4096];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(name, target, sizeof target - 1);
    target[size < 0 ? 0 : size] = '\0';
    printf("%d %s\n", fd, target);
  }
  return 0;
}
