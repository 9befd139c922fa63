#include "sys/lseek.h"

#include <cerrno>

namespace cooper::sys {

Result<off_t> lseek(BorrowedFd fd, off_t offset, int whence) {
  const off_t at = ::lseek(fd.get(), offset, whence);
  const int saved = errno;
  if (at < 0) return Error::from_errno(saved, "seek");
  return at;
}

}  // namespace cooper::sys
