#include "image/internal/trees.h"

#include <linux/fs.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/strings.h"
#include "codec/json.h"
#include "image/internal/paths.h"
#include "io/access_lists.h"
#include "log/steps.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr int kVersion = 1;

std::string staged(const std::string& chain) {
  return "tree-" + chain;
}

codec::json::Writer begin_note(const std::string& chain) {
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  codec::json::Writer writer;
  writer.begin_object()
      .field("version", kVersion)
      .field("chain", chain)
      .field("created_unix_ms", std::int64_t{now.count()});
  return writer;
}

bool is_missing(const Error& error) {
  return error.errno_value() == ENOENT;
}

Status remove_if_there(BorrowedFd dir, const std::string& path) {
  Status removed = sys::unlinkat(dir, path);
  if (!removed.ok() && !is_missing(removed.error())) return removed;
  return {};
}

}  // namespace

Result<io::FileLock> take_lock(BorrowedFd store, const std::string& path, io::FileLock::Mode mode) {
  const log::Stopwatch waiting;
  auto lock = io::FileLock::acquire(store, path, mode);
  log::step("lock", [&] { return log::Fields{{"path", path}, {"waited_ms", waiting.ms()}}; });
  return lock;
}

Result<io::FileLock> Trees::lock(io::FileLock::Mode mode) const {
  return take_lock(store_, kTreesLock, mode);
}

std::int64_t Trees::last_used_unix_ms(std::string_view chain) const {
  std::int64_t last = 0;
  for (const std::string& path : {tree_users_path(chain), tree_users_path(erofs_tree(chain))}) {
    const auto users = sys::fstatat(store_, path);
    if (!users.ok()) continue;
    last = std::max(last, std::int64_t{users->st_mtim.tv_sec} * 1000 + users->st_mtim.tv_nsec / 1'000'000);
  }
  return last;
}

void Trees::note_use(std::string_view chain) const {
  struct timespec times[2] = {};
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_nsec = UTIME_NOW;
  for (const std::string& path : {tree_users_path(chain), tree_users_path(erofs_tree(chain))})
    (void)!sys::utimensat(store_, path, times, AT_SYMLINK_NOFOLLOW).ok();
}

Result<io::FileLock> Trees::lock_unpacking(std::string_view chain) const {
  return take_lock(store_, unpack_lock_path(chain), io::FileLock::Mode::kExclusive);
}

Result<io::FileLock> Trees::try_lock_unpacking(std::string_view chain) const {
  return io::FileLock::try_acquire(store_, unpack_lock_path(chain), io::FileLock::Mode::kExclusive);
}

bool Trees::exists(std::string_view chain) const {
  return sys::fstatat(store_, tree_path(chain) + "/rootfs").ok() ||
         sys::fstatat(store_, tree_path(erofs_tree(chain)) + "/rootfs").ok();
}

Status Trees::add_user(std::string_view chain, std::string_view user) const {
  const std::string path = tree_users_path(chain) + "/" + std::string(user);
  ASSIGN_OR_RETURN(const UniqueFd file, sys::openat(store_, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
  return {};
}

Result<bool> Trees::register_user(std::string_view chain, std::string_view user) const {
  // Shared: who takes trees away waits, so that the tree found here stays.
  ASSIGN_OR_RETURN(const io::FileLock guard, lock(io::FileLock::Mode::kShared));
  Status added = add_user(chain, user);
  if (added.ok()) return true;
  if (is_missing(added.error())) return false;
  return std::move(added).error();
}

Result<std::vector<std::string>> Trees::users(std::string_view chain) const {
  auto dir = sys::openat(store_, tree_users_path(chain), O_RDONLY | O_DIRECTORY);
  if (!dir.ok()) {
    if (is_missing(dir.error())) return std::vector<std::string>();
    return std::move(dir).error();
  }
  return sys::list_directory(*dir);
}

Result<std::vector<std::string>> Trees::all_users(std::string_view chain) const {
  ASSIGN_OR_RETURN(auto out, users(chain));
  ASSIGN_OR_RETURN(auto others, users(erofs_tree(chain)));
  for (std::string& user : others) out.push_back(std::move(user));
  return out;
}

Result<std::vector<std::string>> Trees::list() const {
  ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(store_, kTreesDir, O_RDONLY | O_DIRECTORY));
  return sys::list_directory(dir);
}

Result<UniqueFd> Trees::begin(const Job& job, const std::string& chain) {
  const std::string tree = staged(chain);
  RETURN_IF_ERROR(sys::mkdirat(job.fd(), tree, 0700));
  RETURN_IF_ERROR(sys::mkdirat(job.fd(), tree + "/users", 0700));
  RETURN_IF_ERROR(sys::mkdirat(job.fd(), tree + "/rootfs", 0755));
  ASSIGN_OR_RETURN(UniqueFd rootfs, sys::openat(job.fd(), tree + "/rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RETURN_IF_ERROR(io::take_access_lists(rootfs));
  return rootfs;
}

Result<UniqueFd> Trees::begin_file(const Job& job, const std::string& name) {
  const std::string tree = staged(name);
  RETURN_IF_ERROR(sys::mkdirat(job.fd(), tree, 0700));
  RETURN_IF_ERROR(sys::mkdirat(job.fd(), tree + "/users", 0700));
  return sys::openat(job.fd(), tree + "/rootfs", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0400);
}

Status Trees::rename_staged(const Job& job, const std::string& from, const std::string& to) {
  return sys::renameat(job.fd(), staged(from), job.fd(), staged(to));
}

Status Trees::seal(const Job& job, const std::string& chain, const TreeBuilder& builder) {
  codec::json::Writer writer = begin_note(chain);
  writer.field("entries", builder.entries()).field("size_bytes", builder.bytes()).end_object();
  return io::write_file_atomic(job.fd(), staged(chain) + "/tree.json", writer.take(), 0600);
}

Status Trees::seal_file(const Job& job, const std::string& name, const Digest& digest, std::uint64_t size_bytes) {
  codec::json::Writer writer = begin_note(std::string(chain_of_tree(name)));
  writer.field("erofs_digest", digest.str()).field("size_bytes", size_bytes).end_object();
  return io::write_file_atomic(job.fd(), staged(name) + "/tree.json", writer.take(), 0600, io::Durability::kFsync);
}

Status Trees::publish(const Job& job, const std::string& chain, std::string_view user) const {
  ASSIGN_OR_RETURN(const io::FileLock guard, lock(io::FileLock::Mode::kExclusive));
  Status moved = sys::renameat2(job.fd(), staged(chain), store_, tree_path(chain), RENAME_NOREPLACE);
  if (!moved.ok()) {
    if (moved.error().errno_value() != EEXIST) return std::move(moved).error().with("tree " + chain);
    RETURN_IF_ERROR(remove_if_there(store_, tree_orphan_path(chain)));
  }
  ASSIGN_OR_RETURN(const UniqueFd trees, sys::openat(store_, kTreesDir, O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(sys::fsync(trees));
  if (!user.empty()) RETURN_IF_ERROR(add_user(chain, user));
  return {};
}

Status Trees::adopt(std::string_view chain) const {
  ASSIGN_OR_RETURN(const io::FileLock guard, lock(io::FileLock::Mode::kExclusive));
  RETURN_IF_ERROR(remove_if_there(store_, tree_orphan_path(erofs_tree(chain))));
  // One that an erofs image has superseded stays so.
  if (sys::fstatat(store_, tree_path(erofs_tree(chain)) + "/rootfs").ok()) return {};
  return remove_if_there(store_, tree_orphan_path(chain));
}

Result<std::uint64_t> Trees::remove_or_orphan(std::string_view chain) const {
  std::optional<Job> trash;
  {
    ASSIGN_OR_RETURN(const io::FileLock guard, lock(io::FileLock::Mode::kExclusive));
    auto there = sys::fstatat(store_, tree_path(chain));
    if (!there.ok() && !is_missing(there.error())) return std::move(there).error();
    if (!there.ok()) return std::uint64_t{0};
    ASSIGN_OR_RETURN(const auto users_left, users(chain));
    if (!users_left.empty()) {
      // Where the mark cannot be made (a full disk), gc finds the tree later.
      (void)!sys::openat(store_, tree_orphan_path(chain), O_WRONLY | O_CREAT | O_NOFOLLOW, 0600).ok();
      return std::uint64_t{0};
    }
    ASSIGN_OR_RETURN(Job taken, Job::take(store_, tree_path(chain)));
    trash.emplace(std::move(taken));
  }
  const std::uint64_t freed = disk_usage(store_, trash->path());
  RETURN_IF_ERROR(remove_if_there(store_, unpack_lock_path(chain)));
  return freed;
}

Result<bool> Trees::remove_unused(std::string_view chain, const struct stat& directory) const {
  std::optional<Job> trash;
  ASSIGN_OR_RETURN(const io::FileLock guard, lock(io::FileLock::Mode::kExclusive));
  auto there = sys::fstatat(store_, tree_path(chain));
  if (!there.ok() && !is_missing(there.error())) return std::move(there).error();
  if (!there.ok() || there->st_ino != directory.st_ino || there->st_dev != directory.st_dev) return true;
  ASSIGN_OR_RETURN(const auto users_left, users(chain));
  if (!users_left.empty()) return false;
  ASSIGN_OR_RETURN(Job taken, Job::take(store_, tree_path(chain)));
  trash.emplace(std::move(taken));
  return true;
}

Status Trees::mark_superseded(std::string_view chain) const {
  ASSIGN_OR_RETURN(const io::FileLock guard, lock(io::FileLock::Mode::kExclusive));
  // Missing, when the files came from elsewhere. On a full disk there is no mark, and the tree stays with its image.
  (void)!sys::openat(store_, tree_orphan_path(chain), O_WRONLY | O_CREAT | O_NOFOLLOW, 0600).ok();
  return {};
}

bool Trees::is_orphan(std::string_view chain) const {
  return sys::fstatat(store_, tree_orphan_path(chain)).ok();
}

Status Trees::release_user(std::string_view chain, std::string_view user) const {
  RETURN_IF_ERROR(remove_if_there(store_, tree_users_path(chain) + "/" + std::string(user)));
  RETURN_IF_ERROR(remove_orphan(chain));
  const std::string_view unpacked = chain_of_tree(chain);
  return unpacked == chain ? ok_status() : remove_orphan(unpacked);
}

Status Trees::remove_orphan(std::string_view chain) const {
  if (!is_orphan(chain)) return {};
  std::optional<Job> trash;
  ASSIGN_OR_RETURN(const io::FileLock guard, lock(io::FileLock::Mode::kExclusive));
  // Under the lock: an image may have come back, another user may have registered.
  ASSIGN_OR_RETURN(const auto users_now, users(chain));
  if (!users_now.empty() || !is_orphan(chain)) return {};
  ASSIGN_OR_RETURN(Job taken, Job::take(store_, tree_path(chain)));
  trash.emplace(std::move(taken));
  return {};
}

}  // namespace cooper::image
