// Runs a command and writes its exit status, as a shell sees it, and the most memory it had in KiB to a file.
//
//   peak FILE COMMAND...
//
// A process counts from its birth what its parent had: under a large program a small one's peak is not its own.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 3) return 125;
  const pid_t child = fork();
  if (child < 0) return 125;
  if (child == 0) {
    execv(argv[2], argv + 2);
    _exit(127);
  }
  int status = 0;
  struct rusage usage;
  if (wait4(child, &status, 0, &usage) != child) return 125;
  FILE* report = fopen(argv[1], "we");
  if (report == NULL) return 125;
  fprintf(report, "%d %ld\n", WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), usage.ru_maxrss);
  return fclose(report) == 0 ? 0 : 125;
}
