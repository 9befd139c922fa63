// Runs a command under ptrace and lets one system call of it go wrong: the process is killed at the call, or the call
// fails.
//
//   inject --report FILE [--until FILE]... [--until-name NAME] [--attach PID] [--settle MS] [FAULT] -- COMMAND...
//
// Processes (threads as well) are numbered in the order in which they appear: 0 is the command, then its children and
// the process given by --attach. A process that executes a file named by --until, or any of the name given by
// --until-name, is let go: it is the container's program.
//
//   --trace              write "call PROCESS INDEX NUMBER" for every system call; INDEX counts from 1 in each process
//   --kill P:INDEX       SIGKILL to process P as it enters its INDEX-th call
//   --fail P:NR:K:ERRNO  the K-th call number NR of process P is not made and fails
//   --gone NR:ERRNO      no process has call NR at all
//
// The report says "injected PROCESS INDEX NUMBER" if the fault took place and "exit STATUS" (as a shell sees it) at the
// end, which is also the exit status. When the command has ended, its children are watched until they have been silent
// for --settle.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the registers of a system call are known here for x86-64 only"
#endif

enum { kMaxTasks = 4096, kMaxUntil = 8, kMaxNumber = 512 };
enum Fault { kNone, kTrace, kKill, kFail, kGone };

struct Task {
  pid_t pid;
  int process;
  int calls;
  int pending;    // errno to give back when the call returns
  int of_number;  // calls of the number that is to fail
};

static struct Task tasks[kMaxTasks];
static int task_count;
static int next_process;
static enum Fault fault = kNone;
static int target_process, target_index, target_number, target_errno;
static struct stat until[kMaxUntil];
static const char* until_name;
static int until_count;
static FILE* report;
static bool executed;  // the command itself runs: calls count from here

static void die(const char* what) {
  fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
  exit(125);
}

static struct Task* find(pid_t pid) {
  for (int i = 0; i < task_count; ++i) {
    if (tasks[i].pid == pid) return &tasks[i];
  }
  return NULL;
}

static struct Task* find_or_add(pid_t pid) {
  struct Task* found = find(pid);
  if (found != NULL) return found;
  if (task_count == kMaxTasks) {
    errno = E2BIG;
    die("too many processes");
  }
  tasks[task_count] = (struct Task){.pid = pid, .process = next_process++};
  return &tasks[task_count++];
}

static void forget(pid_t pid) {
  struct Task* found = find(pid);
  if (found != NULL) *found = tasks[--task_count];
}

static void resume(pid_t pid, int signal) {
  if (ptrace(PTRACE_SYSCALL, pid, 0, (long)signal) != 0 && errno != ESRCH) die("resume");
}

static void injected(const struct Task* task, int number) {
  fprintf(report, "injected %d %d %d\n", task->process, task->calls, number);
  fflush(report);
}

static void make_fail(struct Task* task, int number) {
  struct user_regs_struct regs;
  struct iovec part = {&regs, sizeof regs};
  if (ptrace(PTRACE_GETREGSET, task->pid, (long)NT_PRSTATUS, &part) != 0) return;
  regs.orig_rax = (unsigned long long)-1;
  if (ptrace(PTRACE_SETREGSET, task->pid, (long)NT_PRSTATUS, &part) != 0) return;
  task->pending = target_errno;
  injected(task, number);
}

static void on_entry(struct Task* task, int number) {
  if (!executed) return;
  ++task->calls;
  switch (fault) {
    case kNone:
      return;
    case kTrace:
      fprintf(report, "call %d %d %d\n", task->process, task->calls, number);
      return;
    case kKill:
      if (task->process != target_process || task->calls != target_index) return;
      injected(task, number);
      (void)kill(task->pid, SIGKILL);
      return;
    case kFail:
      if (task->process != target_process || number != target_number || ++task->of_number != target_index) return;
      make_fail(task, number);
      return;
    case kGone:
      if (number == target_number) make_fail(task, number);
      return;
  }
}

static void on_exit_of_call(struct Task* task) {
  if (task->pending == 0) return;
  struct user_regs_struct regs;
  struct iovec part = {&regs, sizeof regs};
  if (ptrace(PTRACE_GETREGSET, task->pid, (long)NT_PRSTATUS, &part) == 0) {
    regs.rax = (unsigned long long)-(long long)task->pending;
    (void)ptrace(PTRACE_SETREGSET, task->pid, (long)NT_PRSTATUS, &part);
  }
  task->pending = 0;
}

static void on_call(struct Task* task) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, task->pid, sizeof info, &info) <= 0) return;
  if (info.op == PTRACE_SYSCALL_INFO_ENTRY) on_entry(task, (int)info.entry.nr);
  if (info.op == PTRACE_SYSCALL_INFO_EXIT) on_exit_of_call(task);
}

static bool is_let_go(pid_t pid) {
  char path[64];
  struct stat now;
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  if (stat(path, &now) != 0) return false;
  char target[4096];
  const ssize_t size = readlink(path, target, sizeof target - 1);
  if (until_name != NULL && size > 0) {
    target[size] = '\0';
    const char* slash = strrchr(target, '/');
    if (slash != NULL && strcmp(slash + 1, until_name) == 0) return true;
  }
  for (int i = 0; i < until_count; ++i) {
    if (now.st_dev == until[i].st_dev && now.st_ino == until[i].st_ino) return true;
  }
  return false;
}

// Returns false when the process is no longer traced.
static bool on_event(pid_t pid, int event) {
  unsigned long message = 0;
  (void)ptrace(PTRACE_GETEVENTMSG, pid, 0, &message);
  if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) {
    (void)find_or_add((pid_t)message);
  } else if (event == PTRACE_EVENT_EXEC) {
    if ((pid_t)message != pid) forget((pid_t)message);
    executed = true;
    if (is_let_go(pid)) {
      (void)ptrace(PTRACE_DETACH, pid, 0, 0);
      forget(pid);
      return false;
    }
  }
  return true;
}

static void on_stop(pid_t pid, int status) {
  struct Task* task = find_or_add(pid);
  const int signal = WSTOPSIG(status);
  const int event = status >> 16;
  if (signal == (SIGTRAP | 0x80)) {
    on_call(task);
    resume(pid, 0);
  } else if (event == PTRACE_EVENT_STOP) {
    const bool group = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
    if (!group) {
      resume(pid, 0);
    } else if (ptrace(PTRACE_LISTEN, pid, 0, 0) != 0 && errno != ESRCH) {
      die("listen");
    }
  } else if (event != 0) {
    if (on_event(pid, event)) resume(pid, 0);
  } else {
    resume(pid, signal);
  }
}

static const long kOptions =
    PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;

static pid_t launch(char** argv) {
  int gate[2];
  if (pipe2(gate, O_CLOEXEC) != 0) die("pipe");
  const pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    char byte;
    (void)!read(gate[0], &byte, 1);
    close(gate[0]);
    close(gate[1]);
    execv(argv[0], argv);
    _exit(127);
  }
  if (ptrace(PTRACE_SEIZE, pid, 0, kOptions) != 0) die("seize the command");
  (void)find_or_add(pid);
  (void)!write(gate[1], "x", 1);
  close(gate[0]);
  close(gate[1]);
  return pid;
}

static void attach(pid_t pid) {
  if (ptrace(PTRACE_SEIZE, pid, 0, kOptions) != 0) die("attach");
  (void)find_or_add(pid);
  // In the middle of a call: only after an interruption are its calls reported.
  if (ptrace(PTRACE_INTERRUPT, pid, 0, 0) != 0) die("interrupt");
}

static int shell_status(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int trace(pid_t root, long settle) {
  int result = -1;
  long last = now_ms();
  while (task_count > 0) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, __WALL | (result >= 0 ? WNOHANG : 0));
    if (pid < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (pid == 0) {
      if (now_ms() - last > settle) break;
      (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
      continue;
    }
    last = now_ms();
    if (WIFSTOPPED(status)) {
      on_stop(pid, status);
      continue;
    }
    if (pid == root) result = shell_status(status);
    forget(pid);
  }
  return result;
}

static void parse_fault(const char* option, const char* text) {
  const char* form = strcmp(option, "--kill") == 0   ? "%d:%d%n"
                     : strcmp(option, "--gone") == 0 ? "%d:%d%n"
                                                     : "%d:%d:%d:%d%n";
  int a = 0, b = 0, c = 0, d = 0, used = 0;
  if (strcmp(option, "--fail") == 0) {
    (void)sscanf(text, form, &a, &b, &c, &d, &used);
    fault = kFail;
    target_process = a, target_number = b, target_index = c, target_errno = d;
  } else {
    (void)sscanf(text, form, &a, &b, &used);
    fault = strcmp(option, "--kill") == 0 ? kKill : kGone;
    target_process = a, target_index = b;
    if (fault == kGone) target_number = a, target_errno = b;
  }
  if (used == 0 || text[used] != '\0') {
    errno = EINVAL;
    die(text);
  }
}

int main(int argc, char** argv) {
  pid_t attached = 0;
  long settle = 50;
  int i = 1;
  for (; i < argc && strcmp(argv[i], "--") != 0; ++i) {
    if (strcmp(argv[i], "--trace") == 0) {
      fault = kTrace;
      continue;
    }
    if (i + 1 >= argc) break;
    const char* value = argv[i + 1];
    if (strcmp(argv[i], "--report") == 0) {
      report = fopen(value, "we");
      if (report == NULL) die(value);
    } else if (strcmp(argv[i], "--until") == 0 && until_count < kMaxUntil) {
      if (stat(value, &until[until_count++]) != 0) die(value);
    } else if (strcmp(argv[i], "--until-name") == 0) {
      until_name = value;
    } else if (strcmp(argv[i], "--attach") == 0) {
      attached = (pid_t)strtol(value, NULL, 10);
    } else if (strcmp(argv[i], "--settle") == 0) {
      settle = strtol(value, NULL, 10);
    } else {
      parse_fault(argv[i], value);
    }
    ++i;
  }
  if (report == NULL || i + 1 >= argc) {
    fprintf(stderr, "usage: inject --report FILE [--until FILE] [--attach PID] [FAULT] -- COMMAND...\n");
    return 125;
  }
  const pid_t root = launch(argv + i + 1);
  if (attached != 0) attach(attached);
  const int status = trace(root, settle);
  fprintf(report, "exit %d\n", status);
  fclose(report);
  return status < 0 ? 125 : status;
}
