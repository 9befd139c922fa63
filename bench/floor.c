// The least a container start can cost here: clone3 with the namespaces of `runc spec`, its mounts, pivot_root, execve,
// wait - and nothing else: no configuration is read, no cgroup is made, nothing is checked, no privilege is dropped.
//
//   floor [-c CGROUP] ROOTFS PROGRAM [ARG...]
//
// With -c, a cgroup of that name is made in every v1 hierarchy, joined by the child and removed at the end.
// Exit status of the program; 125 when a step fails, with its name on standard error.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char* what) {
  dprintf(2, "floor: %s: %s\n", what, strerror(errno));
  _exit(125);
}

static void need(int result, const char* what) {
  if (result < 0) die(what);
}

// v1 hierarchies of the host, found before the clone: what the mount of type cgroup shows inside.
struct hierarchy {
  char point[96];
  char name[64];
};
static struct hierarchy hierarchies[32];
static int hierarchy_count;

static void find_hierarchies(void) {
  FILE* info = fopen("/proc/self/mountinfo", "re");
  if (info == NULL) die("mountinfo");
  char line[4096];
  while (hierarchy_count < 32 && fgets(line, sizeof line, info) != NULL) {
    char* tail = strstr(line, " - cgroup ");
    if (tail == NULL) continue;
    char* word = strtok(line, " ");
    for (int i = 0; i < 4 && word != NULL; ++i) word = strtok(NULL, " ");
    if (word == NULL || strlen(word) >= sizeof hierarchies[0].point) continue;
    struct hierarchy* h = &hierarchies[hierarchy_count];
    const char* base = strrchr(word, '/');
    if (base == NULL || strlen(base) >= sizeof h->name) continue;
    strcpy(h->point, word);
    strcpy(h->name, base + 1);
    int known = 0;
    for (int i = 0; i < hierarchy_count; ++i) known |= strcmp(hierarchies[i].name, h->name) == 0;
    if (!known) ++hierarchy_count;
  }
  fclose(info);
}

static void mount_cgroups(void) {
  need(mount("tmpfs", "sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=755"), "cgroup tmpfs");
  for (int i = 0; i < hierarchy_count; ++i) {
    char target[160];
    snprintf(target, sizeof target, "sys/fs/cgroup/%s", hierarchies[i].name);
    need(mkdir(target, 0755), target);
    need(mount(hierarchies[i].point, target, NULL, MS_BIND, NULL), target);
    need(mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL), target);
  }
  need(mount(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL),
       "cgroup read-only");
}

// A file of the group in hierarchy i.
static void group_path(char* out, size_t size, int i, const char* group, const char* file) {
  if ((size_t)snprintf(out, size, "%s/%s%s", hierarchies[i].point, group, file) >= size) die("cgroup path");
}

static void make_cgroups(const char* group) {
  for (int i = 0; i < hierarchy_count; ++i) {
    char path[256];
    group_path(path, sizeof path, i, group, "");
    need(mkdir(path, 0755), path);
    if (strncmp(hierarchies[i].name, "cpuset", 6) != 0) continue;
    static const char* files[] = {"/cpuset.cpus", "/cpuset.mems"};
    for (int f = 0; f < 2; ++f) {
      char text[256];
      group_path(path, sizeof path, i, "", files[f] + 1);
      const int from = open(path, O_RDONLY | O_CLOEXEC);
      const ssize_t n = from < 0 ? -1 : read(from, text, sizeof text);
      close(from);
      group_path(path, sizeof path, i, group, files[f]);
      const int to = open(path, O_WRONLY | O_CLOEXEC);
      if (n < 0 || to < 0 || write(to, text, (size_t)n) != n) die(path);
      close(to);
    }
  }
}

static void open_tasks(const char* group, int* tasks) {
  for (int i = 0; i < hierarchy_count; ++i) {
    char path[256];
    group_path(path, sizeof path, i, group, "/tasks");
    need(tasks[i] = open(path, O_WRONLY | O_CLOEXEC), path);
  }
}

static void remove_cgroups(const char* group) {
  for (int i = 0; i < hierarchy_count; ++i) {
    char path[256];
    group_path(path, sizeof path, i, group, "");
    need(rmdir(path), path);
  }
}

static void make_devices(void) {
  static const struct {
    const char* path;
    unsigned major, minor;
  } nodes[] = {{"dev/null", 1, 3},   {"dev/zero", 1, 5},    {"dev/full", 1, 7},
               {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
  static const char* links[][2] = {{"/proc/self/fd", "dev/fd"},       {"/proc/self/fd/0", "dev/stdin"},
                                   {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
                                   {"/proc/kcore", "dev/core"},       {"pts/ptmx", "dev/ptmx"}};
  umask(0);
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; ++i) {
    need(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), nodes[i].path);
  }
  for (size_t i = 0; i < sizeof links / sizeof links[0]; ++i) need(symlink(links[i][0], links[i][1]), links[i][1]);
  umask(022);
}

static void mount_all(const char* root) {
  need(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL), "slave /");
  need(mount(root, root, NULL, MS_BIND | MS_REC, NULL), "bind root");
  need(chdir(root), "chdir root");
  need(mount("proc", "proc", "proc", 0, NULL), "proc");
  need(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"), "dev");
  need(mkdir("dev/pts", 0755), "dev/pts");
  need(mkdir("dev/shm", 0755), "dev/shm");
  need(mkdir("dev/mqueue", 0755), "dev/mqueue");
  need(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"),
       "devpts");
  need(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k"), "shm");
  need(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL), "mqueue");
  need(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, NULL), "sysfs");
  mount_cgroups();
  make_devices();
}

static void pivot(void) {
  const int old = open("/", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
  if (old < 0) die("open old root");
  need((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
  need(fchdir(old), "fchdir");
  need(mount(NULL, ".", NULL, MS_REC | MS_SLAVE, NULL), "slave old root");
  need(umount2(".", MNT_DETACH), "umount old root");
  need(chdir("/"), "chdir");
  close(old);
}

static void mask_and_protect(void) {
  static const char* masked_dirs[] = {"/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware"};
  static const char* masked_files[] = {"/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
                                       "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug"};
  static const char* readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  for (size_t i = 0; i < sizeof masked_dirs / sizeof masked_dirs[0]; ++i) {
    if (mount("tmpfs", masked_dirs[i], "tmpfs", MS_RDONLY, NULL) < 0 && errno != ENOENT) die(masked_dirs[i]);
  }
  for (size_t i = 0; i < sizeof masked_files / sizeof masked_files[0]; ++i) {
    if (mount("/dev/null", masked_files[i], NULL, MS_BIND, NULL) < 0 && errno != ENOENT) die(masked_files[i]);
  }
  for (size_t i = 0; i < sizeof readonly / sizeof readonly[0]; ++i) {
    if (mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL) < 0) {
      if (errno == ENOENT) continue;
      die(readonly[i]);
    }
    need(mount(NULL, readonly[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_REC, NULL), readonly[i]);
  }
  need(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), "read-only root");
}

int main(int argc, char** argv) {
  const char* group = NULL;
  if (argc > 2 && strcmp(argv[1], "-c") == 0) {
    group = argv[2];
    argv += 2;
    argc -= 2;
  }
  if (argc < 3) {
    dprintf(2, "usage: floor [-c CGROUP] ROOTFS PROGRAM [ARG...]\n");
    return 125;
  }
  find_hierarchies();
  static int tasks[sizeof hierarchies / sizeof hierarchies[0]];
  if (group != NULL) {
    make_cgroups(group);
    open_tasks(group, tasks);
  }
  struct clone_args args = {0};
  args.flags = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS;
  args.exit_signal = SIGCHLD;
  const long child = syscall(SYS_clone3, &args, sizeof args);
  if (child < 0) die("clone3");
  if (child == 0) {
    need(sethostname("floor", 5), "sethostname");
    for (int i = 0; group != NULL && i < hierarchy_count; ++i) need((int)write(tasks[i], "0", 1), "join cgroup");
    mount_all(argv[1]);
    pivot();
    mask_and_protect();
    char* const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm",
                                 NULL};
    execve(argv[2], argv + 2, environment);
    die("execve");
  }
  int status = 0;
  while (waitpid((pid_t)child, &status, 0) < 0) {
    if (errno != EINTR) die("wait");
  }
  if (group != NULL) remove_cgroups(group);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
