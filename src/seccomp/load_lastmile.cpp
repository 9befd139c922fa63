#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp/seccomp.h"

namespace cooper::seccomp {

// seccomp(2), kernel 3.17.
int load(const struct sock_filter* instructions, unsigned short count, std::uint32_t flags) {
  // The kernel does not write through the pointer.
  const struct sock_fprog program = {.len = count, .filter = const_cast<struct sock_filter*>(instructions)};
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace cooper::seccomp
