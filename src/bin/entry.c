/* Where coop and cooper begin, before their C library does.
 *
 * A program that starts processes in containers runs from a read-only clone of its executable (docs/adr/0008). Here,
 * where no page of the program has been written yet, this needs no second execve: the pages are mapped again from the
 * clone, at the same addresses, and the kernel is told that the clone is the executable (prctl(2), PR_SET_MM_MAP).
 * Where it refuses that, the program is executed again from the clone, which done here costs neither relocations nor
 * the set-up of a C library. Whatever this does not do - because it is not needed, or not possible in this way - is
 * done by container::seal_executable(), which decides: going on to _start is always right.
 *
 * Nothing is relocated yet: no pointers in constants, no thread-local storage, no function of another file.
 */
#include <asm/unistd.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "container/seal_marker.h"
#include "sys/system_call.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns") /* or loops become calls of a memset that is not reachable */
#endif

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

enum { kPageBytes = 4096 };

/* The first bytes of the program, in memory as in its file; set by the linker. */
extern const Elf64_Ehdr kProgramStart __asm__("__ehdr_start") __attribute__((visibility("hidden")));

static const char kSelf[] = "/proc/self/exe";
static const char kDescriptors[] = "/proc/self/fd/";
static const char kMarker[] = COOPER_SEALED_MARKER;
/* The words that run a program in a container. One too many costs a tenth of a millisecond. */
static const char kCommands[][16] = {"run", "exec", "create", "run-prepared"};

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

/* What PR_SET_MM_MAP wants to know again although it stays what it is. */
static void describe(struct prctl_mm_map* map, const long* stack, char** envp, size_t variables) {
  const long argc = stack[0];
  char** argv = (char**)(stack + 1);
  const char* end = argv[argc - 1];
  while (*end++ != '\0') {
  }
  map->arg_start = (uintptr_t)argv[0];
  map->arg_end = (uintptr_t)end;
  map->env_start = map->arg_end;
  for (size_t i = 0; i < variables; ++i) {
    end = envp[i];
    while (*end++ != '\0') {
    }
  }
  map->env_end = (uintptr_t)end;
  map->start_stack = (uintptr_t)stack;
  map->brk = (uintptr_t)call5(__NR_brk, 0, 0, 0, 0, 0);
  map->start_brk = map->brk;
}

/* The program's pages from another descriptor of its file, as execve maps them; 0: done. Each page is at any moment
 * that of one file or the other, which are the same. */
static long map_again(long file, struct prctl_mm_map* map) {
  const uintptr_t base = (uintptr_t)&kProgramStart;
  const Elf64_Phdr* header = (const Elf64_Phdr*)(base + kProgramStart.e_phoff);
  for (size_t i = 0; i < kProgramStart.e_phnum; ++i) {
    const Elf64_Phdr part = header[i]; /* a copy: this page is one of those */
    if (part.p_type != PT_LOAD) continue;
    const uintptr_t into_page = part.p_vaddr % kPageBytes;
    const uintptr_t begin = base + part.p_vaddr;
    const uintptr_t end = begin + part.p_filesz;
    const long protection = (part.p_flags & PF_R ? PROT_READ : 0) | (part.p_flags & PF_W ? PROT_WRITE : 0) |
                            (part.p_flags & PF_X ? PROT_EXEC : 0);
    const long mapped = call6(__NR_mmap, (long)(begin - into_page), (long)(part.p_filesz + into_page), protection,
                              MAP_PRIVATE | MAP_FIXED, file, (long)(part.p_offset - into_page));
    if (mapped != (long)(begin - into_page)) return -1;
    /* The rest of a page with variables is zeros, not what follows in the file. */
    if ((part.p_flags & PF_W) != 0 && part.p_memsz > part.p_filesz) {
      for (volatile char* at = (volatile char*)end; (uintptr_t)at % kPageBytes != 0; ++at) *at = 0;
    }
    if ((part.p_flags & PF_X) != 0) {
      map->start_code = begin;
      map->end_code = end;
    }
    map->start_data = begin;
    map->end_data = end;
  }
  return 0;
}

/* Whether a file begins as this program does, its build id included. Under an emulator or an instrument /proc/self/exe
 * is theirs. */
static int is_this_program(long file) {
  char begin[1024];
  const char* here = (const char*)&kProgramStart;
  if (call5(__NR_pread64, file, (long)begin, sizeof begin, 0, 0) != sizeof begin) return 0;
  for (size_t i = 0; i < sizeof begin; ++i) {
    if (begin[i] != here[i]) return 0; /* NOLINT: the kernel has written it */
  }
  return 1;
}

/* A dynamic loader has written to the program's pages already. */
static int is_loaded_by_another(void) {
  const Elf64_Phdr* header = (const Elf64_Phdr*)((uintptr_t)&kProgramStart + kProgramStart.e_phoff);
  for (size_t i = 0; i < kProgramStart.e_phnum; ++i) {
    if (header[i].p_type == PT_INTERP) return 1;
  }
  return 0;
}

/* Makes the clone the executable of this process; 0: done. */
static long move_to(long tree, const long* stack, char** envp, size_t variables) {
  if (is_loaded_by_another()) return -1;
  char path[sizeof kDescriptors + 24];
  for (size_t i = 0; i < sizeof kDescriptors; ++i) path[i] = kDescriptors[i];
  print_number(path + sizeof kDescriptors - 1, tree);
  const long file = call5(__NR_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
  if (file < 0) return file;
  struct prctl_mm_map map = {0};
  map.exe_fd = (uint32_t)file;
  describe(&map, stack, envp, variables);
  long result = is_this_program(file) ? map_again(file, &map) : -1;
  if (result == 0) result = call5(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&map, sizeof map, 0);
  (void)call5(__NR_close, file, 0, 0, 0, 0);
  return result;
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
    const long kept = call5(__NR_fcntl, tree, F_DUPFD_CLOEXEC, kCooperSealedLowestFd, 0, 0);
    if (kept >= 0) {
      if (move_to(tree, stack, envp, variables) == 0) {
        cooper_executable_clone = (int)kept;
      } else {
        (void)call5(__NR_fcntl, kept, F_SETFD, 0, 0, 0);
        run_again(tree, kept, argv, envp, variables);
        (void)call5(__NR_close, kept, 0, 0, 0, 0);
      }
    }
  }
  (void)call5(__NR_close, tree, 0, 0, 0, 0);
}

/* The stack pointer and an rdx of 0 (no function to call at exit) are all that the kernel hands to _start. */
__asm__(
    ".globl cooper_entry\n"
    ".type cooper_entry, @function\n"
    "cooper_entry:\n"
    "  xor %ebp, %ebp\n"
    "  mov %rsp, %rbx\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call protect\n"
    "  mov %rbx, %rsp\n"
    "  xor %edx, %edx\n"
    "  jmp _start\n");
