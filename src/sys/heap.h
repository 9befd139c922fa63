// The memory of operator new, for programs that know beforehand how much they are about to take.
#pragma once

#include <cstddef>

namespace cooper::sys {

// That much is taken from the kernel at once, in large pages where it has some to give (madvise(2), MADV_HUGEPAGE): a
// fault for every 2 MiB instead of every 4 KiB. From then on freed memory stays with the process, so that this is for
// one that ends soon, and for the program itself to decide, not for a library. Nothing happens where it is not
// possible.
void reserve_heap(std::size_t bytes);

}  // namespace cooper::sys
