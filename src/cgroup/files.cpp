#include "cgroup/internal/files.h"

#include <dirent.h>
#include <time.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::cgroup {
namespace {

constexpr std::string_view kBase = "/sys/fs/cgroup/";

}  // namespace

UniqueFd Base::open() {
  auto fd = sys::openat(sys::kCwd, std::string(kBase), O_PATH | O_DIRECTORY);
  return fd.ok() ? std::move(*fd) : UniqueFd();
}

std::string Base::rest(const std::string& path) const {
  if (fd_.get() < 0 || !path.starts_with(kBase)) return {};
  return path.substr(std::min(path.find_first_not_of('/', kBase.size()), path.size()));
}

Result<UniqueFd> Base::openat(const std::string& path, int flags) const {
  const std::string name = rest(path);
  if (name.empty()) return sys::openat(sys::kCwd, path, flags);
  auto fd = sys::openat(fd_, name, flags);
  if (!fd.ok()) return Error::from_errno(fd.error().errno_value(), "open " + quoted(path));
  return fd;
}

Status Base::mkdir(const std::string& path) const {
  const std::string name = rest(path);
  if (name.empty()) return sys::mkdirat(sys::kCwd, path, 0755);
  const Status made = sys::mkdirat(fd_, name, 0755);
  if (made.ok()) return {};
  return Error::from_errno(made.error().errno_value(), "create directory " + quoted(path));
}

Status Base::rmdir(const std::string& path) const {
  const std::string name = rest(path);
  if (name.empty()) return sys::unlinkat(sys::kCwd, path, AT_REMOVEDIR);
  const Status removed = sys::unlinkat(fd_, name, AT_REMOVEDIR);
  if (removed.ok()) return {};
  return Error::from_errno(removed.error().errno_value(), "remove " + quoted(path));
}

Result<std::string> read_control(const std::string& path) {
  return io::read_file(path, std::size_t{1} << 20);
}

Result<std::string> read_value(const std::string& path, Base base) {
  ASSIGN_OR_RETURN(const UniqueFd fd, base.openat(path, O_RDONLY));
  std::array<char, 4096> buffer;
  auto n = sys::read(fd, buffer);
  if (!n.ok()) return std::move(n).error().with(quoted(path));
  return std::string(trim({buffer.data(), *n}));
}

Status write_control(const std::string& path, std::string_view value, Base base) {
  ASSIGN_OR_RETURN(const UniqueFd fd, base.openat(path, O_WRONLY));
  return io::write_once(fd, value, path);
}

bool is_permission(int errno_value) {
  return errno_value == EACCES || errno_value == EPERM || errno_value == EROFS;
}

Result<std::vector<std::string>> child_groups(const std::string& path) {
  auto fd = sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY);
  if (!fd.ok()) {
    if (fd.error().code() == Errc::kNotFound) return std::vector<std::string>{};
    return std::move(fd).error();
  }
  std::vector<std::string> names;
  alignas(struct dirent64) std::array<char, 8192> buffer;
  while (true) {
    const ssize_t n = ::getdents64(fd->get(), buffer.data(), buffer.size());
    if (n == -1 && errno == ENOENT) return std::vector<std::string>{};  // removed meanwhile
    if (n < 0) return Error::from_errno(errno, "list " + quoted(path));
    if (n == 0) return names;
    for (ssize_t at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const struct dirent64*>(buffer.data() + at);
      const std::string_view name(entry->d_name);
      if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
      at += entry->d_reclen;
    }
  }
}

Result<std::vector<pid_t>> read_processes(const std::string& directory) {
  std::vector<pid_t> out;
  auto text = read_control(directory + "/cgroup.procs");
  if (!text.ok()) {
    const int e = text.error().errno_value();
    // ENODEV: the group was removed while it was read. EOPNOTSUPP: a threaded group, whose processes its domain lists.
    if (e == ENOENT || e == ENODEV || e == EOPNOTSUPP) return out;
    return std::move(text).error();
  }
  for (const auto line : split(*text, '\n')) {
    const auto pid = parse_number<pid_t>(trim(line));
    if (pid && *pid > 0) out.push_back(*pid);
  }
  return out;
}

namespace {

Status collect(const std::string& directory, std::vector<pid_t>& out) {
  ASSIGN_OR_RETURN(const auto own, read_processes(directory));
  out.insert(out.end(), own.begin(), own.end());
  ASSIGN_OR_RETURN(const auto children, child_groups(directory));
  for (const std::string& child : children) RETURN_IF_ERROR(collect(directory + "/" + child, out));
  return {};
}

std::int64_t monotonic_ms() {
  struct timespec now = {};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

}  // namespace

Result<std::vector<pid_t>> read_processes_recursive(const std::string& directory) {
  std::vector<pid_t> out;
  RETURN_IF_ERROR(collect(directory, out));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Result<std::string> normalize_path(std::string_view path) {
  const auto bad = [&](std::string_view why) {
    return Error(Errc::kInvalidArgument, "cgroup path " + quoted(path) + " " + std::string(why), EINVAL);
  };
  if (!path.starts_with('/')) return bad("is not absolute");
  std::string out;
  for (const auto part : split(path, '/')) {
    if (part.empty()) continue;
    if (part == "." || part == "..") return bad("contains '.' or '..'");
    if (part.size() > 255) return bad("has a component longer than 255 bytes");
    if (part.find('\n') != std::string_view::npos || part.find('\0') != std::string_view::npos)
      return bad("contains a newline or NUL");
    out += '/';
    out += part;
  }
  if (out.empty()) return bad("is the root of the tree");
  return out;
}

std::string directory_of(std::string_view mount_point, std::string_view mount_root, std::string_view path) {
  std::string out(mount_point);
  if (mount_root.size() > 1 && path.starts_with(mount_root) && path.size() > mount_root.size() &&
      path[mount_root.size()] == '/') {
    path.remove_prefix(mount_root.size());
  }
  out += path;
  return out;
}

Deadline::Deadline(int timeout_ms) : end_ms_(monotonic_ms() + timeout_ms) {}

int Deadline::left_ms() const {
  return static_cast<int>(std::max<std::int64_t>(0, end_ms_ - monotonic_ms()));
}

void Backoff::sleep() {
  const struct timespec step = {.tv_sec = 0, .tv_nsec = us_ * 1000};
  (void)::nanosleep(&step, nullptr);
  us_ = std::min<std::int64_t>(us_ * 2, 10000);
}

}  // namespace cooper::cgroup
