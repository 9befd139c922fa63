#include "image/internal/paths.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/chars.h"
#include "base/strings.h"
#include "image/owner.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

struct Directory {
  const char* path;
  mode_t mode;
};
constexpr std::array<Directory, 10> kDirectories = {{
    {"blobs", 0700},
    {"blobs/sha256", 0700},
    {"blobs/sha512", 0700},
    {kRefsDir, 0700},
    {kImagesDir, 0700},
    {kNamesDir, 0700},
    {kTreesDir, 0700},  // nobody on the host shall run a setuid program of an image
    {kTmpDir, 0700},
    {kPartialDir, 0700},
    {"locks", 0700},
}};

// Another's store is not written to: what came into it would belong to us, and its owner could neither use nor remove
// it.
Status check_part_owner(const struct stat& part, const std::string& dir) {
  if (part.st_uid == ::geteuid()) return {};
  const bool root = part.st_uid == 0;
  return Error(Errc::kPermission, "image store " + quoted(dir) + " belongs to " +
                                      (root ? "root" : "another user (" + std::to_string(part.st_uid) + ")") +
                                      ", and is for that user alone")
      .with_hint(root ? "use sudo, or another directory: --root"
                      : "run cooper as that user, or name another directory: --root");
}

}  // namespace

std::string name_record_path(std::string_view name) {
  std::string file(name);
  std::ranges::replace(file, '/', '+');
  return std::string(kNamesDir) + "/" + file;
}

std::string name_of_record(std::string_view file_name) {
  std::string name(file_name);
  std::ranges::replace(name, '+', '/');
  return name;
}

Status check_chain(std::string_view chain) {
  if ((chain.size() == 64 || chain.size() == 128) && all_lower_hex(chain)) return {};
  return Error(Errc::kInvalidArgument, quoted(chain) + " is not the name of a tree");
}

Status check_tree_user(std::string_view user) {
  const auto fine = [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; };
  if (!user.empty() && user.size() <= 128 && user != "." && user != ".." && std::ranges::all_of(user, fine)) return {};
  return Error(Errc::kInvalidArgument,
               quoted(user) + " cannot be the user of a tree: only letters, digits, '_', '.' and '-'");
}

Result<bool> is_there(BorrowedFd store, const std::string& path) {
  auto info = sys::fstatat(store, path);
  if (info.ok()) return true;
  if (info.error().errno_value() == ENOENT) return false;
  return std::move(info).error();
}

Status check_store_owner(const std::string& dir) {
  auto info = sys::fstatat(sys::kCwd, dir + "/" + kLayoutFile);
  if (!info.ok() && info.error().errno_value() == EACCES) info = sys::fstatat(sys::kCwd, dir, 0);
  return info.ok() ? check_part_owner(*info, dir) : Status();
}

Result<UniqueFd> open_store_directory(const std::string& dir) {
  auto opened = sys::openat(sys::kCwd, dir, O_RDONLY | O_DIRECTORY);
  if (opened.ok()) {
    const auto layout = sys::fstatat(*opened, kLayoutFile);
    if (layout.ok()) {
      RETURN_IF_ERROR(check_part_owner(*layout, dir));
      return opened;
    }
  } else if (opened.error().errno_value() == EACCES) {
    RETURN_IF_ERROR(check_store_owner(dir));
  }
  const auto context = [&](Error error) { return std::move(error).with("image store " + quoted(dir)); };
  if (!opened.ok()) {
    if (opened.error().errno_value() != ENOENT) return context(std::move(opened).error());
    if (Status made = io::make_directories(dir, 0711); !made.ok()) return context(std::move(made).error());
    opened = sys::openat(sys::kCwd, dir, O_RDONLY | O_DIRECTORY);
    if (!opened.ok()) return context(std::move(opened).error());
  }
  for (const Directory& directory : kDirectories) {
    Status made = sys::mkdirat(*opened, directory.path, directory.mode);
    if (!made.ok() && made.error().errno_value() != EEXIST) return context(std::move(made).error());
  }
  // Last: where it exists, so does everything else.
  Status written =
      io::write_file_atomic(*opened, kLayoutFile, "{\"imageLayoutVersion\":\"1.0.0\"}", 0644, io::Durability::kFsync);
  if (!written.ok()) return context(std::move(written).error());
  return opened;
}

}  // namespace cooper::image
