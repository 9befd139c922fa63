#include "container/exec_lastmile.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

namespace cooper::container {
namespace {

long raw(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  return ::syscall(number, a, b, c, d, e);
}
template <typename T>
long ptr(T* p) {
  return reinterpret_cast<long>(p);
}

[[noreturn]] void fail(const ExecPlan& plan, LastMileStage stage, int error, const char* subject = "") {
  LastMileFailure failure = {0xff, static_cast<std::uint8_t>(stage), error};
  if (stage == LastMileStage::kExec) subject = plan.path;
  if (stage == LastMileStage::kCwd) subject = plan.cwd;
  if (stage == LastMileStage::kLabels) subject = plan.label;
  std::size_t size = 0;
  while (subject[size] != '\0') ++size;
  struct iovec parts[] = {{&failure, sizeof failure}, {const_cast<char*>(subject), size}};
  struct msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  (void)raw(SYS_sendmsg, plan.status_fd, ptr(&message), MSG_NOSIGNAL);
  ::_exit(stage == LastMileStage::kExec ? (error == ENOENT ? 127 : 126) : 1);
}

void set_caps(const ExecPlan& plan, std::uint64_t effective, std::uint64_t permitted, std::uint64_t inheritable) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {
      {static_cast<std::uint32_t>(effective), static_cast<std::uint32_t>(permitted),
       static_cast<std::uint32_t>(inheritable)},
      {static_cast<std::uint32_t>(effective >> 32), static_cast<std::uint32_t>(permitted >> 32),
       static_cast<std::uint32_t>(inheritable >> 32)}};
  if (raw(SYS_capset, ptr(&header), ptr(data)) != 0) fail(plan, LastMileStage::kCapabilities, errno);
}

void get_caps(const ExecPlan& plan, std::uint64_t& permitted) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {};
  if (raw(SYS_capget, ptr(&header), ptr(data)) != 0) fail(plan, LastMileStage::kCapabilities, errno);
  permitted = data[0].permitted | (static_cast<std::uint64_t>(data[1].permitted) << 32);
}

// What the caller lacks cannot be granted: the plan has warned about it, the sets are cut to what is there.
// ---- a filter with a listener ----
// From the load on, any call of this thread may be one that waits for the listener, which nobody has yet: not even a
// message could be sent. So a second thread, made before and not under the filter, sends it; this one watches memory.
constexpr int kNotLoadedYet = -1, kNotLoaded = -2;
struct Handover {
  int status_fd;
  int listener;  // kNotLoadedYet, kNotLoaded, or the descriptor
  int done;
};
Handover handover;
alignas(16) unsigned char handover_stack[16384];

bool send_listener(int status_fd, int listener) {
  std::uint8_t type = kListenerMessage;
  struct iovec part = {&type, sizeof type};
  alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(sizeof(int))] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  *reinterpret_cast<int*>(CMSG_DATA(header)) = listener;
  if (raw(SYS_sendmsg, status_fd, ptr(&message), MSG_NOSIGNAL) < 0) return false;
  unsigned char answer[64];
  return raw(SYS_recvfrom, status_fd, ptr(answer), sizeof answer) > 0;
}

int hand_over(void* argument) {
  auto* shared = static_cast<Handover*>(argument);
  int listener = kNotLoadedYet;
  while ((listener = __atomic_load_n(&shared->listener, __ATOMIC_ACQUIRE)) == kNotLoadedYet) {
    struct timespec moment = {0, 20000};
    (void)raw(SYS_nanosleep, ptr(&moment), 0);
  }
  if (listener == kNotLoaded) return 0;
  // The reader of status_fd has reported why; only this thread is sure to be able to end the process.
  if (!send_listener(shared->status_fd, listener)) (void)raw(SYS_exit_group, 1);
  __atomic_store_n(&shared->done, 1, __ATOMIC_RELEASE);
  return 0;
}

void load_filter_with_listener(const ExecPlan& plan, struct sock_fprog& program) {
  handover = {plan.status_fd, kNotLoadedYet, 0};
  constexpr int kThread = CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  if (::clone(hand_over, handover_stack + sizeof handover_stack, kThread, &handover) < 0)
    fail(plan, LastMileStage::kSeccompListener, errno);
  const long listener = raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, static_cast<long>(plan.filter_flags), ptr(&program));
  const int error = errno;
  __atomic_store_n(&handover.listener, listener < 0 ? kNotLoaded : static_cast<int>(listener), __ATOMIC_RELEASE);
  if (listener < 0) fail(plan, LastMileStage::kSeccomp, error);
  while (__atomic_load_n(&handover.done, __ATOMIC_ACQUIRE) == 0) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }
}

void load_filter(const ExecPlan& plan) {
  if (plan.filter == nullptr) return;
  struct sock_fprog program = {plan.filter_count, const_cast<struct sock_filter*>(plan.filter)};
  if (plan.filter_listener) return load_filter_with_listener(plan, program);
  if (raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, static_cast<long>(plan.filter_flags), ptr(&program)) != 0) {
    fail(plan, LastMileStage::kSeccomp, errno);
  }
}

void apply_rlimits(const ExecPlan& plan) {
  for (std::size_t i = 0; i < plan.rlimit_count; ++i) {
    if (raw(SYS_prlimit64, 0, plan.rlimits[i].resource, ptr(&plan.rlimits[i].limit), 0) != 0) {
      fail(plan, LastMileStage::kRlimits, errno, plan.rlimits[i].what);
    }
  }
}

// Closed, not only marked: neither the working directory nor the payload may find anything of the host as
// /proc/self/fd/N. The status socket alone stays until the exec closes it.
void close_descriptors(const ExecPlan& plan) {
  const auto status = static_cast<unsigned>(plan.status_fd);
  const unsigned first = plan.first_cloexec_fd + plan.held_count;
  const bool below = status > first;
  if ((below && raw(SYS_close_range, static_cast<long>(first), long{status} - 1, 0) != 0) ||
      raw(SYS_close_range, long{status} + 1, long{~0U}, 0) != 0) {
    fail(plan, LastMileStage::kCloseFds, errno);
  }
}

void drop_bounding(const ExecPlan& plan) {
  if (!plan.has_capabilities) return;
  for (int cap = 0; cap <= plan.last_cap; ++cap) {
    if ((plan.bounding >> cap & 1) != 0) continue;
    if (raw(SYS_prctl, PR_CAPBSET_DROP, cap) == 0) continue;
    // Without CAP_SETPCAP only what is gone already counts as dropped; EINVAL: the kernel has no such capability.
    const int saved = errno;
    if (saved == EINVAL) continue;
    if (raw(SYS_prctl, PR_CAPBSET_READ, cap) != 0) fail(plan, LastMileStage::kBoundingSet, saved);
  }
}

void switch_user(const ExecPlan& plan) {
  if (raw(SYS_prctl, PR_SET_KEEPCAPS, 1) != 0) fail(plan, LastMileStage::kUid, errno);
  if (plan.set_groups && raw(SYS_setgroups, static_cast<long>(plan.group_count), ptr(plan.groups)) != 0) {
    fail(plan, LastMileStage::kGroups, errno);
  }
  if (raw(SYS_setresgid, plan.gid, plan.gid, plan.gid) != 0) fail(plan, LastMileStage::kGid, errno);
  if (raw(SYS_setresuid, plan.uid, plan.uid, plan.uid) != 0) fail(plan, LastMileStage::kUid, errno);
  if (raw(SYS_prctl, PR_SET_KEEPCAPS, 0) != 0) fail(plan, LastMileStage::kUid, errno);
}

void enter_cwd(const ExecPlan& plan, bool already_inside) {
  if (!already_inside && raw(SYS_chdir, ptr(plan.cwd)) != 0) fail(plan, LastMileStage::kCwd, errno);
  // A directory outside the root (leaked descriptor, CVE-2024-21626) has no path: the kernel answers "(unreachable)..."
  // or ENOENT.
  char path[4096];
  const long n = raw(SYS_getcwd, ptr(path), sizeof path);
  if (n < 0 && errno != ERANGE) fail(plan, LastMileStage::kCwdOutside, errno);
  if (n > 0 && path[0] != '/') fail(plan, LastMileStage::kCwdOutside, EACCES);
}

void raise_ambient(const ExecPlan& plan) {
  if (raw(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL) != 0 && errno != EINVAL)
    fail(plan, LastMileStage::kAmbient, errno);
  for (int cap = 0; cap <= plan.last_cap; ++cap) {
    if ((plan.ambient >> cap & 1) == 0) continue;
    // Ungrantable (not permitted and inheritable, or forbidden by securebits): warned about in the plan, not fatal.
    (void)raw(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
  }
}

// ---- process 1 ----
// It was started with every signal blocked, and keeps them so: none acts on it, each is asked for. What ends by itself
// below it is its child in the end.
[[noreturn]] void serve_as_init(const ExecPlan& plan, long program) {
  // Whoever reads what the program writes is told of its end by its end.
  (void)raw(SYS_close_range, 0, long{plan.first_cloexec_fd} - 1, 0);
  (void)raw(SYS_close_range, long{plan.first_cloexec_fd} + long{plan.held_count}, long{~0U}, 0);
  unsigned long long every = ~0ULL;
  while (true) {
    const long signal = raw(SYS_rt_sigtimedwait, ptr(&every), 0, 0, sizeof every);
    if (signal < 0 && errno != EINTR && errno != EAGAIN) ::_exit(1);
    if (signal > 0 && signal != SIGCHLD) (void)raw(SYS_kill, program, signal);
    int status = 0;
    long ended = 0;
    while ((ended = raw(SYS_wait4, -1, ptr(&status), WNOHANG)) > 0) {
      if (ended != program) continue;
      // With process 1 the kernel ends everything that is left in the namespace.
      ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    if (ended < 0 && errno != EINTR) ::_exit(1);
  }
}

// Returns in the child. After the filter: what may not be done by the program may not be done by this process either.
void become_init(const ExecPlan& plan) {
  const long program = raw(SYS_clone, SIGCHLD);
  if (program < 0) fail(plan, LastMileStage::kInit, errno);
  if (program > 0) serve_as_init(plan, program);
  unsigned long long none = 0;
  (void)raw(SYS_rt_sigprocmask, SIG_SETMASK, ptr(&none), 0, sizeof none);
}

}  // namespace

const char* describe(LastMileStage stage) {
  switch (stage) {
    case LastMileStage::kRlimits:
      return "set resource limits";
    case LastMileStage::kLabels:
      return "set the security label";
    case LastMileStage::kLandlock:
      return "restrict the files by landlock";
    case LastMileStage::kBoundingSet:
      return "drop bounding capabilities";
    case LastMileStage::kGroups:
      return "set supplementary groups";
    case LastMileStage::kGid:
      return "set the group";
    case LastMileStage::kUid:
      return "set the user";
    case LastMileStage::kCapabilities:
      return "set capabilities";
    case LastMileStage::kAmbient:
      return "set ambient capabilities";
    case LastMileStage::kNoNewPrivs:
      return "set no_new_privs";
    case LastMileStage::kCwd:
      return "change to the working directory";
    case LastMileStage::kCwdOutside:
      return "the working directory is outside the container";
    case LastMileStage::kSeccomp:
      return "load the seccomp filter";
    case LastMileStage::kSeccompListener:
      return "hand over the seccomp listener";
    case LastMileStage::kCloseFds:
      return "mark descriptors close-on-exec";
    case LastMileStage::kInit:
      return "start the child of process 1";
    case LastMileStage::kExec:
      return "exec";
  }
  return "last mile";
}

void run_lastmile(const ExecPlan& plan) {
  if (plan.label_fd >= 0) {
    if (raw(SYS_write, plan.label_fd, ptr(plan.label), static_cast<long>(plan.label_size)) < 0)
      fail(plan, LastMileStage::kLabels, errno);
  }
  // While the rights to do it without no_new_privs are there; what follows opens no file but the program.
  if (plan.landlock_fd >= 0 && raw(SYS_landlock_restrict_self, plan.landlock_fd) != 0)
    fail(plan, LastMileStage::kLandlock, errno);
  close_descriptors(plan);
  (void)raw(SYS_umask, plan.umask);
  // The working directory may be readable by root only or by the user only (NFS, FUSE): try before and after the
  // switch.
  const bool inside = raw(SYS_chdir, ptr(plan.cwd)) == 0;
  apply_rlimits(plan);
  drop_bounding(plan);
  switch_user(plan);
  std::uint64_t permitted = 0;
  get_caps(plan, permitted);
  if (plan.no_new_privileges && raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1) != 0)
    fail(plan, LastMileStage::kNoNewPrivs, errno);
  if (!plan.no_new_privileges && plan.filter != nullptr) {
    // Without no_new_privs the filter needs CAP_SYS_ADMIN, which the final sets may lack: load it just before them.
    set_caps(plan, permitted, permitted, 0);
  }
  enter_cwd(plan, inside);
  // The death signal is cleared by the switch of credentials, so it is set here; the parent may be gone already.
  if (plan.parent_death_signal != 0) {
    (void)raw(SYS_prctl, PR_SET_PDEATHSIG, plan.parent_death_signal);
    if (plan.expected_parent != 0 && raw(SYS_getppid) != plan.expected_parent)
      (void)raw(SYS_kill, raw(SYS_getpid), plan.parent_death_signal);
  }
  if (!plan.no_new_privileges) load_filter(plan);
  if (plan.has_capabilities) {
    const std::uint64_t grant = plan.permitted & permitted;
    // Inheritable may exceed the permitted set only with CAP_SETPCAP: set it while everything is still there.
    set_caps(plan, plan.effective & grant, grant, plan.inheritable & permitted);
    raise_ambient(plan);
  }
  if (plan.no_new_privileges) load_filter(plan);
  if (plan.init) become_init(plan);
  (void)raw(SYS_execve, ptr(plan.path), ptr(plan.argv), ptr(plan.envp));
  fail(plan, LastMileStage::kExec, errno);
}

}  // namespace cooper::container
