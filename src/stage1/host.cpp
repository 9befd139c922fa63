#include <sys/sysmacros.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "stage1/flavor.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::stage1 {
namespace {

// Made by the runtime itself, other instances of these belong to the host, or directories with their own mounts.
bool skipped(std::string_view path) {
  static constexpr std::array<std::string_view, 16> kSkipped{
      "/dev/null",    "/dev/zero",        "/dev/full",  "/dev/random", "/dev/urandom", "/dev/tty",
      "/dev/console", "/dev/ptmx",        "/dev/pts",   "/dev/shm",    "/dev/mqueue",  "/dev/fd",
      "/dev/.lxc",    "/dev/.lxd-mounts", "/dev/.udev", "/dev/init"};
  return std::find(kSkipped.begin(), kSkipped.end(), path) != kSkipped.end();
}

Status list_nodes(BorrowedFd dir, const std::string& path, int depth, std::vector<oci::Device>& out) {
  if (depth > 8) return {};
  ASSIGN_OR_RETURN(auto names, sys::list_directory(dir));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string full = path + "/" + name;
    if (skipped(full)) continue;
    const auto info = sys::fstatat(dir, name);
    if (!info.ok()) continue;  // gone meanwhile
    if (S_ISDIR(info->st_mode)) {
      const auto child = sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (child.ok()) RETURN_IF_ERROR(list_nodes(*child, full, depth + 1, out));
    } else if (S_ISCHR(info->st_mode) || S_ISBLK(info->st_mode)) {
      oci::Device node;
      node.type = S_ISCHR(info->st_mode) ? "c" : "b";
      node.path = full;
      node.major = static_cast<std::int64_t>(major(info->st_rdev));
      node.minor = static_cast<std::int64_t>(minor(info->st_rdev));
      node.file_mode = info->st_mode & 07777;
      node.uid = info->st_uid;
      node.gid = info->st_gid;
      out.push_back(std::move(node));
    }
  }
  return {};
}

}  // namespace

HostNeeds host_needs(const Pod& pod) {
  HostNeeds needs;
  for (const App& app : pod.apps) {
    needs.devices = needs.devices || app.privileged;
    needs.capabilities = needs.capabilities || app.privileged ||
                         std::any_of(app.cap_add.begin(), app.cap_add.end(), [](const auto& name) {
                           return to_lower(name) == "all" || to_lower(name) == "cap_all";
                         });
  }
  return needs;
}

Result<Host> probe_host(const HostNeeds& needs) {
  Host out;
  out.capabilities = ~sys::CapMask{0};
  if (needs.capabilities) {
    ASSIGN_OR_RETURN(out.capabilities, sys::get_bounding_caps());
  }
  ASSIGN_OR_RETURN(const struct rlimit64 nofile, sys::get_rlimit(RLIMIT_NOFILE));
  ASSIGN_OR_RETURN(const struct rlimit64 nproc, sys::get_rlimit(RLIMIT_NPROC));
  out.nofile_hard = nofile.rlim_max;
  out.nproc_hard = nproc.rlim_max;
  if (needs.devices) {
    ASSIGN_OR_RETURN(const UniqueFd dev, sys::openat(sys::kCwd, "/dev", O_RDONLY | O_DIRECTORY));
    RETURN_IF_ERROR(list_nodes(dev, "/dev", 0, out.devices));
  }
  return out;
}

}  // namespace cooper::stage1
