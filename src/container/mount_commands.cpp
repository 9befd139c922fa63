#include "container/mount_commands.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "container/child_program.h"
#include "container/validate_rules.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cooper::container {
namespace {

Status run_one(const MountCommand& command) {
  ASSIGN_OR_RETURN(const UniqueFd output, sys::memfd_create("command-output", 0));
  ChildProgram program{.path = command.path,
                       .search_path = true,
                       .args = command.args,
                       .env = command.env.empty() ? nullptr : &command.env,
                       .dir = command.dir,
                       .output = output,
                       .errors = output};
  program.args.insert(program.args.begin(), command.path);
  ASSIGN_OR_RETURN(const pid_t pid, spawn_program(program));
  ASSIGN_OR_RETURN(const sys::ExitStatus status, sys::waitpid(pid));
  return program_result(status, output);
}

constexpr int kMaxDepth = 1000;

Status label_entry(BorrowedFd dir, const std::string& name, const std::string& label, dev_t device, int depth);

Status label_children(BorrowedFd dir, const std::string& label, dev_t device, int depth) {
  if (depth > kMaxDepth) return Error(Errc::kLimit, "the tree to be labelled is too deep", ELOOP);
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(dir));
  for (const std::string& name : names) RETURN_IF_ERROR(label_entry(dir, name, label, device, depth));
  return {};
}

Status set_label(const std::string& path, const std::string& label) {
  if (::lsetxattr(path.c_str(), "security.selinux", label.c_str(), label.size() + 1, 0) == 0) return {};
  const int saved = errno;
  return Error::from_errno(saved, "label " + quoted(path));
}

Status label_entry(BorrowedFd dir, const std::string& name, const std::string& label, dev_t device, int depth) {
  ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(dir, name, AT_SYMLINK_NOFOLLOW));
  if (info.st_dev != device) return {};
  // The directory is held open, so the last part of the path is all that is looked up.
  RETURN_IF_ERROR(set_label("/proc/self/fd/" + std::to_string(dir.get()) + "/" + name, label));
  if (!S_ISDIR(info.st_mode)) return {};
  ASSIGN_OR_RETURN(const UniqueFd child, sys::openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return label_children(child, label, device, depth + 1);
}

}  // namespace

Status run_mount_commands(std::string_view when, const std::vector<MountCommand>& commands) {
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (Status done = run_one(commands[i]); !done.ok()) {
      return std::move(done).error().with("command #" + std::to_string(i) + " " + quoted(commands[i].path) + " " +
                                          std::string(when));
    }
  }
  return {};
}

Status relabel_tree(const std::string& path, const std::string& label) {
  constexpr std::array<std::string_view, 8> kHost{"/", "/usr", "/etc", "/bin", "/lib", "/lib64", "/sbin", "/boot"};
  if (std::ranges::find(kHost, std::string_view(rules::clean_path(path))) != kHost.end())
    return Error(Errc::kInvalidArgument, "relabelling " + quoted(path) + " would break the host", EPERM);
  ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(sys::kCwd, path, 0));
  if (!S_ISDIR(info.st_mode)) return set_label(path, label);
  ASSIGN_OR_RETURN(const UniqueFd top, sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(set_label("/proc/self/fd/" + std::to_string(top.get()) + "/.", label));
  return label_children(top, label, info.st_dev, 0);
}

}  // namespace cooper::container
