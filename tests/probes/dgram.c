// Sends 1, 2, 3 ... ten times a second to a datagram socket: dgram PATH. Goes on when nobody takes them.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char** argv) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof to.sun_path) return 2;
  strcpy(to.sun_path, argv[1]);
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr*)&to, sizeof to) != 0) return 1;
  for (int i = 1;; i++) {
    char text[16];
    int length = snprintf(text, sizeof text, "%d", i);
    (void)!send(fd, text, (size_t)length, MSG_DONTWAIT);
    usleep(100000);
  }
}
