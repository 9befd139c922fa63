// User and group names are those of the image: its own /etc/passwd and /etc/group, read here line by line. NSS would
// ask the host. Lines that do not parse are passed over, as every libc does.
#include <algorithm>
#include <limits>
#include <optional>

#include "base/chars.h"
#include "base/strings.h"
#include "image/store.h"
#include "io/root_dir.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxGroups = 65536;  // NGROUPS_MAX

struct PasswdEntry {
  std::string_view name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string_view home;
};
struct GroupEntry {
  std::string_view name;
  std::uint32_t gid = 0;
  std::string_view members;
};

// Never the value chown(2) and setresuid(2) take for "leave it".
std::optional<std::uint32_t> parse_id(std::string_view text) {
  const auto id = parse_number<std::uint32_t>(text);
  if (!id || *id == std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return id;
}

std::optional<PasswdEntry> parse_passwd(std::string_view line) {
  const auto fields = split(line, ':');
  if (fields.size() < 4 || fields[0].empty()) return std::nullopt;
  const auto uid = parse_id(fields[2]);
  const auto gid = parse_id(fields[3]);
  if (!uid || !gid) return std::nullopt;
  return PasswdEntry{fields[0], *uid, *gid, fields.size() > 5 ? fields[5] : std::string_view{}};
}

std::optional<GroupEntry> parse_group(std::string_view line) {
  const auto fields = split(line, ':');
  if (fields.size() < 3 || fields[0].empty()) return std::nullopt;
  const auto gid = parse_id(fields[2]);
  if (!gid) return std::nullopt;
  return GroupEntry{fields[0], *gid, fields.size() > 3 ? fields[3] : std::string_view{}};
}

// The first entry of the file that f accepts (f returns true to stop).
template <typename Parse, typename F>
void for_each_entry(std::string_view text, Parse parse, F f) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto entry = parse(line);
    if (entry && f(*entry)) return;
  }
}

// A missing file is an empty one.
Result<std::string> read_database(const io::RootDir& root, const std::string& path) {
  auto text = root.read_file(path, kMaxFileBytes);
  if (text.ok()) return text;
  const int e = text.error().errno_value();
  if (e == ENOENT || e == ENOTDIR || e == ELOOP) return std::string();
  return std::move(text).error();
}

bool is_member(std::string_view members, std::string_view name) {
  return std::ranges::any_of(split(members, ','), [&](std::string_view member) { return trim(member) == name; });
}

struct Databases {
  std::string passwd;
  std::string group;
};

// A number, be it too large for one of a user, is never a name: who asks for user 1000 would get whom an image, or a
// container that can write its own /etc/passwd, calls so, and that may be root.
bool is_number(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && std::ranges::all_of(text, is_digit);
}

std::optional<PasswdEntry> find_user(const Databases& files, std::string_view user) {
  std::optional<PasswdEntry> found;
  const bool number = is_number(user);
  const auto id = parse_id(user);
  for_each_entry(files.passwd, parse_passwd, [&](const PasswdEntry& entry) {
    if (number ? id == entry.uid : entry.name == user) found = entry;
    return found.has_value();
  });
  return found;
}

Error no_id(std::string_view text) {
  return {Errc::kNotFound, quoted(text) + " is none of the numbers that users and groups have"};
}

Result<std::uint32_t> find_group(const Databases& files, std::string_view group) {
  if (is_number(group)) {
    const auto id = parse_id(group);
    return id ? Result<std::uint32_t>(*id) : no_id(group);
  }
  std::optional<std::uint32_t> gid;
  for_each_entry(files.group, parse_group, [&](const GroupEntry& entry) {
    if (entry.name == group) gid = entry.gid;
    return gid.has_value();
  });
  if (gid) return *gid;
  return Error(Errc::kNotFound, "group " + quoted(group) + " is not in the image's /etc/group")
      .with_hint("give the number of the group");
}

}  // namespace

Result<ResolvedUser> resolve_user(BorrowedFd rootfs, std::string_view user) {
  ASSIGN_OR_RETURN(UniqueFd copy, sys::dup_cloexec(rootfs));
  const io::RootDir root = io::RootDir::adopt(std::move(copy));
  Databases files;
  ASSIGN_OR_RETURN(files.passwd, read_database(root, "etc/passwd"));
  ASSIGN_OR_RETURN(files.group, read_database(root, "etc/group"));

  const auto parts = split_once(user, ':');
  const std::string_view user_part = parts ? parts->first : user;
  const std::string_view name = user_part.empty() ? std::string_view("0") : user_part;
  ResolvedUser out{.uid = 0, .gid = 0, .additional_gids = {}, .home = "/"};
  const auto entry = find_user(files, name);
  if (entry) {
    out.uid = entry->uid;
    out.gid = entry->gid;
    if (entry->home.starts_with('/') && entry->home.find('\0') == std::string_view::npos) out.home = entry->home;
  } else {
    const auto id = parse_id(name);
    if (!id && is_number(name)) return no_id(name);
    if (!id) {
      return Error(Errc::kNotFound, "user " + quoted(name) + " is not in the image's /etc/passwd")
          .with_hint("give the number of the user");
    }
    out.uid = *id;
  }
  if (parts && !parts->second.empty()) {
    // A group that is named stands alone, as docker and podman have it.
    ASSIGN_OR_RETURN(out.gid, find_group(files, parts->second));
    out.additional_gids = {out.gid};
    return out;
  }
  out.additional_gids = {out.gid};
  if (!entry) return out;
  for_each_entry(files.group, parse_group, [&](const GroupEntry& group) {
    if (is_member(group.members, entry->name) &&
        std::ranges::find(out.additional_gids, group.gid) == out.additional_gids.end()) {
      out.additional_gids.push_back(group.gid);
    }
    return out.additional_gids.size() == kMaxGroups;
  });
  return out;
}

}  // namespace cooper::image
