#include "sys/copy.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sys/retry.h"

namespace cooper::sys {

Status ficlone(BorrowedFd from, BorrowedFd to) {
  if (::ioctl(to.get(), FICLONE, from.get()) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "share the blocks of a file");
  }
  return {};
}

Result<std::size_t> copy_file_range(BorrowedFd from, BorrowedFd to, std::size_t size) {
  const ssize_t n = retry([&] { return ::copy_file_range(from.get(), nullptr, to.get(), nullptr, size, 0); });
  if (n < 0) {
    const int saved = errno;
    return Error::from_errno(saved, "copy bytes");
  }
  return static_cast<std::size_t>(n);
}

}  // namespace cooper::sys
