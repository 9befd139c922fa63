/* cooper-init: process 1 of a pod, or of a container that asked for one.
 *
 *   cooper-init pause                holds the pod's namespaces: reaps what is left to it until told to end
 *   cooper-init run -- CMD [ARG...]  runs CMD as its child, passes signals on, reaps, and ends as CMD ended
 *
 * Signals. Process 1 gets only what it asked for, and a signal that would end a process elsewhere would not end it
 * here; so all are blocked and taken one at a time, in order. cooper starts it with all of them blocked, so that none
 * is lost before it has come so far.
 *
 *   pause  SIGTERM and SIGINT end it with status 0, and with it the namespace: the kernel kills what is left there. All
 *          others are ignored.
 *   run    Every signal but SIGCHLD goes to CMD; SIGTTIN and SIGTTOU are ignored (they are about us, not about CMD).
 *
 * CMD starts with no signal blocked, in a process group of its own, which becomes the foreground group when standard
 * input is a terminal of this session.
 *
 * Exit status of run: CMD's own; 128+n when signal n ended it; 127 when it does not exist, 126 when it cannot be
 * executed. A failure of cooper-init itself, and wrong usage: 125.
 *
 * It lives in every pod, so it is small: no C library, no allocation, no writable data but the stack. That needs a line
 * of assembly for each machine it runs on.
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns") /* or loops become calls of a memset that is not there */
#endif

#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/signal.h>
#include <linux/wait.h>
#include <stddef.h>

#include "sys/system_call.h"

enum {
  kExitFailure = 125,
  kExitNotExecutable = 126,
  kExitNotFound = 127,
  kPathMax = 4096,
  kSigTtin = 21,
  kSigTtou = 22
};

/* ---- system calls -------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* The kernel leaves argc, argv and envp on the stack; the stack pointer is the only register that says so. */
__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call start_c\n  hlt\n");
#elif defined(__aarch64__)
__asm__(
    ".globl _start\n_start:\n  mov x29, #0\n  mov x30, #0\n  mov x0, sp\n  and sp, x0, #-16\n  bl start_c\n  brk #1\n");
#else
#error "cooper-init knows x86_64 and aarch64 only"
#endif

/* The kernel's signal set: bit n-1 is signal n. */
typedef unsigned long SignalSet;
_Static_assert(sizeof(SignalSet) == 8, "the kernel's signal set has 64 bits");
static const SignalSet kAllSignals = ~0UL;
static const SignalSet kNoSignals = 0;
enum { kSetBytes = 8, kSigSetmask = 2 };

static void quit(int status) {
  for (;;) call(__NR_exit_group, status, 0, 0, 0);
}

static long set_mask(const SignalSet* set) {
  return call(__NR_rt_sigprocmask, kSigSetmask, (long)set, 0, kSetBytes);
}

/* The next pending signal, whichever it is. */
static int next_signal(void) {
  for (;;) {
    const long signal = call(__NR_rt_sigtimedwait, (long)&kAllSignals, 0, 0, kSetBytes);
    if (signal > 0) return (int)signal;
    if (signal != -EINTR && signal != -EAGAIN) quit(kExitFailure);
  }
}

static long send_signal(long pid, int signal) {
  return call(__NR_kill, pid, signal, 0, 0);
}

/* ---- text ---------------------------------------------------------------------------------------------------- */

static size_t length(const char* text) {
  size_t n = 0;
  while (text[n] != '\0') n++;
  return n;
}

static int same(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) a++, b++;
  return *a == *b;
}

static void say(const char* text) {
  (void)call(__NR_write, 2, (long)text, (long)length(text), 0);
}

static const char* reason(long error) {
  switch (error) {
    case ENOENT:
      return "no such file or directory, or its interpreter is missing";
    case EACCES:
      return "permission denied, or not a file that can be executed";
    case ENOEXEC:
      return "not a program for this machine, or a script without '#!'";
    case ENOTDIR:
      return "not a directory";
    case E2BIG:
      return "argument list too long";
    case ENOMEM:
      return "cannot allocate memory";
    case EAGAIN:
      return "too many processes";
    default:
      return NULL;
  }
}

static void say_failure(const char* what, const char* name, long error) {
  const char* const words = reason(error);
  char digits[8];
  size_t at = sizeof digits;
  digits[--at] = '\0';
  do {
    digits[--at] = (char)('0' + error % 10);
    error /= 10;
  } while (error > 0 && at > 0);
  say("cooper-init: ");
  say(what);
  say(" '");
  say(name);
  say("': ");
  say(words != NULL ? words : "errno ");
  if (words == NULL) say(digits + at);
  say("\n");
}

/* Value of `name` ("PATH=") in the environment, or NULL. */
static const char* variable(char** env, const char* name) {
  const size_t n = length(name);
  for (; *env != NULL; env++) {
    size_t i = 0;
    while (i < n && (*env)[i] == name[i]) i++;
    if (i == n) return *env + n;
  }
  return NULL;
}

/* ---- processes ----------------------------------------------------------------------------------------------- */

/* Reaps every child that has ended. True when `watched` was among them; its wait status is stored then. */
static int reap(long watched, int* status) {
  int found = 0;
  for (;;) {
    int ended = 0;
    const long pid = call(__NR_wait4, -1, (long)&ended, WNOHANG, 0);
    if (pid == -EINTR) continue;
    if (pid <= 0) return found;
    if (pid == watched) {
      found = 1;
      *status = ended;
    }
  }
}

static int exit_status(int wait_status) {
  const int signal = wait_status & 0x7f;
  return signal == 0 ? (wait_status >> 8) & 0xff : 128 + signal;
}

/* Tries every directory of PATH as execvp does: a file that may not be executed is remembered, the search goes on. */
static long exec_in_path(char** args, char** env) {
  const char* name = args[0];
  const size_t name_length = length(name);
  const char* path = variable(env, "PATH=");
  long error = -ENOENT;
  char file[kPathMax];
  for (const char* at = name; *at != '\0'; at++) {
    if (*at == '/') return call(__NR_execve, (long)name, (long)args, (long)env, 0);
  }
  if (path == NULL) path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  if (name_length == 0) return error;
  for (;;) {
    size_t n = 0;
    while (path[n] != '\0' && path[n] != ':') n++;
    if (n + name_length + 2 <= sizeof file) {
      size_t out = 0;
      for (size_t i = 0; i < n; i++) file[out++] = path[i];
      if (n != 0) file[out++] = '/';
      for (size_t i = 0; i <= name_length; i++) file[out++] = name[i];
      const long result = call(__NR_execve, (long)file, (long)args, (long)env, 0);
      if (result == -EACCES) error = result;
      if (result != -ENOENT && result != -ENOTDIR && result != -EACCES) return result;
    }
    if (path[n] == '\0') return error;
    path += n + 1;
  }
}

static void run_child(char** args, char** env) {
  const int self = (int)call(__NR_getpid, 0, 0, 0, 0);
  (void)call(__NR_setpgid, 0, 0, 0, 0);
  /* Allowed from the background, for SIGTTOU is blocked. Fails where standard input is no terminal. */
  (void)call(__NR_ioctl, 0, TIOCSPGRP, (long)&self, 0);
  (void)set_mask(&kNoSignals);
  const long error = -exec_in_path(args, env);
  say_failure("cannot run", args[0], error);
  quit(error == ENOENT || error == ENOTDIR ? kExitNotFound : kExitNotExecutable);
}

static long fork_process(void) {
#if defined(__x86_64__)
  return call5(__NR_clone, SIGCHLD, 0, 0, 0, 0); /* flags, stack, parent_tid, child_tid, tls */
#else
  return call5(__NR_clone, SIGCHLD, 0, 0, 0, 0); /* flags, stack, parent_tid, tls, child_tid */
#endif
}

static void run(char** args, char** env) {
  int status = 0;
  if (set_mask(&kAllSignals) != 0) quit(kExitFailure);
  const long child = fork_process();
  if (child < 0) {
    say_failure("cannot fork for", args[0], -child);
    quit(kExitFailure);
  }
  if (child == 0) run_child(args, env);
  for (;;) {
    const int signal = next_signal();
    if (signal == SIGCHLD) {
      if (reap(child, &status)) quit(exit_status(status));
    } else if (signal != kSigTtin && signal != kSigTtou) {
      (void)send_signal(child, signal);
    }
  }
}

static void pause_forever(void) {
  int unused = 0;
  if (set_mask(&kAllSignals) != 0) quit(kExitFailure);
  for (;;) {
    const int signal = next_signal();
    if (signal == SIGCHLD) (void)reap(0, &unused);
    if (signal == SIGTERM || signal == SIGINT) quit(0);
  }
}

static void usage(void) {
  say("usage: cooper-init pause\n"
      "       cooper-init run -- COMMAND [ARGUMENT...]\n"
      "Process 1 of a pod: holds its namespaces, or runs one command, passes signals on and reaps orphans.\n");
}

__attribute__((noreturn, used)) void start_c(long* stack);
void start_c(long* stack) {
  const long count = stack[0];
  char** args = (char**)(stack + 1);
  char** env = args + count + 1;
  if (count == 2 && same(args[1], "pause")) pause_forever();
  if (count >= 4 && same(args[1], "run") && same(args[2], "--")) run(args + 3, env);
  if (count == 2 && same(args[1], "--version")) {
    say("cooper-init " COOPER_VERSION "\n");
    quit(0);
  }
  usage();
  quit(count == 2 && same(args[1], "--help") ? 0 : kExitFailure);
  __builtin_unreachable();
}
