// The words of `coop sandbox`: those of bwrap(1) where it has them, in their order, as one value. Pure.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/coop/arguments.h"
#include "spec/oci_runtime/types.h"

namespace cooper::cli::coop {

// One thing done to the root file system.
struct FileOperation {
  enum class Kind {
    kBind,
    kTmpfs,
    kProc,
    kDev,
    kMqueue,
    kDirectory,
    kSymlink,
    kFile,
    kData,
    kRemountReadonly,
    kMode,
    kOverlay,
  };
  Kind kind = Kind::kBind;
  std::string words;   // as given, for messages: --bind '/src' '/dst'
  std::string source;  // of a bind; target of a symlink; upper directory of an overlay
  std::string destination;
  std::string work;                 // directory of an overlay with an upper one
  std::vector<std::string> layers;  // of an overlay, the lowest first
  int fd = -1;
  std::optional<mode_t> mode;
  std::optional<std::uint64_t> size_bytes;
  bool if_present = false;  // left out when the source is missing
  bool readonly = false;
  bool devices = false;  // of a bind: device nodes work
  bool scratch = false;  // of an overlay: what is written goes to memory
};

struct EnvironmentChange {
  enum class Kind { kSet, kUnset, kClear };
  Kind kind = Kind::kSet;
  std::string name, value;
};

struct CapabilityChange {
  bool add = false;
  std::string name;  // CAP_X, or ALL
};

struct SandboxOptions {
  enum class Wish { kNever, kIfPossible, kYes };
  std::vector<FileOperation> operations;
  Wish user = Wish::kNever, cgroup = Wish::kNever;
  bool ipc = false, pid = false, net = false, uts = false;
  std::optional<std::uint32_t> uid, gid;
  std::string hostname, id;
  std::string working_directory;  // empty: that of the caller, or its HOME, or /
  std::vector<EnvironmentChange> environment;
  std::vector<CapabilityChange> capabilities;
  std::optional<int> seccomp_fd;
  std::optional<int> userns_fd, userns2_fd, pidns_fd;
  std::vector<std::string> lock_files;
  std::optional<std::int64_t> memory_bytes, pids, cpu_quota_us;  // the quota is of kCpuPeriodUs
  std::vector<oci::Rlimit> rlimits;
  bool as_pid_1 = false, die_with_parent = false, terminal = false;
  bool limits_group() const { return memory_bytes || pids || cpu_quota_us; }
};

inline constexpr std::uint64_t kCpuPeriodUs = 100'000;

// What --args FD holds, and whether a descriptor is open: the two questions the words ask.
struct SandboxQuestions {
  std::function<Result<std::string>(int fd)> read;
  std::function<bool(int fd)> is_open;
};
// The error names the flag.
Result<SandboxOptions> parse_sandbox(const Arguments& arguments, std::span<const Flag> flags,
                                     const SandboxQuestions& questions);
// Whether what the words mean can be known only by reading descriptors of the caller, which can be done once.
bool reads_descriptors(const Arguments& arguments);

}  // namespace cooper::cli::coop
