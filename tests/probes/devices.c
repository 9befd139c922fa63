// Opens devices without a pause: devices FORBIDDEN [ALLOWED]. Counts the rounds on standard output, ten times a second.
// The first open that ends otherwise than expected ends it, with a line that says which.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static long tenths(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 10 + now.tv_nsec / 100000000;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  long last = tenths();
  for (long rounds = 1;; rounds++) {
    int fd = open(argv[1], O_WRONLY | O_CLOEXEC);
    if (fd >= 0 || errno != EPERM) {
      dprintf(1, "round %ld: %s: %s, errno %d\n", rounds, argv[1], fd >= 0 ? "opened" : "another error", errno);
      return 1;
    }
    fd = argc > 2 ? open(argv[2], O_RDWR | O_CLOEXEC) : -1;
    if (argc > 2 && fd < 0) {
      dprintf(1, "round %ld: %s could not be opened: errno %d\n", rounds, argv[2], errno);
      return 1;
    }
    if (fd >= 0) close(fd);
    long now = tenths();
    if (now != last) dprintf(1, "%ld\n", rounds);
    last = now;
  }
}
