#include "confine/sandbox.h"

#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "base/fd.h"
#include "io/landlock.h"
#include "seccomp/confined.h"
#include "seccomp/seccomp.h"
#include "sys/cred.h"

namespace cooper::confine {
namespace {

// What the resolver, TLS and the dynamic loader (which loads name services late) read.
constexpr std::array<const char*, 21> kReadable = {"/etc/resolv.conf",
                                                   "/etc/hosts",
                                                   "/etc/host.conf",
                                                   "/etc/nsswitch.conf",
                                                   "/etc/gai.conf",
                                                   "/etc/services",
                                                   "/etc/protocols",
                                                   "/etc/localtime",
                                                   "/etc/ssl",
                                                   "/etc/pki",
                                                   "/etc/ca-certificates",
                                                   "/usr/share/ca-certificates",
                                                   "/usr/local/share/ca-certificates",
                                                   "/etc/ld.so.cache",
                                                   "/lib",
                                                   "/lib64",
                                                   "/usr/lib",
                                                   "/usr/lib64",
                                                   "/usr/share/zoneinfo",
                                                   "/run/systemd/resolve",
                                                   "/dev/urandom"};

Status restrict_files(Purpose purpose) {
  io::Readable allowed{.read = {}};
  if (purpose == Purpose::kTransfer) allowed = {.read = kReadable, .connect = true};
  ASSIGN_OR_RETURN(const auto ruleset, io::reading_only(allowed));
  // The kernel lacks it: the system call filter refuses to open for writing all the same.
  if (!ruleset) return {};
  if (::syscall(SYS_landlock_restrict_self, ruleset->get(), 0) == 0) return {};
  const int saved = errno;
  return Error::from_errno(saved, "restrict the files by landlock");
}

// The kernel looks at these 32 bits of an int.
constexpr std::uint64_t kLow = 0xffffffff;

// Of a client of registries.
std::vector<std::string> transfer_calls() {
  return {"poll",     "ppoll",       "select",      "pselect6",   "epoll_create1", "epoll_ctl", "epoll_wait",
          "eventfd2", "epoll_pwait", "pipe2",       "dup3",       "socketpair",    "connect",   "bind",
          "sendto",   "getsockname", "getpeername", "getsockopt", "setsockopt",    "shutdown",  "sendmsg",
          "recvmsg",  "sendmmsg",    "recvfrom",    "recvmmsg"};
}

oci::Seccomp filter(Purpose purpose) {
  oci::Seccomp out = seccomp::confined_profile();
  seccomp::allow(out, {"get_robust_list", "membarrier"});
  if (purpose == Purpose::kTransfer) {
    seccomp::allow(out, transfer_calls());
    // Threads, no processes.
    seccomp::allow(out, {"clone"}, {seccomp::masked_argument(0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)});
    // To the network, to a resolver's socket, and netlink, which getaddrinfo asks for addresses.
    for (const int family : {AF_UNIX, AF_INET, AF_INET6})
      seccomp::allow(out, {"socket"}, {seccomp::masked_argument(0, kLow, static_cast<std::uint64_t>(family))});
    seccomp::allow(out, {"socket"},
                   {seccomp::masked_argument(0, kLow, AF_NETLINK), seccomp::masked_argument(2, kLow, NETLINK_ROUTE)});
    // Of sockets only: nothing that a terminal or a device would obey.
    for (const std::uint64_t command : {std::uint64_t{FIONBIO}, std::uint64_t{FIONREAD}, std::uint64_t{SIOCOUTQ}})
      seccomp::allow(out, {"ioctl"}, {seccomp::masked_argument(1, kLow, command)});
    seccomp::allow_opening_to_read(out);
  }
  out.syscalls.push_back({.names = {"clone3", "openat2"}, .action = "SCMP_ACT_ERRNO", .errno_ret = ENOSYS, .args = {}});
  return out;
}

Status restrict_calls(Purpose purpose) {
  ASSIGN_OR_RETURN(const seccomp::Program program, seccomp::compile(filter(purpose)));
  const int loaded = seccomp::load(program.instructions.data(),
                                   static_cast<unsigned short>(program.instructions.size()), program.flags);
  if (loaded < 0) return Error::from_errno(-loaded, "load the system call filter");
  return {};
}

// The kernel says EINVAL of an id that the user namespace has not got.
bool is_unmapped(const Status& status) {
  return !status.ok() && status.error().errno_value() == EINVAL;
}

// Where the user namespace is too small for that user, root of it is the user outside who made it, or one with less,
// once the capabilities are gone; groups, which it may then not be allowed to give up, are that user's.
Status become_nobody() {
  Status group = sys::setresgid(kNobody);
  const bool narrow = is_unmapped(group);
  if (!narrow) RETURN_IF_ERROR(std::move(group));
  Status groups = sys::setgroups({});
  if (!groups.ok() && !(narrow && groups.error().errno_value() == EPERM)) return groups;
  Status user = sys::setresuid(kNobody);
  return is_unmapped(user) ? Status() : std::move(user);
}

}  // namespace

Status drop_root() {
  // Credentials are in memory.
  const struct rlimit none = {0, 0};
  (void)::setrlimit(RLIMIT_CORE, &none);
  if (::geteuid() == 0) RETURN_IF_ERROR(become_nobody());
  RETURN_IF_ERROR(sys::capset(0, 0, 0));
  RETURN_IF_ERROR(sys::set_dumpable(false));
  // Not before the change of the user, which forgets it. Who is taken over does not end by itself.
  RETURN_IF_ERROR(sys::set_parent_death_signal(SIGKILL));
  return sys::set_no_new_privs();
}

Status enter_sandbox(Purpose purpose) {
  RETURN_IF_ERROR(restrict_files(purpose));
  return restrict_calls(purpose);
}

}  // namespace cooper::confine
