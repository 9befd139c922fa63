// Zone X: from the last allocation to execve. Everything here works on an ExecPlan prepared before, with raw
// async-signal-safe system calls only: after the credentials and the seccomp filter are set, any other call could be
// refused by the filter.
#pragma once

#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace cooper::container {

enum class LastMileStage : std::uint8_t {
  kRlimits,
  kLabels,
  kLandlock,
  kBoundingSet,
  kGroups,
  kGid,
  kUid,
  kCapabilities,
  kAmbient,
  kNoNewPrivs,
  kCwd,
  kCwdOutside,
  kSeccomp,
  kSeccompListener,
  kCloseFds,
  kInit,
  kExec,
};
const char* describe(LastMileStage stage);

struct LastMileRlimit {
  int resource;
  struct rlimit64 limit;
  const char* what;  // for the message of a failure
};

struct ExecPlan {
  const char* path;
  char* const* argv;
  char* const* envp;
  const char* cwd;
  const LastMileRlimit* rlimits;
  std::size_t rlimit_count;
  // Already open on /proc/self/attr/...; -1: none.
  int label_fd;
  int landlock_fd;  // ruleset; -1: none
  const char* label;
  std::size_t label_size;
  const gid_t* groups;
  std::size_t group_count;
  bool set_groups;
  uid_t uid;
  gid_t gid;
  mode_t umask;
  bool has_capabilities;
  int last_cap;
  std::uint64_t bounding, effective, permitted, inheritable, ambient;
  bool no_new_privileges;
  const struct sock_filter* filter;
  unsigned short filter_count;
  std::uint32_t filter_flags;
  bool filter_listener;       // hand its listener to whoever reads status_fd, and go on when that has answered
  unsigned first_cloexec_fd;  // descriptors from here on do not survive the exec
  unsigned held_count;        // so many of them, the first, stay with process 1
  int parent_death_signal;
  pid_t expected_parent;  // 0: not checked (another PID namespace)
  int status_fd;          // close-on-exec socket for the failure
  bool restore_dumpable;
  bool init;  // the program is run by a child; this process stays as process 1
};
static_assert(std::is_trivially_destructible_v<ExecPlan> && std::is_trivially_copyable_v<ExecPlan>);

// Never returns: execs, or reports {stage, errno} on status_fd and exits with 127 (not found), 126 (cannot execute)
// or 1.
[[noreturn]] void run_lastmile(const ExecPlan& plan);

// First byte of the message that carries a seccomp listener: MessageType::kListener. The answer is one message of any
// content; end of file means that the listener was not taken.
inline constexpr std::uint8_t kListenerMessage = 5;

// What run_lastmile sends: MessageType::kFailure on the wire, with a stage instead of words. What it is about (a
// path, a label, a limit), if anything, follows.
struct LastMileFailure {
  std::uint8_t type;  // 0xff, so that it cannot be mistaken for MessageType
  std::uint8_t stage;
  std::int32_t errno_value;
};

}  // namespace cooper::container
