// The tree store: trees/<chain>, and trees/<chain>.erofs for the form in one file (erofs_tree.h); both are called by
// the name of their directory here. A tree appears complete, by one rename, after its bytes have reached the disk
// (syncfs), so that neither a kill nor a power cut leaves half a tree under its name.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "image/internal/job.h"
#include "image/internal/tree_builder.h"
#include "io/file.h"

namespace cooper::image {

// Blocks; says in the debug log how long it did.
Result<io::FileLock> take_lock(BorrowedFd store, const std::string& path, io::FileLock::Mode mode);

class Trees {
 public:
  explicit Trees(BorrowedFd store) : store_(store) {}

  // In either form.
  bool exists(std::string_view chain) const;
  // False when there is no such tree.
  Result<bool> register_user(std::string_view chain, std::string_view user) const;
  // Removes the tree, too, when no image and no other user has it; and the unpacked one that it has superseded.
  Status release_user(std::string_view chain, std::string_view user) const;
  Result<std::vector<std::string>> users(std::string_view chain) const;
  // Of both forms.
  Result<std::vector<std::string>> all_users(std::string_view chain) const;
  Result<std::vector<std::string>> list() const;

  // Makes an empty tree in the job; returns its rootfs. Fill it, then seal(), sync the file system, then publish().
  static Result<UniqueFd> begin(const Job& job, const std::string& chain);
  // The same for a tree in one file, which is returned for writing.
  static Result<UniqueFd> begin_file(const Job& job, const std::string& name);
  static Status seal_file(const Job& job, const std::string& name, const Digest& digest, std::uint64_t size_bytes);
  static Status rename_staged(const Job& job, const std::string& from, const std::string& to);
  static Status seal(const Job& job, const std::string& chain, const TreeBuilder& builder);
  // Moves the tree to its place; one that is there already stays, and is no orphan any more.
  // `user` (may be empty) is registered before anybody could remove the tree.
  Status publish(const Job& job, const std::string& chain, std::string_view user) const;
  // An image has the tree again, in whatever form it is there.
  Status adopt(std::string_view chain) const;
  // Takes away a tree no image has; one with users only becomes an orphan. Returns the bytes freed.
  Result<std::uint64_t> remove_or_orphan(std::string_view chain) const;
  // An erofs image stands in for the unpacked tree: it becomes an orphan, which nobody waits for now.
  Status mark_superseded(std::string_view chain) const;
  // Of a tree that an image has: superseded.
  bool is_orphan(std::string_view chain) const;

  // Takes away a tree that nobody uses, for the next user to unpack it anew. `directory` tells which tree is meant:
  // true also when it is another by now. False: it has users.
  Result<bool> remove_unused(std::string_view chain, const struct stat& directory) const;

  // When a container last took or gave back the tree, in either form, or somebody else read the image (note_use()):
  // that is the time of change of users/. 0: there is no tree.
  std::int64_t last_used_unix_ms(std::string_view chain) const;
  // Where it cannot be noted (a store that is mounted read-only) nothing is.
  void note_use(std::string_view chain) const;

  // Serialises unpacking of one tree between processes.
  Result<io::FileLock> lock_unpacking(std::string_view chain) const;
  Result<io::FileLock> try_lock_unpacking(std::string_view chain) const;

 private:
  Result<io::FileLock> lock(io::FileLock::Mode mode) const;
  Status add_user(std::string_view chain, std::string_view user) const;
  Status remove_orphan(std::string_view chain) const;
  BorrowedFd store_;
};

}  // namespace cooper::image
