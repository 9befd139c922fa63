#include "pod/id_maps.h"

#include <algorithm>

#include "base/strings.h"
#include "spec/oci_runtime/id_maps.h"

namespace cooper::pod {
namespace {

constexpr std::uint64_t kEndOfIds = 0xffffffff;  // the last number is no id
constexpr std::size_t kMaxMappings = 340;        // UID_GID_MAP_MAX_EXTENTS, kernel 4.15

std::uint64_t end_of(const IdRange& range) {
  return std::uint64_t{range.first} + range.count;
}

std::optional<IdRange> make_range(std::uint64_t first, std::uint64_t end) {
  if (first >= end || end > kEndOfIds) return std::nullopt;
  return IdRange{static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(end - first)};
}

// What of the pool is not taken.
std::vector<IdRange> subtract(const std::vector<IdRange>& pool, const std::vector<IdRange>& taken) {
  std::vector<IdRange> out;
  const std::vector<IdRange> gone = merge_ranges(taken);
  for (const IdRange& range : merge_ranges(pool)) {
    std::uint64_t at = range.first;
    for (const IdRange& hole : gone) {
      if (hole.first >= end_of(range)) break;
      if (const auto before = make_range(at, hole.first); before) out.push_back(*before);
      at = std::max(at, end_of(hole));
    }
    if (const auto rest = make_range(at, end_of(range)); rest) out.push_back(*rest);
  }
  return out;
}

bool overlap(std::vector<IdRange> ranges) {
  std::ranges::sort(ranges, {}, &IdRange::first);
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (end_of(ranges[i - 1]) > ranges[i].first) return true;
  }
  return false;
}

std::string ids_text(const std::vector<oci::IdMapping>& mappings) {
  std::string out;
  for (const oci::IdMapping& m : mappings) {
    if (!out.empty()) out += ", ";
    out += std::to_string(m.container_id);
    if (m.size > 1) out += " to " + std::to_string(std::uint64_t{m.container_id} + m.size - 1);
  }
  return out;
}

Error not_mapped(std::string_view what, std::uint32_t id, const std::vector<oci::IdMapping>& mappings) {
  return Error(Errc::kInvalidArgument, std::string(what) + " " + std::to_string(id) +
                                           " is not in the pod's user namespace, which has " + ids_text(mappings))
      .with_hint("give it more ids: --userns auto:size=NUMBER, or other maps");
}

}  // namespace

Status check_id_mappings(const std::vector<oci::IdMapping>& mappings, std::string_view what) {
  const auto bad = [&](const std::string& why) {
    return Error(Errc::kInvalidArgument, "map of " + std::string(what) + " ids: " + why);
  };
  if (mappings.size() > kMaxMappings)
    return bad("has more than the " + std::to_string(kMaxMappings) + " ranges that the kernel takes");
  std::vector<IdRange> inside;
  std::vector<IdRange> outside;
  for (const oci::IdMapping& m : mappings) {
    const auto in = make_range(m.container_id, std::uint64_t{m.container_id} + m.size);
    const auto out = make_range(m.host_id, std::uint64_t{m.host_id} + m.size);
    if (!in || !out) {
      return bad("range " + std::to_string(m.container_id) + ":" + std::to_string(m.host_id) + ":" +
                 std::to_string(m.size) + " is empty or goes beyond the largest id");
    }
    inside.push_back(*in);
    outside.push_back(*out);
  }
  if (overlap(std::move(inside))) return bad("two ranges have an id of the container in common");
  if (overlap(std::move(outside))) return bad("two ranges have an id of the host in common");
  if (!oci::host_id(mappings, 0)) return bad("id 0 is missing, which every container starts as");
  return {};
}

Result<std::vector<oci::IdMapping>> map_to_ranges(const std::vector<IdRange>& ranges) {
  std::vector<oci::IdMapping> out;
  std::uint64_t next = 0;
  for (const IdRange& range : ranges) {
    if (out.size() == kMaxMappings || next + range.count > kEndOfIds)
      return Error(Errc::kLimit, "there are more ranges of ids than the kernel takes in one map");
    out.push_back({static_cast<std::uint32_t>(next), range.first, range.count});
    next += range.count;
  }
  return out;
}

Status check_mapped(const stage1::App& app, const stage1::IdMaps& maps) {
  if (maps.empty()) return {};
  if (!oci::host_id(maps.uids, app.uid)) return not_mapped("user", app.uid, maps.uids);
  if (!oci::host_id(maps.gids, app.gid)) return not_mapped("group", app.gid, maps.gids);
  for (const std::uint32_t gid : app.additional_gids) {
    if (!oci::host_id(maps.gids, gid)) return not_mapped("group", gid, maps.gids);
  }
  return {};
}

std::vector<IdRange> merge_ranges(std::vector<IdRange> ranges) {
  std::ranges::sort(ranges, {}, &IdRange::first);
  std::vector<IdRange> out;
  for (const IdRange& range : ranges) {
    if (!out.empty() && range.first <= end_of(out.back())) {
      const std::uint64_t end = std::max(end_of(out.back()), end_of(range));
      out.back().count = static_cast<std::uint32_t>(end - out.back().first);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

std::vector<IdRange> host_ranges(const stage1::IdMaps& maps) {
  std::vector<IdRange> out;
  for (const auto* mappings : {&maps.uids, &maps.gids}) {
    for (const oci::IdMapping& m : *mappings) out.push_back({m.host_id, m.size});
  }
  return merge_ranges(std::move(out));
}

std::vector<IdRange> intersect_ranges(const std::vector<IdRange>& a, const std::vector<IdRange>& b) {
  std::vector<IdRange> out;
  for (const IdRange& x : a) {
    for (const IdRange& y : b) {
      const auto both = make_range(std::max(x.first, y.first), std::min(end_of(x), end_of(y)));
      if (both) out.push_back(*both);
    }
  }
  return merge_ranges(std::move(out));
}

std::optional<IdRange> choose_range(const std::vector<IdRange>& pool, const std::vector<IdRange>& taken,
                                    std::uint32_t count, std::uint32_t alignment,
                                    const std::function<std::uint64_t(std::uint64_t)>& pick) {
  const auto round_up = [&](std::uint64_t n) { return (n + alignment - 1) / alignment * alignment; };
  if (count == 0 || alignment == 0) return std::nullopt;
  const std::uint64_t step = round_up(count);
  const auto places_in = [&](const IdRange& range) -> std::uint64_t {
    const std::uint64_t first = round_up(range.first);
    return first + count > end_of(range) ? 0 : (end_of(range) - first - count) / step + 1;
  };
  const std::vector<IdRange> free = subtract(pool, taken);
  std::uint64_t places = 0;
  for (const IdRange& range : free) places += places_in(range);
  if (places == 0) return std::nullopt;
  std::uint64_t chosen = pick(places) % places;
  for (const IdRange& range : free) {
    const std::uint64_t here = places_in(range);
    if (chosen < here) return IdRange{static_cast<std::uint32_t>(round_up(range.first) + chosen * step), count};
    chosen -= here;
  }
  return std::nullopt;
}

}  // namespace cooper::pod
