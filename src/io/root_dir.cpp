#include "io/root_dir.h"

#include <linux/openat2.h>

#include <atomic>
#include <vector>

#include "base/strings.h"
#include "io/regular.h"
#include "sys/file.h"

namespace cooper::io {
namespace {

constexpr int kMaxLinks = 40;  // the kernel's own limit (MAXSYMLINKS)
std::atomic<bool> g_openat2_missing{false};

bool is_unsupported(const Error& error) {
  return error.errno_value() == ENOSYS;
}

// Pushes the components of `path` so that the first one is at the back.
void push_components(std::vector<std::string>& stack, std::string_view path) {
  const auto parts = split(path, '/');
  for (auto it = parts.rbegin(); it != parts.rend(); ++it) {
    if (!it->empty() && *it != ".") stack.emplace_back(*it);
  }
}

std::string joined(const std::vector<std::string>& parts) {
  return parts.empty() ? "." : join(parts, "/");
}

}  // namespace

Result<RootDir> RootDir::open(const std::string& host_path) {
  ASSIGN_OR_RETURN(UniqueFd fd, sys::openat(sys::kCwd, host_path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  return RootDir(std::move(fd));
}

Result<UniqueFd> RootDir::open_at(std::string_view path, int flags, mode_t mode) const {
  const std::string text = path.empty() ? "." : std::string(path);
  if (!g_openat2_missing.load(std::memory_order_relaxed)) {
    auto fd = sys::openat2(fd_, text, flags, mode, RESOLVE_IN_ROOT);
    if (fd.ok() || !is_unsupported(fd.error())) return fd;
    g_openat2_missing.store(true, std::memory_order_relaxed);
  }
  // COMPAT(kernel 5.6): walk to the object, then open it through its O_PATH descriptor. O_CREAT goes through the
  // parent.
  if ((flags & O_CREAT) != 0) {
    ASSIGN_OR_RETURN(const Parent parent, parent_of(path, false));
    return sys::openat(parent.dir, parent.name, flags | O_NOFOLLOW, mode);
  }
  ASSIGN_OR_RETURN(UniqueFd found, walk(path, {.follow_last = (flags & O_NOFOLLOW) == 0}));
  if ((flags & O_PATH) != 0) {
    if ((flags & O_DIRECTORY) != 0) return sys::openat(found, ".", flags);
    return found;
  }
  return sys::reopen(found, flags & ~O_NOFOLLOW);
}

Result<UniqueFd> RootDir::make_directories(std::string_view path, mode_t mode, uid_t uid, gid_t gid) const {
  auto existing = open_at(path, O_PATH | O_DIRECTORY);
  if (existing.ok() || existing.error().errno_value() != ENOENT) return existing;
  // As a rule it is the last component that is missing.
  if (uid == 0 && gid == 0) {
    if (auto made = make_last(path, mode); made.ok()) return made;
  }
  return walk(path, {.missing = Missing::kMakeDirectory, .mode = mode, .uid = uid, .gid = gid});
}

// Fails where walk() has to look closer: a parent is missing, something else has the name, a link that leads nowhere.
Result<UniqueFd> RootDir::make_last(std::string_view path, mode_t mode) const {
  ASSIGN_OR_RETURN(const Parent parent, parent_of(path, false));
  RETURN_IF_ERROR(sys::mkdirat(parent.dir, parent.name, mode));
  return sys::openat(parent.dir, parent.name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

Result<UniqueFd> RootDir::make_real_directory(std::string_view path, mode_t mode) const {
  ASSIGN_OR_RETURN(const Parent parent, parent_of(path));
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
  auto found = sys::openat(parent.dir, parent.name, kFlags);
  if (!found.ok() && found.error().errno_value() == ENOENT) {
    Status made = sys::mkdirat(parent.dir, parent.name, mode);
    if (!made.ok() && made.error().errno_value() != EEXIST) return std::move(made).error();
    found = sys::openat(parent.dir, parent.name, kFlags);
  }
  if (found.ok() || found.error().errno_value() != ENOTDIR) return found;
  // For the words of the failure alone.
  const auto info = sys::fstatat(parent.dir, parent.name);
  if (info.ok() && S_ISLNK(info->st_mode))
    return Error(Errc::kPermission, quoted(path) + " is a symbolic link, where a directory must be", ELOOP);
  return Error(Errc::kInvalidArgument, quoted(path) + " exists and is not a directory", ENOTDIR);
}

Result<UniqueFd> RootDir::make_file(std::string_view path, mode_t mode) const {
  auto found = open_at(path, O_PATH);
  if (!found.ok()) {
    if (found.error().errno_value() != ENOENT) return found;
    found = walk(path, {.missing = Missing::kMakeFile, .mode = mode});
    if (!found.ok()) return found;
  }
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*found));
  if (S_ISDIR(info.st_mode)) return Error(Errc::kInvalidArgument, quoted(path) + " is a directory, not a file", EISDIR);
  return found;
}

Result<RootDir::Parent> RootDir::parent_of(std::string_view path, bool create) const {
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  const auto slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  const std::string_view dir = slash == std::string_view::npos ? std::string_view(".") : path.substr(0, slash + 1);
  if (name.empty() || name == "." || name == "..") {
    return Error(Errc::kInvalidArgument, quoted(path) + " does not name an entry of a directory", EINVAL);
  }
  Parent out;
  out.name = std::string(name);
  if (create) {
    ASSIGN_OR_RETURN(out.dir, make_directories(dir));
  } else {
    ASSIGN_OR_RETURN(out.dir, open_at(dir, O_PATH | O_DIRECTORY));
  }
  return out;
}

Result<struct stat> RootDir::stat_at(std::string_view path) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, open_at(path, O_PATH | O_NOFOLLOW));
  return sys::fstat(fd);
}

Result<std::string> RootDir::read_file(std::string_view path, std::size_t max_bytes) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, open_regular(*this, path));
  std::string out;
  while (true) {
    const std::size_t before = out.size();
    out.resize(before + 16384);
    ASSIGN_OR_RETURN(const std::size_t n, sys::read(fd, std::span(out.data() + before, 16384)));
    out.resize(before + n);
    if (n == 0) return out;
    if (out.size() > max_bytes)
      return Error(Errc::kLimit, quoted(path) + " is larger than " + std::to_string(max_bytes) + " bytes", EFBIG);
  }
}

// Resolves one component at a time over directory descriptors. `done` never contains a link or "..", and is re-opened
// without following links, so a rename under us ends in ELOOP, not outside.
Result<UniqueFd> RootDir::walk(std::string_view path, const WalkOptions& options) const {
  std::vector<std::string> todo;
  std::vector<std::string> done;
  push_components(todo, path);
  int links = 0;
  std::vector<UniqueFd> dirs;  // dirs[i] is the directory done[0..i]
  const auto current = [&] { return dirs.empty() ? fd_.borrow() : dirs.back().borrow(); };
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    if (name == "..") {
      if (!done.empty()) {
        done.pop_back();
        dirs.pop_back();
      }
      continue;
    }
    const bool last = todo.empty();
    auto info = sys::fstatat(current(), name);
    if (!info.ok() && info.error().errno_value() == ENOENT && options.missing != Missing::kFail) {
      if (last && options.missing == Missing::kMakeFile) {
        return sys::openat(current(), name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDONLY, options.mode);
      }
      // Directories on the way to a file must let others through, whatever the file is for.
      const mode_t mode = options.missing == Missing::kMakeFile ? mode_t{0755} : options.mode;
      if (Status made = sys::mkdirat(current(), name, mode); !made.ok() && made.error().errno_value() != EEXIST) {
        return std::move(made).error();
      } else if (made.ok() && (options.uid != 0 || options.gid != 0)) {
        RETURN_IF_ERROR(sys::fchownat(current(), name, options.uid, options.gid));
      }
      info = sys::fstatat(current(), name);
    }
    if (!info.ok()) return std::move(info).error().with(quoted(joined(done)));
    if (S_ISLNK(info->st_mode) && (!last || options.follow_last)) {
      if (++links > kMaxLinks)
        return Error(Errc::kInvalidArgument, "too many symbolic links in " + quoted(path), ELOOP);
      ASSIGN_OR_RETURN(const std::string target, sys::readlinkat(current(), name));
      if (target.starts_with('/')) {
        done.clear();
        dirs.clear();
      }
      push_components(todo, target);
      continue;
    }
    if (last && !S_ISDIR(info->st_mode)) {
      if (options.missing == Missing::kMakeDirectory) {
        return Error(Errc::kInvalidArgument, quoted(path) + " exists and is not a directory", ENOTDIR);
      }
      return sys::openat(current(), name, O_PATH | O_NOFOLLOW);
    }
    ASSIGN_OR_RETURN(UniqueFd next, sys::openat(current(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW));
    dirs.push_back(std::move(next));
    done.push_back(name);
  }
  return sys::openat(current(), ".", O_PATH | O_DIRECTORY);
}

}  // namespace cooper::io
