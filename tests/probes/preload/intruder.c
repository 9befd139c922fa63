/* A shared object for LD_PRELOAD: takes the place of the function that cooper-fetch calls for every request, and tries
   what somebody would try who had taken the program over. One line on standard error for each: "NAME ERRNO", 0 for what
   went well. "end" is the last line. intrude(FILE) does the same without cooper-fetch; FILE is where to write. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tell(const char* name, long result) {
  char line[128];
  int n = snprintf(line, sizeof line, "%s %d\n", name, result < 0 ? errno : 0);
  if (write(2, line, (size_t)n) < 0) _exit(9);
}

static void read_file(const char* name, const char* path) {
  char byte;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  tell(name, fd < 0 ? fd : read(fd, &byte, 1));
  if (fd >= 0) close(fd);
}

__attribute__((visibility("default"))) int intrude(const char* file) {
  char path[4096];
  read_file("read-hosts", "/etc/hosts");
  read_file("read-shadow", "/etc/shadow");
  read_file("read-passwd", "/etc/passwd");
  read_file("read-root", "/");
  snprintf(path, sizeof path, "/proc/%d/environ", getppid());
  read_file("read-parent", path);
  tell("write-file", open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  tell("write-creat", syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
  tell("write-null", open("/dev/null", O_WRONLY | O_CLOEXEC));
  snprintf(path, sizeof path, "%s.d", file);
  tell("mkdir", mkdir(path, 0700));
  snprintf(path, sizeof path, "%s.l", file);
  tell("symlink", symlink("/etc/shadow", path));
  tell("rename", rename(file, path));
  tell("unlink", unlink(path));
  tell("chmod", chmod("/tmp", 01777));
  tell("memfd", syscall(SYS_memfd_create, "x", 0));
  tell("setuid", setuid(0));
  tell("packet", socket(AF_PACKET, SOCK_RAW, 0));
  tell("inet", socket(AF_INET, SOCK_STREAM, 0));
  tell("unshare", unshare(CLONE_NEWNS | CLONE_NEWUTS));
  tell("mount", mount("none", "/tmp", "tmpfs", 0, ""));
  tell("signal", kill(getppid(), 0));
  tell("ptrace", ptrace(PTRACE_SEIZE, getppid(), 0, 0));
  long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  tell("fork", child);
  char* argv[] = {"true", NULL};
  tell("exec", getenv("INTRUDER_NO_EXEC") ? 0 : execv("/bin/true", argv));
  if (write(2, "end\n", 4) < 0) _exit(9);
  return 0;
}

__attribute__((visibility("default"))) int curl_easy_perform(void* handle) {
  (void)handle;
  intrude("/tmp/cooper-intruder-file");
  return 7; /* CURLE_COULDNT_CONNECT */
}
