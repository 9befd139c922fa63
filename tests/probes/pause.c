// Sleeps until SIGTERM or SIGKILL; collects orphans, as a PID 1 should.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_term(int number) {
  _exit(128 + number);
}

static void on_child(int number) {
  (void)number;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(void) {
  signal(SIGTERM, on_term);
  signal(SIGCHLD, on_child);
  for (;;) pause();
}
