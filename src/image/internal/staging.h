// Everything new of one operation, kept in a job directory until all of it is checked, then made visible in an order
// that leaves the old or the new state whatever stops it: bytes on disk, blobs and trees in place, image records,
// names.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/ids.h"
#include "image/internal/job.h"
#include "image/internal/partial.h"
#include "image/internal/tree_builder.h"
#include "image/store.h"

namespace cooper::image {

class Staging {
 public:
  static Result<Staging> create(BorrowedFd store);

  const Job& job() const { return job_; }
  // A file for bytes that are not checked yet; keep_blob() gives it its name.
  struct NewBlob {
    std::size_t number;
    UniqueFd file;
    std::uint64_t had_bytes = 0;  // what an earlier operation has left of it, at its beginning
  };
  Result<NewBlob> new_blob();
  // For bytes whose digest is known, and which are worth keeping when this operation ends in the middle. When another
  // operation keeps the same, they are this one's alone. They stay until commit() or forget_partials().
  Result<NewBlob> resumable_blob(const Digest& digest, std::uint64_t size_bytes);
  Status keep_blob(std::size_t number, const Digest& digest);
  Status add_blob(const Digest& digest, std::string_view bytes);
  // A blob that was kept, added or pinned, for reading.
  Result<UniqueFd> open_blob(const Digest& digest) const;
  // A blob of the store this operation relies on: it survives a removal meanwhile. False when there is none of that
  // size.
  Result<bool> pin_blob(const Digest& digest, std::uint64_t size_bytes);

  Result<UniqueFd> new_tree(const std::string& chain);
  // The name was not known when the tree was begun.
  Status rename_tree(const std::string& from, const std::string& to);
  Status seal_tree(const std::string& chain, const TreeBuilder& builder);
  void drop_tree(const std::string& chain) { trees_.erase(chain); }
  bool has_tree(const std::string& chain) const { return trees_.contains(chain); }

  // `names` of each image are those to add; on return they are all it has. Nothing of it stays when this fails.
  Status commit(std::vector<Image>& images);
  // What came of resumable blobs is wrong, or there is no room for it.
  void forget_partials();

 private:
  Staging(BorrowedFd store, Job job) : store_(store), job_(std::move(job)) {}
  Status publish_blobs();
  Status publish_records(std::vector<Image>& images);
  Status take_back_records();

  BorrowedFd store_;
  Job job_;
  std::set<Digest> blobs_;
  std::size_t unnamed_ = 0;
  std::map<std::size_t, Partial> partials_;
  std::set<std::string> trees_;
  bool unsynced_ = false;
  // What the records were, in the order they were changed.
  std::vector<std::pair<Digest, std::optional<Image>>> former_images_;
  std::vector<std::pair<std::string, std::optional<Digest>>> former_names_;
};

}  // namespace cooper::image
