// Leaves a chroot in the classical way, then says which of the paths given can be seen: "PATH yes" or "PATH no".
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char** argv) {
  (void)mkdir("escape", 0755);
  const int top = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (chroot("escape") != 0) {
    perror("chroot");
    return 1;
  }
  (void)fchdir(top);
  for (int i = 0; i < 64; ++i) (void)!chdir("..");
  (void)!chroot(".");
  for (int i = 1; i < argc; ++i) {
    struct stat info;
    printf("%s %s\n", argv[i], stat(argv[i], &info) == 0 ? "yes" : "no");
  }
  return 0;
}
