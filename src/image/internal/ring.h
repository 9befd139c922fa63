// Hands buffers from one producing thread to several consuming ones; every consumer sees every buffer, in order. Memory
// is fixed: kSlots buffers of kSlotBytes.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "codec/stream.h"

namespace cooper::image {

class Ring {
 public:
  static constexpr std::size_t kSlots = 8;
  static constexpr std::size_t kSlotBytes = std::size_t{512} << 10;
  static constexpr std::size_t kConsumers = 2;

  explicit Ring(std::size_t consumers) : consumers_(consumers) {}

  // Producer. Waits for a free buffer; empty when the work was cancelled or nobody consumes any more.
  std::span<char> reserve();
  // The reserved buffer holds `size` bytes; `last`: it ends a layer.
  void publish(std::size_t size, bool last);

  struct Item {
    std::string_view bytes;
    bool last = false;
  };
  // Consumer `who`. Waits for the next item; nullopt when the work was cancelled. Valid until pop().
  std::optional<Item> front(std::size_t who);
  void pop(std::size_t who);
  // The consumer wants no more; the others go on.
  void leave(std::size_t who);
  // Producer: nothing more comes. Consumers see what was published, then the work as cancelled.
  void close();
  void cancel();

 private:
  struct Slot {
    std::vector<char> bytes;
    std::size_t size = 0;
    bool last = false;
  };
  std::size_t slowest() const;

  std::mutex mutex_;
  std::condition_variable produced_;
  std::condition_variable consumed_;
  std::array<Slot, kSlots> slots_;
  std::size_t published_ = 0;
  std::array<std::size_t, kConsumers> taken_{};
  std::array<bool, kConsumers> left_{};
  std::size_t consumers_;
  bool closed_ = false;
  bool cancelled_ = false;
};

// The bytes of one layer, as a consumer sees them.
class RingBlocks final : public codec::BlockSource {
 public:
  RingBlocks(Ring& ring, std::size_t who) : ring_(ring), who_(who) {}
  Result<std::string_view> next() override;
  // Passes over what is left of the layer.
  Status drain();

 private:
  Ring& ring_;
  std::size_t who_;
  bool holding_ = false;
  bool ended_ = false;
};

}  // namespace cooper::image
