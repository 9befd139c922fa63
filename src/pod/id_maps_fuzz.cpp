// Lines of /etc/subuid, names of noted ranges and extended attributes as arbitrary bytes: no range leaves the ids there
// are, what is chosen is free, and attributes are shifted or left alone.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "pod/id_maps.h"
#include "pod/id_ranges.h"
#include "pod/shifted_attribute.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper;
  using namespace cooper::pod;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto ranges = parse_subids(text, std::nullopt);
  for (const IdRange& range : ranges) {
    if (range.count == 0 || range.first > 0xffffffff - range.count) std::abort();
  }
  if (const auto maps = map_to_ranges(ranges); maps.ok() && !maps->empty()) (void)check_id_mappings(*maps, "user").ok();
  const std::vector<IdRange> pool{{1000, 100000}};
  const auto chosen =
      choose_range(pool, ranges, 1 + size % 5000, 1 + size % 7, [&](std::uint64_t n) { return size % n; });
  if (chosen && !intersect_ranges({*chosen}, merge_ranges(ranges)).empty()) std::abort();
  if (chosen && intersect_ranges({*chosen}, pool) != std::vector<IdRange>{*chosen}) std::abort();
  (void)parse_noted_range(text);
  const stage1::IdMaps maps{{{0, 100000, 65536}}, {{0, 200000, 65536}}};
  for (const char* name : {"security.capability", "system.posix_acl_access", "user.note"})
    (void)shift_attribute(name, text, maps);
  return 0;
}
