#include "image/internal/ring.h"

#include <gtest/gtest.h>

namespace cooper::image {
namespace {

void publish(Ring& ring, std::string_view text, bool last) {
  const std::span<char> buffer = ring.reserve();
  ASSERT_GE(buffer.size(), text.size());
  text.copy(buffer.data(), text.size());
  ring.publish(text.size(), last);
}

TEST(Ring, ClosedAfterWhatWasPublished) {
  Ring ring(1);
  publish(ring, "a", false);
  publish(ring, "b", true);
  ring.close();
  RingBlocks layer(ring, 0);
  EXPECT_EQ(*layer.next(), "a");
  EXPECT_EQ(*layer.next(), "b");
  EXPECT_EQ(*layer.next(), "");
  EXPECT_EQ(RingBlocks(ring, 0).next().error().code(), Errc::kCancelled);
}

TEST(Ring, CancelledAtOnce) {
  Ring ring(2);
  publish(ring, "a", true);
  ring.cancel();
  EXPECT_EQ(RingBlocks(ring, 1).next().error().code(), Errc::kCancelled);
  EXPECT_TRUE(ring.reserve().empty());
}

TEST(Ring, WhoLeftIsNotWaitedFor) {
  Ring ring(2);
  ring.leave(1);
  for (std::size_t i = 0; i < 3 * Ring::kSlots; ++i) {
    publish(ring, "x", false);
    EXPECT_EQ(ring.front(0)->bytes, "x");
    ring.pop(0);
  }
}

}  // namespace
}  // namespace cooper::image
