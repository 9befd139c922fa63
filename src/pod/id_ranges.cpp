#include "pod/id_ranges.h"

#include <sys/file.h>
#include <sys/random.h>

#include "base/strings.h"
#include "io/file.h"
#include "pod/state.h"
#include "sys/file.h"

namespace cooper::pod {
namespace {

constexpr std::size_t kMaxSubidBytes = std::size_t{16} << 20;
constexpr const char* kSubuidFile = "/etc/subuid";
constexpr const char* kSubgidFile = "/etc/subgid";
constexpr const char* kContainersUser = "containers";
// https://systemd.io/UIDS-GIDS: the range that systemd-nspawn takes from, in the same steps.
constexpr IdRange kSystemdContainers{0x00080000, 0x6fff0000 - 0x00080000 + 0x10000};
constexpr std::uint32_t kSystemdStep = 0x10000;

Result<std::string> read_subids(const char* path) {
  auto text = io::read_file(path, kMaxSubidBytes);
  if (!text.ok() && text.error().code() == Errc::kNotFound) return std::string();
  return text;
}

std::uint64_t by_chance(std::uint64_t below) {
  std::uint64_t number = 0;
  // Interrupted or not yet seeded: the first place, which is as free as the others.
  (void)!::getrandom(&number, sizeof number, 0);
  return number % below;
}

Error nothing_free(std::uint32_t count, bool of_containers) {
  Error error(Errc::kLimit, "no " + std::to_string(count) + " ids of the host are free for the pod's user namespace");
  if (!of_containers) return std::move(error).with_hint("ended pods keep theirs until they are removed");
  return std::move(error).with_hint("give the user 'containers' more in /etc/subuid and /etc/subgid, or remove pods");
}

Result<IdRange> choose_automatically(std::uint32_t count, const std::vector<IdRange>& taken) {
  ASSIGN_OR_RETURN(const std::string subuids, read_subids(kSubuidFile));
  ASSIGN_OR_RETURN(const std::string subgids, read_subids(kSubgidFile));
  const auto uids = parse_subids(subuids, kContainersUser);
  const auto gids = parse_subids(subgids, kContainersUser);
  const bool of_containers = !uids.empty() || !gids.empty();
  std::optional<IdRange> chosen;
  if (of_containers) {
    chosen = choose_range(intersect_ranges(merge_ranges(uids), merge_ranges(gids)), taken, count, 1, by_chance);
  } else {
    std::vector<IdRange> all = taken;
    for (const std::string& text : {subuids, subgids}) {
      for (const IdRange& range : parse_subids(text, std::nullopt)) all.push_back(range);
    }
    chosen = choose_range({kSystemdContainers}, all, count, kSystemdStep, by_chance);
  }
  if (!chosen) return nothing_free(count, of_containers);
  return *chosen;
}

Result<std::vector<oci::IdMapping>> subordinate_map(const char* path, const std::string& owner) {
  ASSIGN_OR_RETURN(const std::string text, read_subids(path));
  const auto ranges = parse_subids(text, owner);
  if (ranges.empty()) {
    return Error(Errc::kNotFound, std::string(path) + " gives no ids to " + quoted(owner))
        .with_hint("'usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST " + owner + "' does");
  }
  return map_to_ranges(ranges);
}

Result<stage1::IdMaps> subordinate_maps(const UserNamespace& request) {
  stage1::IdMaps maps;
  ASSIGN_OR_RETURN(maps.uids, subordinate_map(kSubuidFile, request.uid_owner));
  ASSIGN_OR_RETURN(maps.gids, subordinate_map(kSubgidFile, request.gid_owner));
  RETURN_IF_ERROR(check_id_mappings(maps.uids, "user"));
  RETURN_IF_ERROR(check_id_mappings(maps.gids, "group"));
  return maps;
}

std::vector<IdRange> ranges_of(const std::vector<NotedRange>& noted) {
  std::vector<IdRange> out;
  for (const NotedRange& one : noted) out.push_back(one.range);
  return out;
}

Result<UniqueFd> open_ranges(const Layout& layout) {
  RETURN_IF_ERROR(io::make_directories(layout.id_ranges(), 0711));
  return sys::openat(sys::kCwd, layout.id_ranges(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

// Of pods that no longer exist: what nobody gave back.
Status forget_stale(const Layout& layout) {
  ASSIGN_OR_RETURN(const auto noted, noted_ranges(layout));
  for (const NotedRange& one : noted) {
    const auto pod = open_pod(layout, one.uuid);
    if (!pod.ok() && pod.error().code() == Errc::kNotFound) RETURN_IF_ERROR(forget_range(layout, one.name));
  }
  return {};
}

}  // namespace

Result<stage1::IdMaps> choose_id_maps(const Layout& layout, const UserNamespace& request) {
  stage1::IdMaps maps;
  switch (request.kind) {
    case UserNamespace::Kind::kHost:
      return maps;
    case UserNamespace::Kind::kGiven:
      maps.uids = request.uids;
      maps.gids = request.gids;
      return maps;
    case UserNamespace::Kind::kSubordinate:
      return subordinate_maps(request);
    case UserNamespace::Kind::kAuto:
      break;
  }
  ASSIGN_OR_RETURN(const auto noted, noted_ranges(layout));
  ASSIGN_OR_RETURN(const IdRange range, choose_automatically(request.size, ranges_of(noted)));
  maps.uids = maps.gids = {{0, range.first, range.count}};
  return maps;
}

Result<stage1::IdMaps> take_id_maps(const Layout& layout, const UserNamespace& request, const PodUuid& uuid) {
  if (request.kind == UserNamespace::Kind::kHost) return stage1::IdMaps();
  ASSIGN_OR_RETURN(const UniqueFd ranges, open_ranges(layout));
  RETURN_IF_ERROR(sys::flock(ranges, LOCK_EX));
  auto maps = choose_id_maps(layout, request);
  if (!maps.ok() && maps.error().code() == Errc::kLimit) {
    RETURN_IF_ERROR(forget_stale(layout));
    maps = choose_id_maps(layout, request);
  }
  if (!maps.ok()) return std::move(maps).error();
  for (const IdRange& range : host_ranges(*maps)) {
    const std::string name = std::to_string(range.first) + "-" + std::to_string(range.count) + "@" + uuid.str();
    const auto note = sys::openat(ranges, name, O_WRONLY | O_CREAT, 0600);
    if (!note.ok()) return Error(note.error().code(), note.error().message(), note.error().errno_value());
  }
  return maps;
}

Status flush_id_ranges(const Layout& layout) {
  ASSIGN_OR_RETURN(const UniqueFd ranges, open_ranges(layout));
  return sys::fsync(ranges);
}

Status release_id_ranges(const Layout& layout, const PodUuid& uuid) {
  ASSIGN_OR_RETURN(const auto noted, noted_ranges(layout));
  for (const NotedRange& one : noted) {
    if (one.uuid == uuid) RETURN_IF_ERROR(forget_range(layout, one.name));
  }
  return {};
}

std::optional<NotedRange> parse_noted_range(std::string_view name) {
  const auto halves = split_once(name, '@');
  if (!halves) return std::nullopt;
  const auto numbers = split_once(halves->first, '-');
  if (!numbers) return std::nullopt;
  const auto first = parse_number<std::uint32_t>(numbers->first);
  const auto count = parse_number<std::uint32_t>(numbers->second);
  auto uuid = PodUuid::parse(halves->second);
  if (!first || !count || *count == 0 || *count > 0xffffffff - *first || !uuid.ok()) return std::nullopt;
  return NotedRange{std::string(name), {*first, *count}, std::move(uuid).value()};
}

Result<std::vector<NotedRange>> noted_ranges(const Layout& layout) {
  std::vector<NotedRange> out;
  const auto ranges = sys::openat(sys::kCwd, layout.id_ranges(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!ranges.ok() && ranges.error().errno_value() == ENOENT) return out;
  if (!ranges.ok()) return Error(ranges.error().code(), ranges.error().message(), ranges.error().errno_value());
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(*ranges));
  for (const std::string& name : names) {
    if (auto noted = parse_noted_range(name); noted) out.push_back(*std::move(noted));
  }
  return out;
}

Status forget_range(const Layout& layout, const std::string& name) {
  Status removed = sys::unlinkat(sys::kCwd, layout.id_ranges() + "/" + name);
  if (!removed.ok() && removed.error().errno_value() == ENOENT) return {};
  return removed;
}

}  // namespace cooper::pod
