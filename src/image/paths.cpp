#include "image/internal/paths.h"

#include <algorithm>
#include <array>

#include "base/chars.h"
#include "base/strings.h"
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

Result<UniqueFd> open_store_directory(const std::string& dir) {
  auto opened = sys::openat(sys::kCwd, dir, O_RDONLY | O_DIRECTORY);
  if (opened.ok() && sys::fstatat(*opened, kLayoutFile).ok()) return opened;
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
