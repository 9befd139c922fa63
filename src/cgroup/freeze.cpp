// Freezing, thawing and killing.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/files.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::cgroup {
namespace {

constexpr int kKillTimeoutMs = 10000;

Status write_frozen(const std::string& directory, bool v2, bool freeze) {
  if (v2) return write_control(directory + "/cgroup.freeze", freeze ? "1" : "0");
  return write_control(directory + "/freezer.state", freeze ? "FROZEN" : "THAWED");
}

// v1: FROZEN only when every task is; FREEZING counts as frozen for "is it on", not for "is it done".
Result<std::string> v1_state(const std::string& directory) {
  return read_value(directory + "/freezer.state");
}

Result<bool> v2_is_frozen(BorrowedFd events) {
  std::array<char, 256> buffer{};
  ASSIGN_OR_RETURN(const std::size_t n, sys::pread(events, buffer, 0));
  return std::string_view(buffer.data(), n).find("frozen 1") != std::string_view::npos;
}

Status wait_v2(const std::string& directory, bool freeze, const Deadline& deadline) {
  ASSIGN_OR_RETURN(const UniqueFd events, sys::openat(sys::kCwd, directory + "/cgroup.events", O_RDONLY));
  while (true) {
    ASSIGN_OR_RETURN(const bool frozen, v2_is_frozen(events));
    if (frozen == freeze) return {};
    if (deadline.passed())
      return Error(Errc::kTimeout,
                   "cgroup " + quoted(directory) + (freeze ? " did not freeze" : " did not thaw") + " in time",
                   ETIMEDOUT);
    struct pollfd changed = {.fd = events.get(), .events = POLLPRI, .revents = 0};
    (void)::poll(&changed, 1, std::min(deadline.left_ms(), 1000));
  }
}

Status wait_v1(const std::string& directory, bool freeze, const Deadline& deadline) {
  Backoff backoff;
  for (int round = 1;; ++round) {
    ASSIGN_OR_RETURN(const std::string state, v1_state(directory));
    if (state == (freeze ? "FROZEN" : "THAWED")) return {};
    // Somebody who kills what is inside, as a rule: to ask again would keep it from ending.
    if (freeze && state == "THAWED")
      return Error(Errc::kWrongState, "cgroup " + quoted(directory) + " was thawed by somebody else while it froze");
    if (deadline.passed())
      return Error(Errc::kTimeout, "cgroup " + quoted(directory) + " is " + quoted(state) + " after the time limit",
                   ETIMEDOUT);
    backoff.sleep();
    // A task that forked or slept while it was being frozen can keep a v1 group in FREEZING for ever: asking again
    // helps, and letting go for a moment helps where asking does not.
    if (freeze && round % 25 == 24) {
      RETURN_IF_ERROR(write_frozen(directory, false, false));
      Backoff().sleep();
    }
    RETURN_IF_ERROR(write_frozen(directory, false, freeze));
  }
}

// Groups below that the container froze by itself: thawing the parent leaves them frozen. Best effort; what stays shows
// when the group is removed.
void thaw_below(const std::string& directory, int depth = 0) {
  constexpr int kMaxDepth = 100;
  auto opened = sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened.ok() || depth > kMaxDepth) return;
  const auto names = sys::list_directory(*opened);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const auto info = sys::fstatat(*opened, name);
    if (!info.ok() || !S_ISDIR(info->st_mode)) continue;
    (void)!write_frozen(directory + "/" + name, false, false).ok();
    thaw_below(directory + "/" + name, depth + 1);
  }
}

}  // namespace

Status Group::change_freezer(bool freeze, int timeout_ms) {
  const Dir* dir = pure_v2() ? nullptr : find("freezer");
  const bool v2 = dir == nullptr;
  if (v2) dir = v2_dir();
  if (dir == nullptr) {
    return Error(Errc::kUnsupported, "cgroup controller 'freezer' is not available", ENOENT)
        .with_hint("mount it, or use cgroup v2");
  }
  const Deadline deadline(timeout_ms);
  Status done = write_frozen(dir->directory, v2, freeze);
  if (done.ok()) done = v2 ? wait_v2(dir->directory, freeze, deadline) : wait_v1(dir->directory, freeze, deadline);
  // Half frozen is neither: processes would hang without anybody knowing.
  if (!done.ok() && freeze) (void)!write_frozen(dir->directory, v2, false).ok();
  return done;
}

Status Group::freeze(int timeout_ms) {
  return change_freezer(true, timeout_ms);
}

Status Group::thaw(int timeout_ms) {
  return change_freezer(false, timeout_ms);
}

Result<bool> Group::frozen() const {
  if (const Dir* dir = pure_v2() ? nullptr : find("freezer"); dir != nullptr) {
    auto state = v1_state(dir->directory);
    if (!state.ok() && state.error().code() == Errc::kNotFound) return false;
    if (!state.ok()) return std::move(state).error();
    return *state != "THAWED";
  }
  const Dir* dir = v2_dir();
  if (dir == nullptr) return false;
  auto events = sys::openat(sys::kCwd, dir->directory + "/cgroup.events", O_RDONLY);
  if (!events.ok() && events.error().code() == Errc::kNotFound) return false;
  if (!events.ok()) return std::move(events).error();
  return v2_is_frozen(*events);
}

// Signals every process that is not in `seen` yet; true when there was one. Process ids are pinned by a pidfd and seen
// a second time in the group before they are signalled: an id that was reused in between is not.
Result<bool> Group::kill_new(int signal, std::vector<pid_t>& seen) const {
  constexpr std::size_t kBatch = 128;
  ASSIGN_OR_RETURN(auto pids, processes());
  const pid_t self = ::getpid();
  std::erase_if(pids, [&](pid_t pid) { return pid == self || std::binary_search(seen.begin(), seen.end(), pid); });
  bool any = false;
  for (std::size_t at = 0; at < pids.size(); at += kBatch) {
    std::vector<std::pair<pid_t, UniqueFd>> pinned;
    for (std::size_t i = at; i < std::min(pids.size(), at + kBatch); ++i) {
      auto fd = sys::pidfd_open(pids[i]);
      if (fd.ok()) {
        pinned.emplace_back(pids[i], std::move(*fd));
      } else if (fd.error().errno_value() != ESRCH && fd.error().errno_value() != EINVAL) {
        return std::move(fd).error();  // EINVAL: the leader of its group has gone already
      }
    }
    ASSIGN_OR_RETURN(const auto still, processes());
    for (const auto& [pid, fd] : pinned) {
      if (!std::binary_search(still.begin(), still.end(), pid)) continue;
      Status sent = sys::pidfd_send_signal(fd, signal);
      if (!sent.ok() && sent.error().errno_value() != ESRCH)
        return std::move(sent).error().with("signal process " + std::to_string(pid));
      seen.push_back(pid);
      any = true;
    }
  }
  std::sort(seen.begin(), seen.end());
  return any;
}

Status Group::kill_all(int signal) {
  const Dir* v2 = v2_dir();
  if (signal == SIGKILL && v2 != nullptr) {
    // Kernel 5.14; also takes what forks meanwhile.
    Status killed = write_control(v2->directory + "/cgroup.kill", "1");
    if (!killed.ok() && killed.error().errno_value() != ENOENT && killed.error().errno_value() != EOPNOTSUPP)
      return killed;
    if (killed.ok() && pure_v2()) return {};
  }
  std::vector<pid_t> seen;
  const Deadline deadline(kKillTimeoutMs);
  for (int round = 0;; ++round) {
    ASSIGN_OR_RETURN(const bool any, kill_new(signal, seen));
    if (!any || signal != SIGKILL) break;
    // Something forks as fast as it dies. No more births: this group is at its end.
    if (round == 1) {
      if (const Dir* pids = find("pids"); pids != nullptr)
        (void)!write_control(pids->directory + "/pids.max", "0").ok();
    }
    if (deadline.passed())
      return Error(Errc::kTimeout, "processes in cgroup " + quoted(path_) + " fork faster than they can be killed",
                   ETIMEDOUT);
  }
  // A signal waits at the door of a frozen v1 group.
  if (!pure_v2() && find("freezer") != nullptr) {
    ASSIGN_OR_RETURN(const bool is_frozen, frozen());
    if (signal == SIGKILL) thaw_below(find("freezer")->directory);
    if (is_frozen && signal == SIGKILL) return thaw();
  }
  return {};
}

}  // namespace cooper::cgroup
