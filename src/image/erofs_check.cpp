// Whether an erofs image of the store is still what was noted when it was made.
#include <algorithm>

#include "base/strings.h"
#include "codec/digest.h"
#include "codec/json.h"
#include "image/internal/compare.h"
#include "image/internal/erofs_tree.h"
#include "image/internal/paths.h"
#include "image/internal/trees.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr std::size_t kMaxNoteBytes = std::size_t{64} << 10;
constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

struct Note {
  Digest digest;
  std::uint64_t size_bytes = 0;
};

Result<Note> read_note(BorrowedFd tree) {
  ASSIGN_OR_RETURN(std::string text, io::read_file(tree, "tree.json", kMaxNoteBytes));
  ASSIGN_OR_RETURN(const auto document, codec::json::Document::parse(std::move(text), "tree.json"));
  const codec::json::Cursor root(document.root(), "tree.json");
  RETURN_IF_ERROR(root.expect_object());
  ASSIGN_OR_RETURN(const auto digest, root.require("erofs_digest"));
  ASSIGN_OR_RETURN(const std::string digest_text, digest.string());
  ASSIGN_OR_RETURN(Digest parsed, Digest::parse(digest_text));
  ASSIGN_OR_RETURN(const auto size, root.require("size_bytes"));
  ASSIGN_OR_RETURN(const std::uint64_t bytes, size.integer<std::uint64_t>());
  return Note{std::move(parsed), bytes};
}

Result<Digest> hash(BorrowedFd file, const Digest& like, const ReadStep& step) {
  codec::Hasher hasher(like);
  std::vector<char> buffer(kBufferBytes);
  for (off_t at = 0;;) {
    ASSIGN_OR_RETURN(const std::size_t n, sys::pread(file, buffer, at));
    if (n == 0) return hasher.finish();
    hasher.update({buffer.data(), n});
    at += static_cast<off_t>(n);
    RETURN_IF_ERROR(step(n));
  }
}

// Errc::kCorrupt: it is not what was noted.
Result<std::uint64_t> check_file(BorrowedFd tree, const ReadStep& step) {
  auto note = read_note(tree);
  if (!note.ok())
    return Error(Errc::kCorrupt, "what was noted when it was made cannot be read: " + note.error().message());
  ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(tree, "rootfs", O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
  if (!S_ISREG(info.st_mode)) return Error(Errc::kCorrupt, "it is no regular file");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size != note->size_bytes)
    return Error(Errc::kCorrupt, "it has " + std::to_string(size) + " bytes, not " + std::to_string(note->size_bytes));
  ASSIGN_OR_RETURN(const Digest actual, hash(file, note->digest, step));
  if (actual != note->digest)
    return Error(Errc::kCorrupt, "its digest is " + actual.str() + ", and was " + note->digest.str());
  return size;
}

}  // namespace

Result<ErofsCheck> check_erofs_tree(BorrowedFd store, const std::string& chain, const ReadStep& step) {
  ErofsCheck out;
  const std::string name = erofs_tree(chain);
  auto tree = sys::openat(store, tree_path(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!tree.ok() && tree.error().errno_value() == ENOENT) return out;
  if (!tree.ok()) return std::move(tree).error();
  ASSIGN_OR_RETURN(out.directory, sys::fstat(*tree));
  auto checked = check_file(*tree, step);
  if (!checked.ok() && checked.error().code() == Errc::kCancelled) return std::move(checked).error();
  // It is moved away before anything of it is removed: what is in its place has been whole.
  auto there = sys::fstatat(store, tree_path(name));
  if (!there.ok() && there.error().errno_value() != ENOENT) return std::move(there).error();
  if (!there.ok() || there->st_ino != out.directory.st_ino || there->st_dev != out.directory.st_dev) return out;
  if (checked.ok()) {
    out.state = TreeState::kGood;
    return out;
  }
  out.state = TreeState::kDiffers;
  out.message = checked.error().message();
  ASSIGN_OR_RETURN(out.users, Trees(store).users(name));
  std::ranges::sort(out.users);
  return out;
}

Status compare_erofs_tree(BorrowedFd store, const std::string& chain, const FileModel& model, const ReadStep& step,
                          ErofsCheck& found) {
  const auto unreadable = [&](const Error& why) {
    found.message += "; its structure is too damaged to be read: " + why.message();
    return ok_status();
  };
  auto file = sys::openat(store, tree_path(erofs_tree(chain)) + "/rootfs", O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file.ok()) return unreadable(file.error());
  const auto mounted = mount_erofs_file(*file);
  if (!mounted.ok() && mounted.error().code() == Errc::kCorrupt) return unreadable(mounted.error());
  if (!mounted.ok()) {
    found.message += "; its files cannot be compared: " + mounted.error().message();
    return {};
  }
  ASSIGN_OR_RETURN(const UniqueFd tmp, sys::openat(store, kTmpDir, O_RDONLY | O_DIRECTORY));
  auto check = compare_with_disk(model, *mounted, tmp, Medium::kImage, step);
  if (!check.ok() && check.error().code() == Errc::kCancelled) return std::move(check).error();
  if (!check.ok()) return unreadable(check.error());
  found.paths = std::move(check->changes);
  if (found.paths.empty()) found.message += "; no file in it differs";
  return {};
}

}  // namespace cooper::image
