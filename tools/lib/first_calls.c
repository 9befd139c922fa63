/* first_calls OUTPUT PROGRAM [ARGUMENT...]: runs PROGRAM one instruction at a time and writes the offsets in its file's
 * mapping of those it executes, each once, in the order of their first execution; its forks are followed, and what is
 * executed in its place (PROGRAM again: coop runs from a clone of its file) as long as it is the same file. Ends with
 * PROGRAM. For tools/order-functions. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kMaxOffset = 64 << 20, kMaxProcesses = 256 };

struct process {
  pid_t pid;
  unsigned long base; /* 0: runs another program, and is left alone */
};

static unsigned char seen[kMaxOffset];
static struct process processes[kMaxProcesses];
static struct stat program;
static FILE* output;

static struct process* find(pid_t pid) {
  struct process* unused = NULL;
  for (size_t i = 0; i < kMaxProcesses; ++i) {
    if (processes[i].pid == pid) return &processes[i];
    if (processes[i].pid == 0 && unused == NULL) unused = &processes[i];
  }
  if (unused == NULL) {
    (void)fprintf(stderr, "first_calls: more than %d processes at once\n", kMaxProcesses);
    exit(1);
  }
  unused->pid = pid;
  unused->base = 0;
  return unused;
}

/* After an exec. */
static void look_at(struct process* process) {
  char path[64];
  char line[4096];
  process->base = 0;
  (void)snprintf(path, sizeof path, "/proc/%d/maps", process->pid);
  FILE* maps = fopen(path, "re");
  if (maps == NULL) return;
  while (process->base == 0 && fgets(line, sizeof line, maps) != NULL) {
    unsigned long begin = 0;
    unsigned long offset = 0;
    unsigned long inode = 0;
    if (sscanf(line, "%lx-%*x %*s %lx %*x:%*x %lu", &begin, &offset, &inode) == 3 && offset == 0 &&
        inode == program.st_ino)
      process->base = begin;
  }
  (void)fclose(maps);
}

static void note(const struct process* process) {
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, process->pid, NULL, &registers) != 0) return;
  const unsigned long offset = registers.rip - process->base;
  if (offset >= kMaxOffset || seen[offset] != 0) return;
  seen[offset] = 1;
  (void)fprintf(output, "%lx\n", offset);
}

static void go_on(struct process* process, int status) {
  const int event = status >> 16;
  const int signal = WSTOPSIG(status);
  if (event == PTRACE_EVENT_EXEC) {
    look_at(process);
  } else if (event != 0) {
    unsigned long child = 0;
    if (ptrace(PTRACE_GETEVENTMSG, process->pid, NULL, &child) == 0) find((pid_t)child)->base = process->base;
  }
  const int deliver = event != 0 || signal == SIGTRAP || signal == SIGSTOP ? 0 : signal;
  if (process->base != 0) note(process);
  (void)ptrace(process->base != 0 ? PTRACE_SINGLESTEP : PTRACE_CONT, process->pid, NULL, (long)deliver);
}

int main(int argc, char** argv) {
  if (argc < 3 || stat(argv[2], &program) != 0 || (output = fopen(argv[1], "we")) == NULL) {
    (void)fprintf(stderr, "usage: first_calls OUTPUT PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  const pid_t first = fork();
  if (first < 0) return 1;
  if (first == 0) {
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    (void)raise(SIGSTOP);
    (void)execv(argv[2], argv + 2);
    _exit(127);
  }
  int status = 0;
  int result = 1;
  (void)waitpid(first, &status, 0);
  (void)ptrace(PTRACE_SETOPTIONS, first, NULL,
               (long)(PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC));
  (void)find(first);
  (void)ptrace(PTRACE_CONT, first, NULL, NULL);
  for (pid_t pid = 0; (pid = waitpid(-1, &status, __WALL)) > 0;) {
    struct process* process = find(pid);
    if (WIFSTOPPED(status)) {
      go_on(process, status);
      continue;
    }
    process->pid = 0;
    /* What it leaves behind, the init of a created container, goes on when we end. */
    if (pid == first) {
      result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
      break;
    }
  }
  return fclose(output) == 0 ? result : 1;
}
