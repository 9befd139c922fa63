// "0-3,5": the kernel's lists of processors and memory nodes.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace cooper::container {

// The largest number a list may name: far above what any kernel is built for, small enough for a bit mask.
inline constexpr std::uint32_t kMaxListedNumber = 65535;

// Sorted, each once. nullopt when it is no such list; an empty text is an empty list.
std::optional<std::vector<std::uint32_t>> parse_number_list(std::string_view text);

// The list as a bit mask of longs, as sched_setaffinity(2) and set_mempolicy(2) take it.
std::vector<unsigned long> number_mask(const std::vector<std::uint32_t>& numbers);

}  // namespace cooper::container
