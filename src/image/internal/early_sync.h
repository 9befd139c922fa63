// Writes of an operation that ends with syncfs(2) go to the disk while it still works, so that its end finds little to
// wait for. Another thread does it; where that cannot be had, everything is left to the end.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/fd.h"
#include "fetch/thread.h"

namespace cooper::image {

class EarlySync {
 public:
  // `directory` is in the file system; an invalid one: nothing is synced. It is opened anew: an error of writing is
  // told once to each open file, and must reach who syncs at the end.
  explicit EarlySync(BorrowedFd directory);
  // Waits for the sync that is under way.
  ~EarlySync();
  EarlySync(const EarlySync&) = delete;
  EarlySync& operator=(const EarlySync&) = delete;

  // So much more has been written.
  void wrote(std::uint64_t bytes);

 private:
  void run();

  UniqueFd directory_;
  std::uint64_t unsynced_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool due_ = false;
  bool stop_ = false;
  std::optional<fetch::Thread> thread_;
};

}  // namespace cooper::image
