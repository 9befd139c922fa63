#include "criu/serve_child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sys/socket.h"

namespace cooper::criu {
namespace {

[[noreturn]] void fail(const Service& service, std::string_view what) {
  const int saved = errno;
  std::string message(reinterpret_cast<const char*>(&saved), sizeof saved);
  message += what;
  (void)!sys::send_message(service.parent, message).ok();
  ::_exit(127);
}

void make_mount(const Service& service) {
  if (service.mount_at.empty()) return;
  if (::unshare(CLONE_NEWNS) != 0) fail(service, "make a mount namespace");
  // Others, which the container's mounts may be slaves of, stay as they are.
  if (::mount(nullptr, service.mount_below.c_str(), nullptr, MS_PRIVATE, nullptr) != 0)
    fail(service, "make a mount private");
  if (::mount(service.mount_from.c_str(), service.mount_at.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    fail(service, "mount the root file system");
}

// Who made the socket is who criu takes for its client, whose descriptors it opens the directories by. It must be criu
// itself: by a process in another mount namespace they would be places where nothing can be mounted.
int make_socket(const Service& service) {
  auto pair = sys::socketpair(SOCK_SEQPACKET);
  if (!pair.ok()) {
    errno = pair.error().errno_value();
    fail(service, "make a socket");
  }
  const int theirs = pair->second.get();
  if (!sys::send_message(service.parent, "socket", std::span(&theirs, 1)).ok()) ::_exit(127);
  return pair->first.release();
}

int open_directory(const Service& service, const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(service, "open directory " + path);
  return fd;
}

// Descriptor i becomes 3 + i. In two passes, so that none is overwritten before its turn.
void place_descriptors(Service& service, std::vector<int> descriptors) {
  const int beyond = 3 + static_cast<int>(descriptors.size());
  for (int& fd : descriptors) {
    const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, beyond);
    if (moved < 0) fail(service, "move a descriptor");
    fd = moved;
  }
  const int parent = ::fcntl(service.parent.get(), F_DUPFD_CLOEXEC, beyond);
  if (parent < 0) fail(service, "move a descriptor");
  service.parent = BorrowedFd(parent);
  int place = 3;
  for (const int fd : descriptors) {
    // Without close-on-exec: criu is to have them.
    if (::dup3(fd, place++, 0) < 0) fail(service, "move a descriptor");
  }
}

}  // namespace

void serve(Service service) {
  // What we ignore or block, criu and the processes it restores must not.
  for (int signal = 1; signal < NSIG; ++signal) (void)::signal(signal, SIG_DFL);
  sigset_t none;
  (void)::sigemptyset(&none);
  (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
  make_mount(service);
  std::vector<int> descriptors{make_socket(service)};
  for (const std::string& path : service.directories) descriptors.push_back(open_directory(service, path));
  descriptors.insert(descriptors.end(), service.passed.begin(), service.passed.end());
  place_descriptors(service, std::move(descriptors));
  std::string verb = "swrk";
  std::string number = "3";
  char* const argv[] = {service.program.data(), verb.data(), number.data(), nullptr};
  (void)::execv(service.program.c_str(), argv);
  fail(service, "run it");
}

}  // namespace cooper::criu
