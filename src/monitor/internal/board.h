// What the guardian must know when the monitor is gone: one page of memory shared by both, written by the monitor alone
// as it goes. No pointers, no locks: each cell is written before the step it announces and read only after the
// monitor's death.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "base/error.h"

namespace cooper::monitor::internal {

inline constexpr std::size_t kMaxApps = 63;  // of a pod, besides the sandbox

enum class Phase : std::uint32_t {
  kUntouched,  // nothing of it exists
  kCreating,   // create() is running: anything may exist
  kCreated,
  kRunning,
  kEnded,      // reaped; the record may not be written yet
  kDestroyed,  // nothing of it is left
};

struct BoardCell {
  std::atomic<Phase> phase;
  std::atomic<pid_t> pid;
  std::atomic<std::int64_t> started_unix_ms;
  std::atomic<std::int64_t> finished_unix_ms;
  std::atomic<int> exit_code;
  std::atomic<int> signal;
  std::atomic<bool> core_dumped;
  std::atomic<bool> recorded;  // status/<app> is written
};

struct Board {
  std::atomic<bool> reported;  // the caller of launch() knows the outcome
  std::atomic<bool> finished;  // everything is done, on_finish included: the guardian has nothing left to do
  BoardCell sandbox;
  BoardCell apps[kMaxApps];
};
static_assert(sizeof(Board) <= 4096);
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

// Zeroed, inherited by children as the same memory. Never unmapped: it lives as long as its processes.
Result<Board*> make_board();

}  // namespace cooper::monitor::internal
