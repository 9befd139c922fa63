// Sends READY=1 to $NOTIFY_SOCKET, prints the socket's path, then waits to be killed. With an argument, before that:
// messages that no receiver expects.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char** argv) {
  (void)argv;
  const char* path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path == NULL || strlen(path) >= sizeof address.sun_path) return 2;
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  static char big[30000];
  for (int i = 0; argc > 1 && i < 5; ++i) {
    if (sendto(fd, big, i == 0 ? 0 : sizeof big, 0, (struct sockaddr*)&address, sizeof address) < 0) return 4;
  }
  if (sendto(fd, "READY=1", 7, 0, (struct sockaddr*)&address, sizeof address) != 7) {
    perror("sendto");
    return 3;
  }
  printf("%s\n", path);
  fflush(stdout);
  for (;;) pause();
}
