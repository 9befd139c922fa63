#include "image/internal/early_sync.h"

#include <utility>

#include "sys/file.h"

namespace cooper::image {
namespace {

// Large enough that most images have done before.
constexpr std::uint64_t kStepBytes = std::uint64_t{96} << 20;

}  // namespace

EarlySync::EarlySync(BorrowedFd directory) {
  if (!directory.valid()) return;
  auto own = sys::openat(directory, ".", O_RDONLY | O_DIRECTORY);
  if (own.ok()) directory_ = std::move(*own);
}

EarlySync::~EarlySync() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
}

void EarlySync::wrote(std::uint64_t bytes) {
  if (!directory_.valid()) return;
  unsynced_ += bytes;
  if (unsynced_ < kStepBytes) return;
  unsynced_ = 0;
  if (!thread_) {
    auto thread = fetch::Thread::start([this] { run(); });
    if (!thread.ok()) {
      directory_.reset();
      return;
    }
    thread_.emplace(std::move(*thread));
  }
  {
    const std::scoped_lock lock(mutex_);
    due_ = true;
  }
  changed_.notify_one();
}

void EarlySync::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return due_ || stop_; });
    if (stop_) return;
    due_ = false;
    lock.unlock();
    (void)!sys::syncfs(directory_).ok();
    lock.lock();
  }
}

}  // namespace cooper::image
