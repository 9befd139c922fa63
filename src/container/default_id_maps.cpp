#include "container/default_id_maps.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

#include "base/strings.h"
#include "container/validate_rules.h"
#include "io/file.h"
#include "spec/oci_runtime/id_maps.h"

namespace cooper::container {
namespace {

constexpr std::size_t kMaxFile = std::size_t{1} << 20;

bool in_path(const std::string& program) {
  const char* path = ::secure_getenv("PATH");
  for (const std::string_view directory : split(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    if (!directory.empty() && ::access((std::string(directory) + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

// passwd(5) alone: name services need libraries that a static program does not have.
std::string own_name(uid_t uid) {
  const auto text = io::read_file("/etc/passwd", kMaxFile);
  if (!text.ok()) return {};
  for (const std::string_view line : split(*text, '\n')) {
    const auto parts = split(line, ':');
    if (parts.size() >= 3 && parse_number<uid_t>(parts[2]) == uid) return std::string(parts[0]);
  }
  return {};
}

std::vector<oci::IdRange> ranges_of(const std::string& file, const std::string& name, uid_t uid) {
  const auto text = io::read_file(file, kMaxFile);
  if (!text.ok()) return {};
  std::vector<oci::IdRange> out;
  if (!name.empty()) out = oci::parse_subids(*text, name);
  return out.empty() ? oci::parse_subids(*text, std::to_string(uid)) : out;
}

std::vector<oci::IdMapping> own_and(std::uint32_t own, const std::vector<oci::IdRange>& ranges) {
  std::vector<oci::IdMapping> out{{0, own, 1}};
  std::uint64_t next = 1;
  for (const oci::IdRange& range : ranges) {
    if (next + range.count > UINT32_MAX) break;
    out.push_back({static_cast<std::uint32_t>(next), range.first, range.count});
    next += range.count;
  }
  return out;
}

}  // namespace

bool fill_id_maps(oci::Config& config) {
  if (!config.linux || !config.linux->uid_mappings.empty() || !config.linux->gid_mappings.empty()) return false;
  const oci::Namespace* user = rules::find_namespace(config, "user");
  const uid_t uid = ::geteuid();
  if (user == nullptr || !user->path.empty() || uid == 0) return false;
  std::vector<oci::IdRange> users;
  std::vector<oci::IdRange> groups;
  if (in_path("newuidmap") && in_path("newgidmap")) {
    const std::string name = own_name(uid);
    users = ranges_of("/etc/subuid", name, uid);
    groups = ranges_of("/etc/subgid", name, uid);
  }
  const bool alone = users.empty() || groups.empty();
  config.linux->uid_mappings = own_and(uid, alone ? std::vector<oci::IdRange>() : users);
  config.linux->gid_mappings = own_and(::getegid(), alone ? std::vector<oci::IdRange>() : groups);
  return true;
}

}  // namespace cooper::container
