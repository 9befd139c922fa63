// A listener on the loopback interface and two connections to it that nobody has accepted: the first is in its queue,
// which is full, so the second is still being made. Counts ten times a second. SIGUSR1: accepts what comes and uses the
// first; prints 1000 and how many were accepted, 2000 and the error of the first connection, 3000 and that of the
// second; counts on from 4000.
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kPatience = 10000 };
static volatile sig_atomic_t asked;
static void note(int signal) {
  asked = signal;
}

static int connection(const struct sockaddr_in* to) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0) (void)connect(fd, (const struct sockaddr*)to, sizeof *to);
  return fd;
}

static int error_of(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

static void use(int listener, int first, int second) {
  struct pollfd queue = {.fd = listener, .events = POLLIN}, answer = {.fd = first, .events = POLLIN};
  int accepted = 0;
  (void)poll(&queue, 1, kPatience);
  while (accept(listener, NULL, NULL) >= 0) accepted++;
  // Whose other end is gone is told so when it sends.
  int error = send(first, "x", 1, MSG_NOSIGNAL) < 0 ? errno : 0;
  if (error == 0 && poll(&answer, 1, kPatience) > 0) error = error_of(first);
  dprintf(1, "%d\n%d\n%d\n", 1000 + accepted, 2000 + error, 3000 + error_of(second));
}

int main(void) {
  const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9999), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(listener, (const struct sockaddr*)&at, sizeof at) != 0 || listen(listener, 0) != 0) return 2;
  struct pollfd queue = {.fd = listener, .events = POLLIN};
  int first = connection(&at);
  // On a busy machine the handshake takes a while: a second one meanwhile would be half made, not waiting to be made.
  if (poll(&queue, 1, kPatience) != 1) return 3;
  int second = connection(&at);
  signal(SIGUSR1, note);
  for (int i = 1;; i++) {
    dprintf(1, "%d\n", i);
    usleep(100000);
    if (asked == 0) continue;
    asked = 0;
    use(listener, first, second);
    i = 4000;
  }
}
