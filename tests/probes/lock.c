// lock PATH: takes the file's lock (flock) and counts, ten times a second. lock PATH try: ends with 1 when it is taken.
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  int fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return 2;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return 1;
  if (argc > 2) return 0;
  for (int i = 1;; i++) {
    dprintf(1, "%d\n", i);
    usleep(100000);
  }
}
