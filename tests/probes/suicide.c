// Kills itself: suicide SIGNAL. (A PID 1 survives and returns 99.)
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  int number = argc > 1 ? atoi(argv[1]) : SIGKILL;
  sigset_t none;
  sigemptyset(&none);
  signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, NULL);
  kill(getpid(), number);
  return 99;
}
