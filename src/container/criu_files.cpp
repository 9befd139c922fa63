#include <fcntl.h>
#include <unistd.h>

#include <span>

#include "base/strings.h"
#include "container/criu_parts.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::container {
namespace {

constexpr mode_t kDirectoryMode = 0700;  // memory of processes
constexpr std::size_t kLogTail = 65536;
constexpr int kMaxParents = 64;  // of a chain of checkpoints
// What is asked for here was there by then: external namespaces, the freezer of cgroup v2, labels of mounts.
constexpr criu::Version kOldestVersion{3, 16, 0};

Result<UniqueFd> open_directory(const std::string& path, std::string_view what, bool make, bool& made) {
  auto dir = sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY);
  if (!dir.ok() && dir.error().errno_value() == ENOENT && make) {
    if (Status done = io::make_directories(path, kDirectoryMode); !done.ok())
      return std::move(done).error().with(std::string(what) + " " + quoted(path));
    made = true;
    dir = sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY);
  }
  if (!dir.ok()) return std::move(dir).error().with(what);
  return dir;
}

std::string tail_of(BorrowedFd dir, const std::string& name) {
  const auto file = sys::openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file.ok()) return {};
  const auto info = sys::fstat(*file);
  if (!info.ok() || !S_ISREG(info->st_mode)) return {};
  std::string text(kLogTail, '\0');
  const off_t beyond = info->st_size - static_cast<off_t>(kLogTail);
  const auto n = sys::pread(*file, std::span(text.data(), text.size()), beyond > 0 ? beyond : 0);
  text.resize(n.ok() ? *n : 0);
  return text;
}

Status show_file_to(BorrowedFd file, gid_t group, mode_t access) {
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  // Somebody has given it to all already, or a restore before this one to the group.
  const mode_t mode = info.st_mode & 07777;
  if ((mode & (access >> 3)) == (access >> 3) || (info.st_gid == group && (mode & access) == access)) return {};
  RETURN_IF_ERROR(sys::fchown(file, static_cast<uid_t>(-1), group));
  return sys::fchmod(file, (mode & ~static_cast<mode_t>(S_IRWXG)) | access);
}

// Links are not followed: what they lead to is not part of the images.
Status show_directory_to(BorrowedFd dir, gid_t group) {
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(dir));
  for (const std::string& name : names) {
    if (!name.ends_with(".img")) continue;
    ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
    if (S_ISREG(info.st_mode)) RETURN_IF_ERROR(show_file_to(file, group, S_IRGRP));
  }
  return show_file_to(dir, group, S_IRGRP | S_IXGRP);
}

}  // namespace

Result<CriuDirectories> open_criu_directories(const CriuOptions& options, std::string_view log,
                                              ImagesDirectory images) {
  CriuDirectories out;
  out.images_path = options.image_path;
  out.work_path = options.work_path.empty() ? options.image_path : options.work_path;
  ASSIGN_OR_RETURN(out.images, open_directory(out.images_path, "directory of the images",
                                              images == ImagesDirectory::kMake, out.made_images));
  ASSIGN_OR_RETURN(out.work, open_directory(out.work_path, "directory of the log", true, out.made_work));
  out.log = out.work_path + "/" + std::string(log);
  // criu says no more than that it failed when it cannot write its log.
  if (::faccessat(out.work.get(), ".", W_OK, 0) != 0) {
    const int saved = errno;
    discard_criu_directories(out);
    return Error::from_errno(saved, "write a log in " + quoted(out.work_path))
        .with_hint("name a directory for it with --work-path");
  }
  return out;
}

Status show_images_to(const CriuDirectories& directories, gid_t group) {
  UniqueFd below;
  BorrowedFd dir = directories.images;
  for (int depth = 0; depth < kMaxParents; ++depth) {
    Status shown = show_directory_to(dir, group);
    if (!shown.ok()) {
      return std::move(shown).error().with("make the images in " + quoted(directories.images_path) +
                                           " readable to the container's root (group " + std::to_string(group) + ")");
    }
    auto parent = sys::openat(dir, "parent", O_RDONLY | O_DIRECTORY);
    if (!parent.ok()) return {};
    below = std::move(*parent);
    dir = below;
  }
  return {};
}

void discard_criu_directories(const CriuDirectories& directories) {
  if (directories.made_images) {
    if (const auto names = sys::list_directory(directories.images); names.ok()) {
      for (const std::string& name : *names) {
        if (directories.images_path + "/" + name != directories.log)
          (void)!sys::unlinkat(directories.images, name).ok();
      }
    }
    (void)::rmdir(directories.images_path.c_str());
  }
  if (directories.made_work) (void)::rmdir(directories.work_path.c_str());
}

Error explain_criu_failure(Error error, const CriuDirectories& directories) {
  const std::string name = directories.log.substr(directories.log.rfind('/') + 1);
  const std::string tail = tail_of(directories.work, name);
  if (tail.empty()) return error;
  const std::string said = criu::last_errors(tail);
  std::string hint = "its log is " + directories.log;
  if (const std::string_view advice = advice_for(tail); !advice.empty()) hint = std::string(advice) + "; " + hint;
  return Error(error.code(), error.message() + ", saying " + quoted(said), error.errno_value()).with_hint(hint);
}

Result<criu::Session> start_criu(criu::SessionOptions options, const CriuDirectories& directories,
                                 const criu::Features& needed) {
  options.directories = {directories.images_path, directories.work_path};
  ASSIGN_OR_RETURN(options.program, criu::find_program());
  ASSIGN_OR_RETURN(auto session, criu::Session::start(options));
  auto version = session.version();
  if (!version.ok()) return std::move(version).error().with(quoted(options.program));
  if (*version < kOldestVersion) {
    return Error(Errc::kUnsupported, quoted(options.program) + " is CRIU " + criu::to_string(*version) + ", and " +
                                         criu::to_string(kOldestVersion) + " is the oldest that can be used");
  }
  if (!needed.memory_tracking && !needed.lazy_pages) return session;
  ASSIGN_OR_RETURN(const criu::Features there, session.features(needed));
  if (needed.memory_tracking && !there.memory_tracking)
    return Error(Errc::kUnsupported,
                 "this kernel does not tell which pages have changed, so memory cannot be saved in steps");
  if (needed.lazy_pages && !there.lazy_pages)
    return Error(Errc::kUnsupported,
                 "this kernel, or CRIU " + criu::to_string(*version) + ", cannot restore pages lazily");
  return session;
}

}  // namespace cooper::container
