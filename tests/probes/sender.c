// Sends 1, 2, 3 ... ten times a second to a unix socket, as a program that logs does: sender PATH [stream]. What nobody
// takes is lost.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char** argv) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  if (argc < 2 || strlen(argv[1]) >= sizeof to.sun_path) return 2;
  strcpy(to.sun_path, argv[1]);
  int fd = socket(AF_UNIX, argc > 2 ? SOCK_STREAM : SOCK_DGRAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&to, sizeof to) != 0) return 1;
  for (int i = 1;; i++) {
    char text[16];
    int length = snprintf(text, sizeof text, "%d", i);
    (void)!send(fd, text, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
    usleep(100000);
  }
}
