#include "container/child_identity.h"

#include <fcntl.h>
#include <sched.h>

#include "base/strings.h"
#include "io/file.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace cooper::container {

Status OwnIdentity::open() {
  ASSIGN_OR_RETURN(self_, sys::openat(sys::kCwd, "/proc/self", O_PATH | O_DIRECTORY));
  return {};
}

Result<std::string> OwnIdentity::namespaces() const {
  std::string out;
  for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}) {
    auto info = sys::fstatat(self_, std::string("ns/") + name, 0);
    if (!info.ok()) {
      if (info.error().errno_value() == ENOENT) continue;
      return std::move(info).error().with("read the namespaces of the container");
    }
    out += (out.empty() ? "" : " ") + std::string(name) + "=" + std::to_string(info->st_ino);
  }
  return out;
}

Status OwnIdentity::enter_inner(uid_t uid, gid_t gid) const {
  RETURN_IF_ERROR(sys::unshare(CLONE_NEWUSER));
  // The files of a process that is not dumpable belong to the host's root. The namespaces this process shares with
  // nobody yet, and whoever could trace it now could do so with its creator.
  RETURN_IF_ERROR(sys::set_dumpable(true));
  const auto write = [&](const char* file, const std::string& text) -> Status {
    Status written = io::write_existing(self_, file, text);
    if (written.ok()) return written;
    return std::move(written).error().with("inner user namespace");
  };
  // One's own group may be mapped only after giving up setgroups (user_namespaces(7)).
  RETURN_IF_ERROR(write("setgroups", "deny"));
  RETURN_IF_ERROR(write("uid_map", oci::id_map_text({{uid, 0, 1}})));
  RETURN_IF_ERROR(write("gid_map", oci::id_map_text({{gid, 0, 1}})));
  return sys::set_dumpable(false);
}

namespace {

Status check_mapped_in(const char* file, const char* what, const std::vector<std::uint32_t>& ids) {
  constexpr std::size_t kMost = 65536;  // 340 lines (user_namespaces(7))
  ASSIGN_OR_RETURN(const std::string text, io::read_file(file, kMost));
  const auto mappings = oci::parse_id_map(text);
  for (const std::uint32_t id : ids) {
    if (!oci::host_id(mappings, id))
      return Error(Errc::kInvalidArgument,
                   "the user namespace that is joined maps no " + std::string(what) + " " + std::to_string(id), EINVAL)
          .with_hint("its maps say who there is");
  }
  return {};
}

}  // namespace

Status OwnIdentity::check_mapped(const SetCredentials& wanted) {
  RETURN_IF_ERROR(check_mapped_in("/proc/self/uid_map", "user", {wanted.uid}));
  std::vector<std::uint32_t> groups{wanted.gid};
  if (wanted.set_groups) groups.insert(groups.end(), wanted.groups.begin(), wanted.groups.end());
  return check_mapped_in("/proc/self/gid_map", "group", groups);
}

Status OwnIdentity::go_to_inner(BorrowedFd user_namespace) {
  Status joined = sys::setns(user_namespace, CLONE_NEWUSER);
  if (!joined.ok()) return std::move(joined).error().with("inner user namespace");
  return sys::set_dumpable(false);
}

std::map<std::string, std::uint64_t> parse_namespaces(std::string_view text) {
  std::map<std::string, std::uint64_t> out;
  for (const std::string_view word : split(text, ' ')) {
    const auto pair = split_once(word, '=');
    if (!pair) continue;
    if (const auto number = parse_number<std::uint64_t>(pair->second)) out.emplace(pair->first, *number);
  }
  return out;
}

}  // namespace cooper::container
