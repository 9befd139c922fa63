// The state machine of a pod: which directory it is in, and whether somebody holds its lock.
//
//   place            lock held        lock free            next
//   embryo           embryo           embryo (crash)       prepare
//   prepare          preparing        aborted prepare      prepared, run; garbage by gc
//   prepared         prepared         prepared             run, garbage
//   run              running          exited               exited-garbage by gc, garbage by rm
//   exited-garbage   deleting         exited garbage       garbage
//   garbage          deleting         garbage              gone
//
// Who changes a pod holds its lock exclusively; who looks asks for a shared one without waiting. A monitor and its
// guardian inherit the lock of the command that started the pod, so it is free only when all three are gone.
#pragma once

#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/ids.h"
#include "io/file.h"
#include "pod/layout.h"
#include "pod/pod.h"

namespace cooper::pod {

State state_of(Place place, bool locked);

// A pod's directory, open. The descriptor is its own open file description: a lock taken through it is this holder's.
struct OpenPod {
  PodUuid uuid;
  Place place;
  UniqueFd dir;
};

// Wherever the pod is. Errc::kNotFound.
Result<OpenPod> open_pod(const Layout& layout, const PodUuid& uuid);
// The pod in this place only; nullopt when it is not there.
Result<std::optional<OpenPod>> open_pod_at(const Layout& layout, const PodUuid& uuid, Place place);

// Whether somebody else holds the lock. Never waits.
Result<bool> is_locked(const OpenPod& pod);
// Takes the lock, waiting at most timeout_ms (observers hold it for microseconds). Errc::kBusy otherwise. The pod may
// have moved or gone meanwhile: `place` is brought up to date, Errc::kNotFound when it was removed.
Status lock_pod(const Layout& layout, OpenPod& pod, int timeout_ms);
// Waits until nobody holds the lock. timeout_ms < 0: for ever. False on timeout.
Result<bool> wait_unlocked(const OpenPod& pod, int timeout_ms);

// The same for any locked directory: takes its lock exclusively. False on timeout.
Result<bool> lock_directory(BorrowedFd dir, int timeout_ms);

// Makes embryo/<uuid>, locks it and moves it to prepare/<uuid>.
Result<OpenPod> create_pod(const Layout& layout, const PodUuid& uuid);
// rename(2) to the later place; with kFsync both parents are flushed. The lock must be held.
Status move_pod(const Layout& layout, OpenPod& pod, Place to, io::Durability durability);

// Uuids in a place, unsorted; anything that is no uuid is left out.
Result<std::vector<PodUuid>> list_place(const Layout& layout, Place place);

}  // namespace cooper::pod
