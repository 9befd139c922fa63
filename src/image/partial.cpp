#include "image/internal/partial.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <chrono>
#include <utility>

#include "base/strings.h"
#include "image/internal/job.h"
#include "image/internal/paths.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr mode_t kPartialMode = 0600;
constexpr mode_t kBlobMode = 0444;
constexpr int kTries = 16;
constexpr std::chrono::hours kPartialAge{24};

Result<UniqueFd> open_or_make(BorrowedFd store, const std::string& path) {
  constexpr int kFlags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
  auto file = sys::openat(store, path, kFlags, kPartialMode);
  if (file.ok() || file.error().errno_value() != ENOENT) return file;
  // A store of before there were any.
  Status made = sys::mkdirat(store, kPartialDir, 0700);
  if (!made.ok() && made.error().errno_value() != EEXIST) return std::move(made).error();
  return sys::openat(store, path, kFlags, kPartialMode);
}

// False: somebody else holds it.
Result<bool> try_lock(BorrowedFd file) {
  Status locked = sys::flock(file, LOCK_EX | LOCK_NB);
  if (locked.ok()) return true;
  if (locked.error().errno_value() == EWOULDBLOCK) return false;
  return std::move(locked).error();
}

// False: it was taken away before it was locked.
bool is_still_at(BorrowedFd dir, const std::string& path, const struct stat& info) {
  const auto there = sys::fstatat(dir, path);
  return there.ok() && there->st_dev == info.st_dev && there->st_ino == info.st_ino;
}

std::int64_t changed_unix_ms(const struct stat& info) {
  return std::int64_t{info.st_mtim.tv_sec} * 1000 + info.st_mtim.tv_nsec / 1'000'000;
}

}  // namespace

Result<std::optional<Partial>> Partial::open(BorrowedFd store, const Digest& digest, std::uint64_t size_bytes) {
  const std::string path = partial_path(digest);
  for (int i = 0; i < kTries; ++i) {
    ASSIGN_OR_RETURN(UniqueFd file, open_or_make(store, path));
    ASSIGN_OR_RETURN(const bool locked, try_lock(file));
    if (!locked) return std::optional<Partial>();
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(file));
    if (!is_still_at(store, path, info)) continue;
    const auto bytes = static_cast<std::uint64_t>(info.st_size);
    if (S_ISREG(info.st_mode) && info.st_nlink == 1 && bytes <= size_bytes)
      return std::optional(Partial(store, path, std::move(file), bytes));
    RETURN_IF_ERROR(sys::unlinkat(store, path));
  }
  return Error(Errc::kBusy, quoted(path) + " of the image store is taken away again and again");
}

Partial::Partial(Partial&& other) noexcept
    : store_(other.store_),
      path_(std::exchange(other.path_, {})),
      file_(std::move(other.file_)),
      had_bytes_(other.had_bytes_) {}

Partial::~Partial() {
  if (path_.empty()) return;
  const auto info = sys::fstat(file_);
  if (info.ok() && info->st_size == 0) remove();
}

Status Partial::link_to(BorrowedFd dir, const std::string& name) const {
  RETURN_IF_ERROR(sys::fchmod(file_, kBlobMode));
  return sys::linkat(store_, path_, dir, name);
}

void Partial::remove() {
  // Nobody else does while it is locked. What stays all the same gc removes.
  if (!path_.empty()) (void)!sys::unlinkat(store_, path_).ok();
  path_.clear();
}

namespace {

// Calls `found(dir, partial, info)` for each; one that nobody has is locked meanwhile.
template <typename F>
Status for_each_partial(BorrowedFd store, F found) {
  auto dir = sys::openat(store, kPartialDir, O_RDONLY | O_DIRECTORY);
  if (!dir.ok() && dir.error().errno_value() == ENOENT) return {};
  if (!dir.ok()) return std::move(dir).error();
  ASSIGN_OR_RETURN(const auto names, sys::list_directory(*dir));
  for (const std::string& name : names) {
    if (name.ends_with(kPartialNote)) continue;
    const auto file = sys::openat(*dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!file.ok()) continue;
    ASSIGN_OR_RETURN(const bool locked, try_lock(*file));
    ASSIGN_OR_RETURN(const struct stat info, sys::fstat(*file));
    if (!is_still_at(*dir, name, info)) continue;
    // A second link is a blob's: without it nothing would be freed.
    const std::uint64_t bytes = info.st_nlink == 1 ? disk_usage(*dir, name) : 0;
    RETURN_IF_ERROR(found(dir->borrow(), name, KeptPartial{bytes, !locked, changed_unix_ms(info)}));
  }
  return {};
}

// Of what is gone. Of what another process has just made nothing has come yet that could be gone on with.
void remove_lone_notes(BorrowedFd store) {
  const auto dir = sys::openat(store, kPartialDir, O_RDONLY | O_DIRECTORY);
  if (!dir.ok()) return;
  const auto names = sys::list_directory(*dir);
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    if (!name.ends_with(kPartialNote)) continue;
    const std::string partial = name.substr(0, name.size() - std::string_view(kPartialNote).size());
    if (!sys::fstatat(*dir, partial).ok()) (void)!sys::unlinkat(*dir, name).ok();
  }
}

}  // namespace

Result<std::vector<KeptPartial>> list_partials(BorrowedFd store) {
  std::vector<KeptPartial> out;
  RETURN_IF_ERROR(for_each_partial(store, [&](BorrowedFd, const std::string&, const KeptPartial& partial) -> Status {
    out.push_back(partial);
    return {};
  }));
  return out;
}

Result<std::uint64_t> remove_old_partials(BorrowedFd store, std::int64_t before_unix_ms, bool dry_run) {
  std::uint64_t freed = 0;
  const auto remove = [&](BorrowedFd dir, const std::string& name, const KeptPartial& partial) -> Status {
    if (partial.in_use || partial.changed_unix_ms >= before_unix_ms) return {};
    freed += partial.bytes;
    return dry_run ? ok_status() : sys::unlinkat(dir, name);
  };
  RETURN_IF_ERROR(for_each_partial(store, remove));
  if (!dry_run) remove_lone_notes(store);
  return freed;
}

std::int64_t partials_old_before_unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - kPartialAge).count();
}

}  // namespace cooper::image
