// How far long work of the store has come.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace cooper::image {

// `what` is one of the things that are done one after the other: a layer (the first digits of its digest), "reading",
// "packing". Those that are known before are told with no bytes done, in their order. `total_bytes` 0: not known.
// Called often, from one thread at a time.
using Progress = std::function<void(std::string_view what, std::uint64_t done_bytes, std::uint64_t total_bytes)>;

}  // namespace cooper::image
