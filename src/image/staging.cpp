#include "image/internal/staging.h"

#include <algorithm>

#include "base/scope_exit.h"
#include "image/internal/cleanup.h"
#include "image/internal/paths.h"
#include "image/internal/records.h"
#include "image/internal/trees.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr mode_t kBlobMode = 0444;

std::string unnamed_blob(std::size_t number) {
  return "layer-" + std::to_string(number);
}
std::string staged_blob(const Digest& digest) {
  return "blob-" + std::string(digest.algorithm()) + "-" + std::string(digest.hex());
}

}  // namespace

Result<Staging> Staging::create(BorrowedFd store) {
  ASSIGN_OR_RETURN(Job job, Job::create(store));
  return Staging(store, std::move(job));
}

Result<Staging::NewBlob> Staging::new_blob() {
  unsynced_ = true;
  const std::size_t number = unnamed_++;
  ASSIGN_OR_RETURN(UniqueFd file,
                   sys::openat(job_.fd(), unnamed_blob(number), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, kBlobMode));
  return NewBlob{number, std::move(file)};
}

Result<Staging::NewBlob> Staging::resumable_blob(const Digest& digest, std::uint64_t size_bytes) {
  ASSIGN_OR_RETURN(auto partial, Partial::open(store_, digest, size_bytes));
  if (!partial) return new_blob();
  unsynced_ = true;
  ASSIGN_OR_RETURN(UniqueFd file, sys::dup_cloexec(partial->file()));
  NewBlob blob{unnamed_++, std::move(file), partial->had_bytes()};
  partials_.emplace(blob.number, std::move(*partial));
  return blob;
}

Status Staging::keep_blob(std::size_t number, const Digest& digest) {
  const auto partial = partials_.find(number);
  RETURN_IF_ERROR(partial != partials_.end()
                      ? partial->second.link_to(job_.fd(), staged_blob(digest))
                      : sys::renameat(job_.fd(), unnamed_blob(number), job_.fd(), staged_blob(digest)));
  blobs_.insert(digest);
  return {};
}

Status Staging::add_blob(const Digest& digest, std::string_view bytes) {
  if (blobs_.contains(digest)) return {};
  unsynced_ = true;
  ASSIGN_OR_RETURN(const UniqueFd file,
                   sys::openat(job_.fd(), staged_blob(digest), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, kBlobMode));
  RETURN_IF_ERROR(sys::write_all(file, bytes));
  blobs_.insert(digest);
  return {};
}

Result<UniqueFd> Staging::open_blob(const Digest& digest) const {
  return sys::openat(job_.fd(), staged_blob(digest), O_RDONLY | O_NOFOLLOW);
}

Result<bool> Staging::pin_blob(const Digest& digest, std::uint64_t size_bytes) {
  if (blobs_.contains(digest)) return true;
  const std::string name = staged_blob(digest);
  Status linked = sys::linkat(store_, blob_path(digest), job_.fd(), name);
  if (!linked.ok()) {
    if (linked.error().errno_value() == ENOENT) return false;
    return std::move(linked).error();
  }
  ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(job_.fd(), name));
  if (static_cast<std::uint64_t>(info.st_size) != size_bytes) {
    RETURN_IF_ERROR(sys::unlinkat(job_.fd(), name));
    return false;
  }
  blobs_.insert(digest);
  return true;
}

Result<UniqueFd> Staging::new_tree(const std::string& chain) {
  unsynced_ = true;
  ASSIGN_OR_RETURN(UniqueFd rootfs, Trees::begin(job_, chain));
  trees_.insert(chain);
  return rootfs;
}

Status Staging::rename_tree(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(Trees::rename_staged(job_, from, to));
  trees_.erase(from);
  trees_.insert(to);
  return {};
}

Status Staging::seal_tree(const std::string& chain, const TreeBuilder& builder) {
  return Trees::seal(job_, chain, builder);
}

Status Staging::publish_blobs() {
  std::set<std::string> algorithms;
  for (const Digest& digest : blobs_) {
    // A blob that is there already is replaced by equal bytes that were checked just now.
    RETURN_IF_ERROR(sys::renameat(job_.fd(), staged_blob(digest), store_, blob_path(digest)));
    algorithms.emplace(digest.algorithm());
  }
  for (const std::string& algorithm : algorithms) {
    ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(store_, blob_dir(algorithm), O_RDONLY | O_DIRECTORY));
    RETURN_IF_ERROR(sys::fsync(dir));
  }
  return {};
}

Status Staging::publish_records(std::vector<Image>& images) {
  Records records(store_);
  for (Image& image : images) {
    image.given_names = image.names;
    ASSIGN_OR_RETURN(auto before, records.image(image.id));
    if (before) image.names.insert(image.names.end(), before->names.begin(), before->names.end());
    if (before)
      image.digest_names.insert(image.digest_names.end(), before->digest_names.begin(), before->digest_names.end());
    // An image that comes by its own digest is found by that of the index it came from before as well.
    if (before && !image.index_digest && before->manifest_digest == image.manifest_digest)
      image.index_digest = before->index_digest;
    for (std::vector<std::string>* names : {&image.names, &image.digest_names}) {
      std::ranges::sort(*names);
      const auto repeated = std::ranges::unique(*names);
      names->erase(repeated.begin(), repeated.end());
    }
    if (before && print_record(*before) == print_record(image)) continue;
    former_images_.emplace_back(image.id, std::move(before));
    RETURN_IF_ERROR(records.put_image(image));
  }
  for (const Image& image : images) {
    for (const std::string& name : image.given_names) {
      ASSIGN_OR_RETURN(auto owner, records.name(name));
      former_names_.emplace_back(name, std::move(owner));
      RETURN_IF_ERROR(records.put_name(name, image.id));
    }
  }
  return {};
}

// Names first: a record is taken back only when no name leads to it any more.
Status Staging::take_back_records() {
  Records records(store_);
  while (!former_names_.empty()) {
    const auto& [name, owner] = former_names_.back();
    RETURN_IF_ERROR(owner ? records.put_name(name, *owner) : records.remove_name(name));
    former_names_.pop_back();
  }
  while (!former_images_.empty()) {
    const auto& [id, image] = former_images_.back();
    RETURN_IF_ERROR(image ? records.put_image(*image) : records.remove_image(id));
    former_images_.pop_back();
  }
  return {};
}

Status Staging::commit(std::vector<Image>& images) {
  if (unsynced_) RETURN_IF_ERROR(sys::syncfs(store_));
  ASSIGN_OR_RETURN(const io::FileLock guard, take_lock(store_, kStoreLock, io::FileLock::Mode::kExclusive));
  ScopeExit undo([&] {
    const std::vector<Digest> blobs(blobs_.begin(), blobs_.end());
    const std::vector<std::string> trees(trees_.begin(), trees_.end());
    // What cannot be taken back stays whole: it is referred to.
    (void)!take_back_records().ok();
    (void)!remove_unreferenced(store_, blobs, trees).ok();
  });
  RETURN_IF_ERROR(publish_blobs());
  const Trees trees(store_);
  for (const std::string& chain : trees_) RETURN_IF_ERROR(trees.publish(job_, chain, ""));
  for (const Image& image : images) {
    if (!trees_.contains(image.chain)) RETURN_IF_ERROR(trees.adopt(image.chain));
  }
  RETURN_IF_ERROR(publish_records(images));
  undo.dismiss();
  forget_partials();
  return {};
}

void Staging::forget_partials() {
  for (auto& [number, partial] : partials_) partial.remove();
  partials_.clear();
}

}  // namespace cooper::image
