#include <gtest/gtest.h>

#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "confine/sandbox.h"
#include "sys/cred.h"

namespace cooper::confine {
namespace {

// 0, or the number of what is not as it should be.
int try_sandbox(Purpose purpose) {
  const int plain = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (plain < 0 || socket < 0 || !sys::set_no_new_privs().ok() || !enter_sandbox(purpose).ok()) return 1;
  int bytes = 0;
  const bool transfer = purpose == Purpose::kTransfer;
  if (::ioctl(plain, TIOCSTI, "x") == 0 || errno != EPERM) return 2;
  if (::ioctl(plain, TIOCSCTTY, 0) == 0 || errno != EPERM) return 3;
  if ((::ioctl(socket, FIONREAD, &bytes) == 0) != transfer) return 4;
  if ((::socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) >= 0) != transfer) return 5;
  if (::socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT) >= 0 || errno != EPERM) return 6;
  return 0;
}

TEST(SandboxTest, NeitherTerminalsNorOtherFamiliesOfNetlink) {
  for (const Purpose purpose : {Purpose::kTransfer, Purpose::kCompute}) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(try_sandbox(purpose));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << WEXITSTATUS(status);
  }
}

}  // namespace
}  // namespace cooper::confine
