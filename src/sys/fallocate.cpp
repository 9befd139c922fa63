#include "sys/fallocate.h"

#include <cerrno>

#include "sys/retry.h"

namespace cooper::sys {

Status fallocate(BorrowedFd fd, off_t size) {
  if (retry([&] { return ::fallocate(fd.get(), 0, 0, size); }) != 0) return Error::from_errno(errno, "allocate");
  return {};
}

}  // namespace cooper::sys
