// Describes the terminal on standard input: "tty=BITS size=ROWSxCOLUMNS leader=0|1 foreground=0|1 name=NAME".
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void) {
  struct winsize size = {0};
  ioctl(0, TIOCGWINSZ, &size);
  const char* name = ttyname(0);
  printf("tty=%d%d%d size=%ux%u leader=%d foreground=%d name=%s\n", isatty(0), isatty(1), isatty(2), size.ws_row,
         size.ws_col, getsid(0) == getpid(), tcgetpgrp(0) == getpgrp(), name ? name : "-");
  return 0;
}
