#include "container/number_list.h"

#include <algorithm>
#include <limits>

#include "base/strings.h"

namespace cooper::container {

std::optional<std::vector<std::uint32_t>> parse_number_list(std::string_view text) {
  std::vector<std::uint32_t> out;
  if (trim(text).empty()) return out;
  for (const std::string_view untrimmed : split(text, ',')) {
    const std::string_view part = trim(untrimmed);
    const auto range = split_once(part, '-');
    const auto first = parse_number<std::uint32_t>(range ? range->first : part);
    const auto last = parse_number<std::uint32_t>(range ? range->second : part);
    if (!first || !last || *first > *last || *last > kMaxListedNumber) return std::nullopt;
    // Hostile lists name the same range over and over.
    if (out.size() + (*last - *first) > std::size_t{4} * kMaxListedNumber) return std::nullopt;
    for (std::uint32_t n = *first; n <= *last; ++n) out.push_back(n);
  }
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<unsigned long> number_mask(const std::vector<std::uint32_t>& numbers) {
  constexpr std::uint32_t kBits = std::numeric_limits<unsigned long>::digits;
  std::vector<unsigned long> out;
  for (const std::uint32_t n : numbers) {
    if (n / kBits >= out.size()) out.resize(n / kBits + 1, 0);
    out[n / kBits] |= 1UL << (n % kBits);
  }
  return out;
}

}  // namespace cooper::container
