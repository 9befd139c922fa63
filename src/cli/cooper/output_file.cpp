#include "cli/cooper/output_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <array>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

Status write_through(const std::string& path, std::string_view text) {
  auto file = sys::openat(sys::kCwd, path, O_WRONLY | O_CREAT | O_NOCTTY, 0644);
  if (!file.ok()) return std::move(file).error().with("open output " + quoted(path));
  Status written = sys::write_all(*file, text);
  return written.ok() ? Status() : std::move(written).error().with("write " + quoted(path));
}

}  // namespace

Status write_output_file(const std::string& path, std::string_view text) {
  const auto named = sys::fstatat(sys::kCwd, path, AT_SYMLINK_NOFOLLOW);
  if (!named.ok()) return io::write_file_atomic(path, text);
  const auto meant = sys::fstatat(sys::kCwd, path, 0);
  // A link to nothing: its target is made.
  if (!meant.ok() || !S_ISREG(meant->st_mode)) return write_through(path, text);
  if (!S_ISLNK(named->st_mode)) return io::write_file_atomic(path, text);
  std::array<char, PATH_MAX> target{};
  if (::realpath(path.c_str(), target.data()) == nullptr) return Error::from_errno(errno, quoted(path));
  return io::write_file_atomic(target.data(), text);
}

}  // namespace cooper::cli
