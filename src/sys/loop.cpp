#include "sys/loop.h"

#include <linux/loop.h>
#include <sys/ioctl.h>

#include <cerrno>

namespace cooper::sys {

Result<int> loop_ctl_get_free(BorrowedFd control) {
  const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
  if (number < 0) {
    const int saved = errno;
    return Error::from_errno(saved, "find a free loop device");
  }
  return number;
}

Status loop_configure(BorrowedFd device, BorrowedFd file, std::uint64_t offset, std::uint64_t size) {
  struct loop_config config = {};
  config.fd = static_cast<__u32>(file.get());
  config.info.lo_offset = offset;
  config.info.lo_sizelimit = size;
  config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
  if (::ioctl(device.get(), LOOP_CONFIGURE, &config) != 0) {
    const int saved = errno;
    return Error::from_errno(saved, "attach a loop device");
  }
  return {};
}

}  // namespace cooper::sys
