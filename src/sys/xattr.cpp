#include "sys/xattr.h"

#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/strings.h"

namespace cooper::sys {
namespace {

constexpr std::size_t kMaxBytes = 65536;  // the kernel's own limit, of a value and of all names

// There is no getxattrat before 6.13: go through the directory's descriptor.
std::string path_below(BorrowedFd dir, const std::string& path) {
  return path.empty() || path[0] == '/' ? path : "/proc/self/fd/" + std::to_string(dir.get()) + "/" + path;
}

std::vector<std::string> names_of(std::string_view bytes) {
  std::vector<std::string> out;
  while (!bytes.empty()) {
    out.emplace_back(bytes.substr(0, bytes.find('\0')));
    bytes.remove_prefix(std::min(out.back().size() + 1, bytes.size()));
  }
  return out;
}

}  // namespace

Result<std::vector<std::string>> llistxattr_at(BorrowedFd dir, const std::string& path) {
  const std::string full = path_below(dir, path);
  std::array<char, 512> few;
  std::string many;
  ssize_t n = ::llistxattr(full.c_str(), few.data(), few.size());
  if (n >= 0) return names_of({few.data(), static_cast<std::size_t>(n)});
  if (errno == ERANGE) {
    many.resize(kMaxBytes);
    n = ::llistxattr(full.c_str(), many.data(), many.size());
    if (n >= 0) return names_of({many.data(), static_cast<std::size_t>(n)});
  }
  const int saved = errno;
  if (saved == ENOTSUP) return std::vector<std::string>();
  return Error::from_errno(saved, "list xattrs of " + quoted(path));
}

Result<std::string> lgetxattr_at(BorrowedFd dir, const std::string& path, const std::string& name) {
  std::string value(kMaxBytes, '\0');
  const ssize_t n = ::lgetxattr(path_below(dir, path).c_str(), name.c_str(), value.data(), value.size());
  const int saved = errno;
  if (n < 0) return Error::from_errno(saved, "get xattr " + name + " of " + quoted(path));
  value.resize(static_cast<std::size_t>(n));
  return value;
}

Status fremovexattr(BorrowedFd fd, const std::string& name) {
  if (::fremovexattr(fd.get(), name.c_str()) == 0) return {};
  const int saved = errno;
  return Error::from_errno(saved, "remove xattr " + name);
}

}  // namespace cooper::sys
