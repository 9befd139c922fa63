// Id-mapped mounts.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "container/child_mounts.h"
#include "container/internal.h"
#include "io/file.h"
#include "spec/oci_runtime/id_maps.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace cooper::container {
namespace {

// The kernel takes mappings only in the shape of a user namespace: one is made, held by its descriptor, and its only
// process ended.
Result<UniqueFd> mapping_namespace(const std::vector<oci::IdMapping>& uid, const std::vector<oci::IdMapping>& gid) {
  ASSIGN_OR_RETURN(const sys::Cloned holder, sys::clone3(CLONE_NEWUSER));
  if (holder.pid == 0) {
    while (true) (void)::pause();
  }
  const ScopeExit end([&] {
    (void)!sys::pidfd_send_signal(holder.pidfd, SIGKILL).ok();
    (void)!sys::waitpid(holder.pid).ok();
  });
  // The /proc in view need not be that of our own PID namespace: before the switch of the root it is the host's.
  ASSIGN_OR_RETURN(const pid_t pid, pid_in_proc(holder.pidfd));
  const std::string base = "/proc/" + std::to_string(pid);
  RETURN_IF_ERROR(io::write_existing(sys::kCwd, base + "/uid_map", oci::id_map_text(uid)));
  RETURN_IF_ERROR(io::write_existing(sys::kCwd, base + "/gid_map", oci::id_map_text(gid)));
  return sys::openat(sys::kCwd, base + "/ns/user", O_RDONLY);
}

}  // namespace

Result<pid_t> pid_in_proc(BorrowedFd pidfd) {
  ASSIGN_OR_RETURN(const std::string text, io::read_file("/proc/self/fdinfo/" + std::to_string(pidfd.get()), 4096));
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with("Pid:")) continue;
    if (const auto pid = parse_number<pid_t>(trim(line.substr(4))); pid && *pid > 0) return *pid;
  }
  return Error(Errc::kNotFound, "the pid of a process descriptor is not known to /proc");
}

Status idmap_mount(BorrowedFd tree, const std::vector<oci::IdMapping>& uid, const std::vector<oci::IdMapping>& gid,
                   bool recursive) {
  auto mapping = mapping_namespace(uid, gid);
  if (!mapping.ok()) return std::move(mapping).error().with("id-mapped mount");
  Status mapped =
      sys::mount_setattr(tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U), 0, 0, 0, mapping->get());
  if (mapped.ok()) return mapped;
  return std::move(mapped)
      .error()
      .with("id-mapped mount")
      .with_hint("the file system must support id-mapped mounts (kernel 5.12 and later)");
}

}  // namespace cooper::container
