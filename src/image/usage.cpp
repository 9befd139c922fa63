#include "image/usage.h"

#include <sys/file.h>

#include <map>
#include <set>

#include "image/internal/cleanup.h"
#include "image/internal/job.h"
#include "image/internal/load.h"
#include "image/internal/partial.h"
#include "image/internal/paths.h"
#include "image/internal/pinned.h"
#include "image/internal/records.h"
#include "image/internal/trees.h"
#include "image/internal/usage.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

struct References {
  std::uint64_t all = 0;
  std::uint64_t kept = 0;  // of images that gc() would leave
};

class Survey {
 public:
  explicit Survey(BorrowedFd store) : store_(store) {}

  Result<StoreUsage> run() {
    RETURN_IF_ERROR(look_at_images());
    RETURN_IF_ERROR(look_at_blobs());
    RETURN_IF_ERROR(look_at_trees());
    RETURN_IF_ERROR(look_at_jobs());
    RETURN_IF_ERROR(look_at_partials());
    for (const StoreUsage::Amount* part :
         {&usage_.unique_blobs, &usage_.shared_blobs, &usage_.stray_blobs, &usage_.trees, &usage_.unfinished}) {
      usage_.images.bytes += part->bytes;
      usage_.images.reclaimable_bytes += part->reclaimable_bytes;
    }
    return usage_;
  }

 private:
  Status look_at_images() {
    ASSIGN_OR_RETURN(const auto images, Records(store_).images());
    for (const Image& image : images) {
      ASSIGN_OR_RETURN(const auto users, Trees(store_).all_users(image.chain));
      ++usage_.images.count;
      if (!users.empty()) ++usage_.images.in_use;
      const bool kept = !image.names.empty() || !image.digest_names.empty() || !users.empty();
      // An image may have one layer several times.
      for (const Digest& digest : distinct(blobs_of(image))) count(blobs_[digest], kept);
      count(chains_[image.chain], kept);
    }
    return {};
  }

  Status look_at_blobs() {
    ASSIGN_OR_RETURN(const auto blobs, all_blobs(store_));
    for (const Digest& digest : blobs) {
      const References& by = blobs_[digest];
      StoreUsage::Amount& amount = by.all == 0   ? usage_.stray_blobs
                                   : by.all == 1 ? usage_.unique_blobs
                                                 : usage_.shared_blobs;
      add(amount, disk_usage(store_, blob_path(digest)), by.kept != 0);
    }
    return {};
  }

  Status look_at_trees() {
    const Trees trees(store_);
    ASSIGN_OR_RETURN(const auto chains, trees.list());
    for (const std::string& chain : chains) {
      ASSIGN_OR_RETURN(const auto users, trees.users(chain));
      if (!users.empty()) ++usage_.trees.in_use;
      const std::uint64_t bytes = disk_usage(store_, tree_path(chain));
      add(usage_.trees, bytes, chains_[std::string(chain_of_tree(chain))].kept != 0 || !users.empty());
    }
    return {};
  }

  Status look_at_jobs() {
    ASSIGN_OR_RETURN(const UniqueFd tmp, sys::openat(store_, kTmpDir, O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(const auto names, sys::list_directory(tmp));
    for (const std::string& name : names) {
      const auto job = sys::openat(tmp, name, O_RDONLY | O_NOFOLLOW);
      if (!job.ok()) continue;
      const bool busy = !sys::flock(*job, LOCK_SH | LOCK_NB).ok();
      if (busy) ++usage_.unfinished.in_use;
      add(usage_.unfinished, disk_usage(tmp, name), busy);
    }
    return {};
  }

  Status look_at_partials() {
    ASSIGN_OR_RETURN(const auto partials, list_partials(store_));
    for (const KeptPartial& partial : partials) {
      if (partial.in_use) ++usage_.unfinished.in_use;
      add(usage_.unfinished, partial.bytes, partial.in_use || partial.changed_unix_ms >= partials_old_before_unix_ms());
    }
    return {};
  }

  static std::set<Digest> distinct(const std::vector<Digest>& digests) { return {digests.begin(), digests.end()}; }
  static void count(References& references, bool kept) {
    ++references.all;
    if (kept) ++references.kept;
  }
  static void add(StoreUsage::Amount& amount, std::uint64_t bytes, bool kept) {
    ++amount.count;
    amount.bytes += bytes;
    if (!kept) amount.reclaimable_bytes += bytes;
  }

  BorrowedFd store_;
  StoreUsage usage_;
  std::map<Digest, References> blobs_;
  std::map<std::string, References, std::less<>> chains_;
};

Result<std::uint64_t> measure(BorrowedFd store, const PinnedLayer& layer) {
  ASSIGN_OR_RETURN(CheckedBlob stored, open_stored(store, layer.blob, {}));
  ASSIGN_OR_RETURN(const auto plain, PlainLayer::open(std::move(stored), layer.diff_id));
  return plain->measure();
}

Result<std::vector<LayerSize>> sizes_of(BorrowedFd store, const Image& image) {
  ASSIGN_OR_RETURN(const PinnedImage described, describe_stored(store, image));
  std::vector<LayerSize> out;
  for (const PinnedLayer& layer : described.layers) {
    std::uint64_t bytes = layer.plain_bytes.value_or(0);
    if (!layer.plain_bytes) {
      ASSIGN_OR_RETURN(bytes, measure(store, layer));
    }
    out.push_back({layer.blob.digest, layer.diff_id, layer.blob.size_bytes, bytes});
  }
  return out;
}

}  // namespace

Result<StoreUsage> usage_of(BorrowedFd store) {
  return Survey(store).run();
}

Result<std::vector<LayerSize>> layer_sizes_of(BorrowedFd store, const Image& image) {
  auto sizes = sizes_of(store, image);
  if (!sizes.ok()) return reload_hint(std::move(sizes).error(), image);
  return sizes;
}

}  // namespace cooper::image
