// Mounts that are added to, or taken from, a running container. The file system is opened as a detached mount where the
// caller stands and moved into the container's mount namespace by a forked process, onto a descriptor that was resolved
// inside the container's root: what the container renames or links meanwhile cannot lead it elsewhere.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "container/container.h"
#include "container/internal.h"
#include "container/live_mount_child.h"
#include "container/plan_parts.h"
#include "container/sync.h"
#include "container/validate_rules.h"
#include "sys/cred.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace cooper::container {
namespace {

// What these show depends on the namespaces of who makes them; they are mounted when a container starts, or not at all.
constexpr std::array<std::string_view, 6> kOfANamespace{"proc", "sysfs", "mqueue", "devpts", "cgroup", "cgroup2"};

Status check(const Mount& mount) {
  if (mount.destination == "/") return Error(Errc::kInvalidArgument, "the root of a container cannot be mounted over");
  if (mount.remount || mount.copy_up) {
    return Error(Errc::kUnsupported,
                 "'remount' and 'tmpcopyup' are for mounts of the configuration, not for one that "
                 "is added to a running container");
  }
  if (mount.kind == MountKind::kBind) {
    if (mount.source.empty() || mount.source[0] != '/')
      return Error(Errc::kInvalidArgument,
                   "the source of a bind mount must be an absolute path, not " + quoted(mount.source));
    return {};
  }
  if (mount.fstype.empty()) return Error(Errc::kInvalidArgument, "a mount that is not a bind needs a file system type");
  if (std::ranges::find(kOfANamespace, mount.fstype) == kOfANamespace.end()) return {};
  return Error(Errc::kUnsupported, "a " + mount.fstype + " file system cannot be added to a running container")
      .with_hint("put it into the mounts of config.json");
}

// Host id of the container's root, or of the first who has one.
std::uint32_t root_of(const std::vector<oci::IdMapping>& mappings) {
  for (const oci::IdMapping& m : mappings) {
    if (m.container_id == 0) return m.host_id;
  }
  return mappings.empty() ? 0 : mappings.front().host_id;
}

Result<bool> other_user_namespace(pid_t pid) {
  ASSIGN_OR_RETURN(const auto theirs, sys::fstatat(sys::kCwd, "/proc/" + std::to_string(pid) + "/ns/user", 0));
  ASSIGN_OR_RETURN(const auto ours, sys::fstatat(sys::kCwd, "/proc/self/ns/user", 0));
  return theirs.st_ino != ours.st_ino;
}

}  // namespace

Status Container::change_mounts(const Mount* added, const std::string& removed) const {
  ASSIGN_OR_RETURN(const RunStatus now, status());
  if (now == RunStatus::kStopped || now == RunStatus::kCreating) return not_running(record_, now);
  return unless_stopped(change_mounts_now(added, removed));
}

Status Container::change_mounts_now(const Mount* added, const std::string& removed) const {
  ASSIGN_OR_RETURN(const UniqueFd init, init_pidfd());
  ASSIGN_OR_RETURN(const oci::Config spec, config());
  if (rules::find_namespace(spec, "mount") == nullptr) {
    return Error(Errc::kUnsupported,
                 "container " + quoted(record_.id) + " has no mount namespace of its own: its mounts are the host's");
  }
  ASSIGN_OR_RETURN(const UniqueFd root,
                   sys::openat(sys::kCwd, "/proc/" + std::to_string(record_.pid) + "/root", O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(const bool foreign, other_user_namespace(record_.pid));
  ASSIGN_OR_RETURN(auto pair, sys::socketpair(SOCK_SEQPACKET));
  ASSIGN_OR_RETURN(const int threads, sys::thread_count());
  if (threads != 1)
    return Error(Errc::kInternal, "the process that changes mounts has " + std::to_string(threads) + " threads");
  LiveMountContext context;
  context.sync = pair.second;
  context.parent_sync = pair.first;
  context.init = init;
  context.root = root;
  context.mount = added;
  context.destination = removed;
  context.user_namespace = foreign && ::geteuid() != 0;
  if (foreign && !context.user_namespace && spec.linux) {
    context.uid = root_of(spec.linux->uid_mappings);
    context.gid = root_of(spec.linux->gid_mappings);
  }
  // Inherited by the child: with a shared PID namespace the container could trace it otherwise (CVE-2016-9962). An
  // unprivileged caller would lose the way to its own /proc files by that.
  if (!context.user_namespace) RETURN_IF_ERROR(sys::set_dumpable(false));
  ASSIGN_OR_RETURN(const sys::Cloned child, sys::clone3(0));
  if (child.pid == 0) run_live_mount(context);
  pair.second.reset();
  auto answer = receive_message(pair.first);
  (void)!sys::waitpid(child.pid).ok();
  if (!answer.ok()) return std::move(answer).error();
  if (answer->eof)
    return Error(Errc::kSystem, "the process that changes the container's mounts ended without an answer");
  return {};
}

Status Container::add_mount(const oci::Mount& mount) const {
  ASSIGN_OR_RETURN(const oci::Config spec, config());
  PlanOptions options;
  options.id = record_.id;
  options.bundle = record_.bundle;
  ASSIGN_OR_RETURN(const Mount planned, plan_mount(mount, spec, options));
  RETURN_IF_ERROR(check(planned));
  return change_mounts(&planned, {});
}

Status Container::remove_mount(const std::string& destination) const {
  const std::string path = rules::clean_path(destination);
  if (path == "/") return Error(Errc::kInvalidArgument, "the root of a container cannot be unmounted");
  return change_mounts(nullptr, path);
}

}  // namespace cooper::container
