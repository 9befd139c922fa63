// Watches for processes that appear in its PID namespace and tries to list and open
// their descriptors, as an attacker would (CVE-2016-9962). For argv[1] seconds; prints
// "watching", then "opened PID FD TARGET" for each descriptor that it could get and that
// is not one of the standard streams, then "seen N".
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int try_process(const char* pid) {
  char folder[64];
  snprintf(folder, sizeof folder, "/proc/%.16s/fd", pid);
  DIR* fds = opendir(folder);
  if (fds == NULL) return 1;
  struct dirent* entry;
  while ((entry = readdir(fds)) != NULL) {
    char name[360];
    char target[1024];
    if (entry->d_name[0] == '.' || atoi(entry->d_name) < 3) continue;
    snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
    ssize_t size = readlink(name, target, sizeof target - 1);
    target[size < 0 ? 0 : size] = '\0';
    int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) continue;
    printf("opened %s %s %s\n", pid, entry->d_name, target);
    close(fd);
  }
  closedir(fds);
  return 1;
}

int main(int argc, char** argv) {
  time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 2);
  char self[16];
  int seen = 0;
  snprintf(self, sizeof self, "%d", getpid());
  setvbuf(stdout, NULL, _IONBF, 0);
  puts("watching");
  while (time(NULL) < end) {
    DIR* proc = opendir("/proc");
    struct dirent* entry;
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
      if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
      if (strcmp(entry->d_name, self) == 0 || strcmp(entry->d_name, "1") == 0) continue;
      seen += try_process(entry->d_name);
    }
    if (proc != NULL) closedir(proc);
  }
  printf("seen %d\n", seen);
  return 0;
}
