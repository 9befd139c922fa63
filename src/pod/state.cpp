#include "pod/state.h"

#include <sys/file.h>
#include <time.h>

#include <algorithm>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "io/access_lists.h"
#include "io/event_loop.h"
#include "log/steps.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

void sleep_ms(std::int64_t ms) {
  const struct timespec pause = {ms / 1000, (ms % 1000) * 1000000};
  (void)::nanosleep(&pause, nullptr);
}

// Polls with growing pauses, 1 to 20 ms. attempt() -> Result<bool>.
template <typename F>
Result<bool> poll(int timeout_ms, F attempt) {
  const std::int64_t deadline = io::monotonic_ms() + timeout_ms;
  for (std::int64_t pause = 1;; pause = std::min<std::int64_t>(pause * 2, 20)) {
    ASSIGN_OR_RETURN(const bool done, attempt());
    if (done) return true;
    const std::int64_t left = deadline - io::monotonic_ms();
    if (timeout_ms >= 0 && left <= 0) return false;
    sleep_ms(timeout_ms >= 0 ? std::min(pause, left) : pause);
  }
}

Result<bool> try_lock(BorrowedFd dir, int operation) {
  Status locked = sys::flock(dir, operation | LOCK_NB);
  if (locked.ok()) return true;
  if (locked.error().errno_value() == EWOULDBLOCK) return false;
  return std::move(locked).error().with("pod directory");
}

Status fsync_path(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY));
  return sys::fsync(dir);
}

// Whether the pod's directory is (still) in that place.
Result<bool> is_in(const Layout& layout, const OpenPod& pod, Place place) {
  auto there = sys::fstatat(sys::kCwd, layout.pod(place, pod.uuid));
  if (!there.ok()) {
    if (there.error().code() == Errc::kNotFound) return false;
    return std::move(there).error();
  }
  ASSIGN_OR_RETURN(const struct stat mine, sys::fstat(pod.dir));
  return there->st_ino == mine.st_ino && there->st_dev == mine.st_dev;
}

Error not_found(const PodUuid& uuid) {
  return Error(Errc::kNotFound, "no such pod: " + quoted(uuid.str()));
}

}  // namespace

State state_of(Place place, bool locked) {
  switch (place) {
    case Place::kEmbryo:
      return State::kEmbryo;
    case Place::kPrepare:
      return locked ? State::kPreparing : State::kAbortedPrepare;
    case Place::kPrepared:
      return State::kPrepared;
    case Place::kRun:
      return locked ? State::kRunning : State::kExited;
    case Place::kExitedGarbage:
      return locked ? State::kDeleting : State::kExitedGarbage;
    case Place::kGarbage:
      return locked ? State::kDeleting : State::kGarbage;
  }
  return State::kGarbage;
}

Result<std::optional<OpenPod>> open_pod_at(const Layout& layout, const PodUuid& uuid, Place place) {
  auto dir = sys::openat(sys::kCwd, layout.pod(place, uuid), kOpenDirectory);
  if (dir.ok()) return std::optional<OpenPod>(OpenPod{uuid, place, std::move(dir).value()});
  if (dir.error().code() == Errc::kNotFound) return std::optional<OpenPod>();
  return std::move(dir).error();
}

Result<OpenPod> open_pod(const Layout& layout, const PodUuid& uuid) {
  // Most pods run. The rest in the order in which pods move, so that one on the move is not missed.
  ASSIGN_OR_RETURN(auto running, open_pod_at(layout, uuid, Place::kRun));
  if (running) return std::move(*running);
  for (const Place place : kPlaces) {
    ASSIGN_OR_RETURN(auto found, open_pod_at(layout, uuid, place));
    if (found) return std::move(*found);
  }
  return not_found(uuid);
}

Result<bool> is_locked(const OpenPod& pod) {
  ASSIGN_OR_RETURN(const bool locked, try_lock(pod.dir, LOCK_SH));
  if (locked) RETURN_IF_ERROR(sys::flock(pod.dir, LOCK_UN));
  return !locked;
}

Status lock_pod(const Layout& layout, OpenPod& pod, int timeout_ms) {
  const log::Stopwatch waiting;
  ASSIGN_OR_RETURN(const bool locked, lock_directory(pod.dir, timeout_ms));
  log::step("pod lock", [&] {
    return log::Fields{{"pod", pod.uuid.str()}, {"held", locked ? "true" : "false"}, {"waited_ms", waiting.ms()}};
  });
  if (!locked)
    return Error(Errc::kBusy, "pod " + quoted(pod.uuid.str()) + " is in use by another process", EWOULDBLOCK);
  for (const Place place : kPlaces) {
    if (place < pod.place) continue;
    ASSIGN_OR_RETURN(const bool here, is_in(layout, pod, place));
    if (here) {
      pod.place = place;
      return {};
    }
  }
  return not_found(pod.uuid);
}

Result<bool> lock_directory(BorrowedFd dir, int timeout_ms) {
  return poll(timeout_ms, [&] { return try_lock(dir, LOCK_EX); });
}

Result<bool> wait_unlocked(const OpenPod& pod, int timeout_ms) {
  return poll(timeout_ms, [&]() -> Result<bool> {
    ASSIGN_OR_RETURN(const bool locked, is_locked(pod));
    return !locked;
  });
}

Result<OpenPod> create_pod(const Layout& layout, const PodUuid& uuid) {
  // Held shared until the new directory is locked: gc takes it exclusively, and then knows that what is unlocked below
  // is dead.
  ASSIGN_OR_RETURN(const UniqueFd embryos, sys::openat(sys::kCwd, layout.place(Place::kEmbryo), kOpenDirectory));
  RETURN_IF_ERROR(sys::flock(embryos, LOCK_SH));
  RETURN_IF_ERROR(sys::mkdirat(embryos, uuid.str(), 0700));
  ScopeExit undo([&] { (void)!sys::unlinkat(embryos, uuid.str(), AT_REMOVEDIR).ok(); });
  OpenPod pod{uuid, Place::kEmbryo, UniqueFd()};
  ASSIGN_OR_RETURN(pod.dir, sys::openat(embryos, uuid.str(), kOpenDirectory));
  RETURN_IF_ERROR(sys::flock(pod.dir, LOCK_EX));
  // What the directories above hand down, access lists and a group, would be those of the container's root directory.
  RETURN_IF_ERROR(io::take_access_lists(pod.dir));
  RETURN_IF_ERROR(sys::fchmod(pod.dir, 0700));
  RETURN_IF_ERROR(move_pod(layout, pod, Place::kPrepare, io::Durability::kNone));
  undo.dismiss();
  return pod;
}

Status move_pod(const Layout& layout, OpenPod& pod, Place to, io::Durability durability) {
  RETURN_IF_ERROR(sys::renameat(sys::kCwd, layout.pod(pod.place, pod.uuid), sys::kCwd, layout.pod(to, pod.uuid)));
  const Place from = std::exchange(pod.place, to);
  if (durability == io::Durability::kFsync) {
    RETURN_IF_ERROR(fsync_path(layout.place(to)));
    RETURN_IF_ERROR(fsync_path(layout.place(from)));
  }
  return {};
}

Result<std::vector<PodUuid>> list_place(const Layout& layout, Place place) {
  ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(sys::kCwd, layout.place(place), O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(dir));
  std::vector<PodUuid> out;
  for (const std::string& name : names) {
    auto uuid = PodUuid::parse(name);
    if (uuid.ok()) out.push_back(std::move(uuid).value());
  }
  return out;
}

}  // namespace cooper::pod
