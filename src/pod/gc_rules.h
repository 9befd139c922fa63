// What gc does with a pod that nobody holds the lock of.
#pragma once

#include <cstdint>

#include "pod/layout.h"
#include "pod/pod.h"

namespace cooper::pod {

enum class GcDecision { kKeep, kMark, kDelete };

struct GcFacts {
  Place place;
  std::int64_t age_s = 0;  // since the directory was last moved or changed (its ctime)
  bool remove_on_exit = false;
};

// Unfinished preparations and garbage go at once, also with mark_only: nobody can want them. Exited pods are marked,
// and deleted when the mark is older than the grace period; prepared ones when they expire.
GcDecision decide(const GcFacts& facts, const GcOptions& options);

}  // namespace cooper::pod
