/* Where coop begins, before its C library does.
 *
 * A program that starts processes in containers runs from a read-only clone of its executable (docs/adr/0008), so a
 * start executes coop twice. The first run does nothing else; done here it costs neither relocations nor the set-up of
 * a C library, a third of its price. Whatever this does not do - because it is not needed, or not possible in this way
 * - is done by container::seal_executable(), which decides: going on to _start is always right.
 *
 * Nothing is relocated yet: no pointers in constants, no thread-local storage, no function of another file.
 */
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stddef.h>

#include "bin/system_call.h"
#include "container/seal_marker.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns") /* or loops become calls of a memset that is not reachable */
#endif

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

static const char kSelf[] = "/proc/self/exe";
static const char kMarker[] = COOPER_SEALED_MARKER;
/* The commands that run a program in a container. One too many is only an execution more. */
static const char kCommands[][8] = {"run", "exec", "create"};

static int equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

static int begins_with(const char* text, const char* beginning) {
  while (*beginning != '\0' && *text == *beginning) {
    ++text;
    ++beginning;
  }
  return *beginning == '\0';
}

static int starts_a_process(char** argv) {
  for (; *argv != NULL; ++argv) {
    for (size_t i = 0; i < sizeof kCommands / sizeof kCommands[0]; ++i) {
      if (equal(*argv, kCommands[i])) return 1;
    }
  }
  return 0;
}

static void print_number(char* out, long number) {
  char digits[24];
  size_t count = 0;
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  while (count > 0) *out++ = digits[--count];
  *out = '\0';
}

/* Does not return when the second run begins. */
static void run_again(long executable, long kept, char** argv, char** envp, size_t variables) {
  char marker[sizeof kMarker + 24];
  char** environment = __builtin_alloca((variables + 2) * sizeof *environment);
  for (size_t i = 0; i < variables; ++i) environment[i] = envp[i];
  for (size_t i = 0; i < sizeof kMarker; ++i) marker[i] = kMarker[i];
  print_number(marker + sizeof kMarker - 1, kept);
  environment[variables] = marker;
  environment[variables + 1] = NULL;
  (void)call5(__NR_execveat, executable, (long)"", (long)argv, (long)environment, AT_EMPTY_PATH);
}

__attribute__((used)) static void protect(long* stack) {
  const long argc = stack[0];
  char** argv = (char**)(stack + 1);
  char** envp = argv + argc + 1;
  if (argc < 2 || !starts_a_process(argv + 1)) return;
  size_t variables = 0;
  for (; envp[variables] != NULL; ++variables) {
    if (begins_with(envp[variables], kMarker)) return;
  }
  const long tree = call5(__NR_open_tree, AT_FDCWD, (long)kSelf, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC, 0, 0);
  if (tree < 0) return;
  struct mount_attr read_only = {MOUNT_ATTR_RDONLY, 0, 0, 0};
  if (call5(__NR_mount_setattr, tree, (long)"", AT_EMPTY_PATH, (long)&read_only, sizeof read_only) == 0) {
    /* It stays open: closing the last reference of a detached mount waits for the kernel. */
    const long kept = call5(__NR_fcntl, tree, F_DUPFD, kCooperSealedLowestFd, 0, 0);
    if (kept >= 0) {
      run_again(tree, kept, argv, envp, variables);
      (void)call5(__NR_close, kept, 0, 0, 0, 0);
    }
  }
  (void)call5(__NR_close, tree, 0, 0, 0, 0);
}

/* The stack pointer and an rdx of 0 (no function to call at exit) are all that the kernel hands to _start. */
__asm__(
    ".globl coop_entry\n"
    ".type coop_entry, @function\n"
    "coop_entry:\n"
    "  xor %ebp, %ebp\n"
    "  mov %rsp, %rbx\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call protect\n"
    "  mov %rbx, %rsp\n"
    "  xor %edx, %edx\n"
    "  jmp _start\n");
