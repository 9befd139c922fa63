#include "sys/inotify.h"

#include <cerrno>

#include "base/strings.h"

namespace cooper::sys {

Result<UniqueFd> inotify_init1() {
  const int fd = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (fd < 0) return Error::from_errno(errno, "create an inotify descriptor");
  return UniqueFd(fd);
}

Result<int> inotify_add_watch(BorrowedFd inotify, const std::string& path, std::uint32_t mask) {
  const int watch = ::inotify_add_watch(inotify.get(), path.c_str(), mask);
  if (watch < 0) return Error::from_errno(errno, "watch " + quoted(path));
  return watch;
}

}  // namespace cooper::sys
