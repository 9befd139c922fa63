// Id-mapped mounts.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "base/strings.h"
#include "container/child_mounts.h"
#include "io/file.h"
#include "sys/file.h"
#include "sys/mount.h"
#include "sys/process.h"

namespace cooper::container {
namespace {

std::string lines(const std::vector<oci::IdMapping>& mappings) {
  std::string out;
  for (const oci::IdMapping& m : mappings) {
    out += std::to_string(m.container_id) + " " + std::to_string(m.host_id) + " " + std::to_string(m.size) + "\n";
  }
  return out;
}

// The /proc in view need not be that of our own PID namespace: before the switch of the root it is the host's.
Result<std::string> proc_directory(BorrowedFd pidfd) {
  ASSIGN_OR_RETURN(const std::string text, io::read_file("/proc/self/fdinfo/" + std::to_string(pidfd.get()), 4096));
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with("Pid:")) return "/proc/" + std::string(trim(line.substr(4)));
  }
  return Error(Errc::kNotFound, "the pid of a process descriptor is not known to /proc");
}

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
  ASSIGN_OR_RETURN(const std::string base, proc_directory(holder.pidfd));
  RETURN_IF_ERROR(io::write_existing(sys::kCwd, base + "/uid_map", lines(uid)));
  RETURN_IF_ERROR(io::write_existing(sys::kCwd, base + "/gid_map", lines(gid)));
  return sys::openat(sys::kCwd, base + "/ns/user", O_RDONLY);
}

}  // namespace

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
