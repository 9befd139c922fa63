// Which ids a process takes that has just entered a user namespace.
#include <unistd.h>

#include "base/strings.h"
#include "container/internal.h"
#include "container/namespace_root.h"
#include "io/file.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/cred.h"

namespace cooper::container {
namespace {

constexpr std::size_t kMaxMapFile = 4096;

// The first id of a map of the caller's own.
Result<std::uint32_t> first_mapped(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, io::read_file(file, kMaxMapFile));
  if (const auto mappings = oci::parse_id_map(text); !mappings.empty()) return mappings.front().container_id;
  return Error(Errc::kSystem, quoted(file) + " maps nothing", EINVAL);
}

// EINVAL: it has no number in this namespace.
bool unmapped(const Status& status) {
  return !status.ok() && status.error().errno_value() == EINVAL;
}

}  // namespace

Status become_namespace_root() {
  Status group = sys::setresgid(0);
  if (unmapped(group)) {
    ASSIGN_OR_RETURN(const gid_t first, first_mapped("/proc/self/gid_map"));
    group = sys::setresgid(first);
  }
  RETURN_IF_ERROR(std::move(group));
  Status user = sys::setresuid(0);
  if (!unmapped(user)) return user;
  ASSIGN_OR_RETURN(const uid_t first, first_mapped("/proc/self/uid_map"));
  return sys::setresuid(first);
}

Status become_zero() {
  if (Status group = sys::setresgid(0); !group.ok() && !unmapped(group)) return group;
  Status user = sys::setresuid(0);
  return unmapped(user) ? Status() : std::move(user);
}

bool may_set_groups() {
  if (::geteuid() != 0) return false;
  const auto word = io::read_file("/proc/self/setgroups", 64);
  return word.ok() && trim(*word) == "allow";
}

}  // namespace cooper::container
