// Sends READY=1 to $NOTIFY_SOCKET, prints the socket's path, then waits to be killed.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(void) {
  const char* path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path == NULL || strlen(path) >= sizeof address.sun_path) return 2;
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (sendto(fd, "READY=1", 7, 0, (struct sockaddr*)&address, sizeof address) != 7) {
    perror("sendto");
    return 3;
  }
  printf("%s\n", path);
  fflush(stdout);
  for (;;) pause();
}
