#include "container/idmap_words.h"

#include <algorithm>

#include "base/strings.h"
#include "spec/oci_runtime/id_maps.h"

namespace cooper::container {
namespace {

constexpr std::string_view kForm =
    "uids=FROM-TO-COUNT#...;gids=FROM-TO-COUNT#..., where @FROM-TO-COUNT means ids of "
    "the container's user namespace";

Error malformed(std::string_view text, std::string_view why) {
  return Error(Errc::kInvalidArgument, "mappings " + quoted(text) + ": " + std::string(why))
      .with_hint("write " + std::string(kForm));
}

std::optional<IdmapRange> parse_range(std::string_view text) {
  IdmapRange out;
  out.relative = text.starts_with('@');
  const auto parts = split(text.substr(out.relative ? 1 : 0), '-');
  if (parts.size() != 3) return std::nullopt;
  const auto from = parse_number<std::uint32_t>(parts[0]);
  const auto to = parse_number<std::uint32_t>(parts[1]);
  const auto count = parse_number<std::uint32_t>(parts[2]);
  if (!from || !to || !count || *count == 0) return std::nullopt;
  out.ids = {*from, *to, *count};
  return out;
}

}  // namespace

bool is_idmap_word(std::string_view option) {
  const std::string_view key = option.substr(0, option.find('='));
  return key == "idmap" || key == "ridmap";
}

Result<IdmapWords> parse_idmap_words(std::string_view text) {
  IdmapWords out;
  for (const std::string_view part : split(text, ';')) {
    const auto pair = split_once(part, '=');
    const bool users = pair && pair->first == "uids";
    if (!users && !(pair && pair->first == "gids")) return malformed(text, quoted(part) + " is neither uids nor gids");
    auto& list = users ? out.uids : out.gids;
    if (!list.empty()) return malformed(text, quoted(pair->first) + " is given twice");
    for (const std::string_view range : split(pair->second, '#')) {
      const auto parsed = parse_range(range);
      if (!parsed) return malformed(text, quoted(range) + " is no range of ids");
      list.push_back(*parsed);
    }
  }
  if (out.uids.empty() || out.gids.empty()) return malformed(text, "both uids and gids are needed");
  return out;
}

Result<std::vector<oci::IdMapping>> absolute_ranges(const std::vector<IdmapRange>& ranges,
                                                    const std::vector<oci::IdMapping>& user_namespace) {
  std::vector<oci::IdMapping> out;
  for (const IdmapRange& range : ranges) {
    if (!range.relative) {
      out.push_back(range.ids);
      continue;
    }
    std::uint64_t from = range.ids.container_id;
    std::uint64_t inside = range.ids.host_id;
    const std::uint64_t end = inside + range.ids.size;
    while (inside < end) {
      const auto part = std::ranges::find_if(user_namespace, [inside](const oci::IdMapping& m) {
        return inside >= m.container_id && inside < std::uint64_t{m.container_id} + m.size;
      });
      if (part == user_namespace.end())
        return Error(Errc::kInvalidArgument, "id " + std::to_string(inside) +
                                                 " of an id-mapped mount is not in the container's user namespace");
      const std::uint64_t offset = inside - part->container_id;
      const std::uint64_t count = std::min(end - inside, part->size - offset);
      out.push_back({static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(part->host_id + offset),
                     static_cast<std::uint32_t>(count)});
      from += count;
      inside += count;
    }
  }
  return out;
}

Result<HostRanges> absolute_ranges(const IdmapWords& words, const oci::Config& config) {
  const oci::Linux none;
  const oci::Linux& linux = oci::maps_ids(config) ? *config.linux : none;
  HostRanges out;
  ASSIGN_OR_RETURN(out.uids, absolute_ranges(words.uids, linux.uid_mappings));
  ASSIGN_OR_RETURN(out.gids, absolute_ranges(words.gids, linux.gid_mappings));
  return out;
}

}  // namespace cooper::container
