// Prints "ready", then the number of each signal that arrives (but SIGCHLD and SIGURG). SIGTERM ends it with
// the status given as argument (default 0).
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  sigset_t all;
  sigfillset(&all);
  sigdelset(&all, SIGSEGV);
  sigprocmask(SIG_SETMASK, &all, NULL);
  setvbuf(stdout, NULL, _IONBF, 0);
  puts("ready");
  for (;;) {
    int number = sigwaitinfo(&all, NULL);
    if (number == SIGCHLD || number == SIGURG || number < 0) continue;
    printf("%d\n", number);
    if (number == SIGTERM) return argc > 1 ? atoi(argv[1]) : 0;
  }
}
