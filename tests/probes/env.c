// Prints the environment exactly as received, one entry a line, and the working directory first.
#include <stdio.h>
#include <unistd.h>

int main(int argc, char** argv, char** envp) {
  char folder[4096];
  (void)argc;
  (void)argv;
  puts(getcwd(folder, sizeof folder) ? folder : "(none)");
  for (; *envp; ++envp) puts(*envp);
  return 0;
}
