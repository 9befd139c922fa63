#include "sys/heap.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <limits>

namespace cooper::sys {

void reserve_heap(std::size_t bytes) {
  constexpr std::uintptr_t kLargePage = std::uintptr_t{2} << 20U;
  constexpr auto kNever = std::numeric_limits<int>::max();
  if (bytes > kNever) return;
  // All of it from one area, which grows at its end and is not given back.
  if (::mallopt(M_MMAP_THRESHOLD, kNever) == 0 || ::mallopt(M_TRIM_THRESHOLD, kNever) == 0) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  // To have the area grown. Volatile: a compiler that knows malloc and free makes nothing of the two.
  void* volatile block = std::malloc(bytes);  // ban-ok(malloc): see above
  std::free(block);
  const auto end = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  const std::uintptr_t first = (begin + kLargePage - 1) / kLargePage * kLargePage;
  if (end <= first) return;
  (void)::madvise(reinterpret_cast<void*>(first), (end - first) / kLargePage * kLargePage, MADV_HUGEPAGE);
}

}  // namespace cooper::sys
