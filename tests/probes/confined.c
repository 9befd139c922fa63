// Prints how this process is confined, one fact a line: to compare two starts of one configuration.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

extern char** environ;

static void status_lines(void) {
  static const char* const wanted[] = {
      "Uid:",    "Gid:",    "Groups:", "SigBlk:", "SigIgn:",     "CapInh:",  "CapPrm:",
      "CapEff:", "CapBnd:", "CapAmb:", "Umask:",  "NoNewPrivs:", "Seccomp:", "Seccomp_filters:"};
  char line[512];
  FILE* file = fopen("/proc/self/status", "re");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; ++i) {
      if (strncmp(line, wanted[i], strlen(wanted[i])) == 0) printf("status %s", line);
    }
  }
  if (file != NULL) fclose(file);
}

// Without the numbers that differ from one start to the next: mount ids, devices, peer groups.
static void mounts(void) {
  char line[4096];
  FILE* file = fopen("/proc/self/mountinfo", "re");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    char root[1024], point[1024], options[512], type[128];
    const char* tail = strstr(line, " - ");
    if (tail == NULL || sscanf(line, "%*d %*d %*s %1023s %1023s %511s", root, point, options) != 3) continue;
    if (sscanf(tail, " - %127s", type) != 1) continue;
    const char* shared = strstr(line, " shared:") != NULL   ? "shared"
                         : strstr(line, " master:") != NULL ? "slave"
                                                            : "private";
    printf("mount %s %s %s %s %s\n", point, type, options, shared, strcmp(type, "cgroup") == 0 ? "" : root);
  }
  if (file != NULL) fclose(file);
}

static void lines_of(const char* name, const char* path) {
  char line[1024];
  FILE* file = fopen(path, "re");
  if (file == NULL) printf("%s: %s\n", name, strerror(errno));
  while (file != NULL && fgets(line, sizeof line, file) != NULL) printf("%s %s", name, line);
  if (file != NULL) fclose(file);
}

static void namespaces(void) {
  static const char* const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    char path[64];
    char target[128] = {0};
    snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
    if (readlink(path, target, sizeof target - 1) > 0) printf("namespace %s\n", target);
  }
}

static void descriptors(void) {
  for (int fd = 0; fd < 4096; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) printf("descriptor %d\n", fd);
  }
}

static void limits(void) {
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    struct rlimit value;
    if (getrlimit(resource, &value) == 0)
      printf("limit %d %llu %llu\n", resource, (unsigned long long)value.rlim_cur, (unsigned long long)value.rlim_max);
  }
}

// What a masked, a read-only and a device node look like from here.
static void nodes(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    struct stat info;
    if (stat(argv[i], &info) != 0) {
      printf("node %s: %s\n", argv[i], strerror(errno));
      continue;
    }
    printf("node %s mode %o device %u:%u", argv[i], info.st_mode, major(info.st_rdev), minor(info.st_rdev));
    const int fd = open(argv[i], O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    printf(" write %s\n", fd >= 0 ? "yes" : strerror(errno));
    if (fd >= 0) close(fd);
  }
}

int main(int argc, char** argv) {
  char text[4096];
  status_lines();
  mounts();
  lines_of("cgroup", "/proc/self/cgroup");
  lines_of("oom_score_adj", "/proc/self/oom_score_adj");
  lines_of("uid_map", "/proc/self/uid_map");
  lines_of("interface", "/proc/net/dev");
  namespaces();
  descriptors();
  limits();
  nodes(argc, argv);
  if (gethostname(text, sizeof text) == 0) printf("hostname %s\n", text);
  if (getcwd(text, sizeof text) != NULL) printf("cwd %s\n", text);
  printf("session %d group %d\n", getsid(0) == getpid(), getpgid(0) == getpid());
  for (char** entry = environ; *entry != NULL; ++entry) printf("env %s\n", *entry);
  printf("end\n");
  return 0;
}
