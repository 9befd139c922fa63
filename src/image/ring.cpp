#include "image/internal/ring.h"

#include <algorithm>
#include <optional>

namespace cooper::image {

std::size_t Ring::slowest() const {
  std::size_t slowest = published_;
  for (std::size_t i = 0; i < consumers_; ++i) {
    if (!left_[i]) slowest = std::min(slowest, taken_[i]);
  }
  return slowest;
}

std::span<char> Ring::reserve() {
  std::unique_lock lock(mutex_);
  consumed_.wait(lock, [&] { return cancelled_ || published_ - slowest() < kSlots; });
  if (cancelled_) return {};
  Slot& slot = slots_[published_ % kSlots];
  if (slot.bytes.empty()) slot.bytes.resize(kSlotBytes);
  return slot.bytes;
}

void Ring::publish(std::size_t size, bool last) {
  {
    const std::scoped_lock lock(mutex_);
    Slot& slot = slots_[published_ % kSlots];
    slot.size = size;
    slot.last = last;
    ++published_;
  }
  produced_.notify_all();
}

std::optional<Ring::Item> Ring::front(std::size_t who) {
  std::unique_lock lock(mutex_);
  produced_.wait(lock, [&] { return cancelled_ || closed_ || taken_[who] < published_; });
  if (cancelled_ || taken_[who] == published_) return std::nullopt;
  const Slot& slot = slots_[taken_[who] % kSlots];
  return Item{.bytes = {slot.bytes.data(), slot.size}, .last = slot.last};
}

void Ring::pop(std::size_t who) {
  {
    const std::scoped_lock lock(mutex_);
    ++taken_[who];
  }
  consumed_.notify_one();
}

void Ring::leave(std::size_t who) {
  {
    const std::scoped_lock lock(mutex_);
    left_[who] = true;
  }
  consumed_.notify_one();
}

void Ring::close() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  produced_.notify_all();
}

void Ring::cancel() {
  {
    const std::scoped_lock lock(mutex_);
    cancelled_ = true;
  }
  produced_.notify_all();
  consumed_.notify_all();
}

Result<std::string_view> RingBlocks::next() {
  if (holding_) {
    ring_.pop(who_);
    holding_ = false;
  }
  if (ended_) return std::string_view{};
  while (true) {
    const auto item = ring_.front(who_);
    if (!item) return Error(Errc::kCancelled, "unpacking was cancelled", ECANCELED);
    ended_ = item->last;
    if (!item->bytes.empty()) {
      holding_ = true;
      return item->bytes;
    }
    ring_.pop(who_);
    if (ended_) return std::string_view{};
  }
}

Status RingBlocks::drain() {
  while (true) {
    ASSIGN_OR_RETURN(const std::string_view bytes, next());
    if (bytes.empty()) return {};
  }
}

}  // namespace cooper::image
