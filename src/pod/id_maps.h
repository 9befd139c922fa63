// Id maps of pods with a user namespace: what may be asked for, and which ids of the host are there to be given. Pure;
// who has which range is kept by id_ranges.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_runtime/id_maps.h"
#include "spec/oci_runtime/types.h"
#include "stage1/flavor.h"

namespace cooper::pod {

using oci::IdRange;
using oci::parse_subids;

// What the kernel and the container need: every id mapped once, on both sides, and root among them. `what` is "user" or
// "group".
Status check_id_mappings(const std::vector<oci::IdMapping>& mappings, std::string_view what);
// Ids from 0 on stand for those of the ranges, in their order. Errc::kLimit: more than the kernel takes.
Result<std::vector<oci::IdMapping>> map_to_ranges(const std::vector<IdRange>& ranges);
// Whether the app can be these users and groups.
Status check_mapped(const stage1::App& app, const stage1::IdMaps& maps);

// Sorted, with those that touch or overlap joined.
std::vector<IdRange> merge_ranges(std::vector<IdRange> ranges);
// Host ids of both maps.
std::vector<IdRange> host_ranges(const stage1::IdMaps& maps);
std::vector<IdRange> intersect_ranges(const std::vector<IdRange>& a, const std::vector<IdRange>& b);

// `count` ids of the pool that are not taken, at a multiple of `alignment`. Of all places, which lie a rounded `count`
// apart, `pick(n)` chooses one by a number below n. nullopt: there is none.
std::optional<IdRange> choose_range(const std::vector<IdRange>& pool, const std::vector<IdRange>& taken,
                                    std::uint32_t count, std::uint32_t alignment,
                                    const std::function<std::uint64_t(std::uint64_t)>& pick);

}  // namespace cooper::pod
