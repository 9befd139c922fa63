#include "sys/heap.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <string>

namespace cooper::sys {
namespace {

std::uintptr_t end_of_heap() {
  return reinterpret_cast<std::uintptr_t>(::sbrk(0));
}

// In a process of its own: it is for good.
TEST(Heap, IsTakenAtOnceAndKept) {
  constexpr std::size_t kBytes = std::size_t{16} << 20;
  EXPECT_EXIT(
      {
        const std::uintptr_t before = end_of_heap();
        reserve_heap(kBytes);
        const std::uintptr_t after = end_of_heap();
        if (after == before) ::_exit(0);  // not the allocator of the C library
        for (int i = 0; i < 4; ++i) std::string(kBytes / 2, 'x').back() = 'y';
        ::_exit(after - before >= kBytes && end_of_heap() == after ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
  reserve_heap(SIZE_MAX);
}

}  // namespace
}  // namespace cooper::sys
