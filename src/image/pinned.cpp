#include "image/internal/pinned.h"

#include <algorithm>

#include "base/strings.h"
#include "image/internal/find.h"
#include "image/internal/intake.h"
#include "image/internal/load.h"
#include "image/internal/paths.h"
#include "image/internal/records.h"
#include "image/internal/trees.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

std::string pinned_name(const Digest& digest) {
  return "pin-" + std::string(digest.algorithm()) + "-" + std::string(digest.hex());
}

void add_names(Image& image, const std::vector<std::string>& names) {
  image.given_names.insert(image.given_names.end(), names.begin(), names.end());
  std::ranges::sort(image.given_names);
  const auto repeated = std::ranges::unique(image.given_names);
  image.given_names.erase(repeated.begin(), repeated.end());
}

// Each image once, in the order of the references.
Result<std::vector<Image>> find_all(const Records& records, std::span<const std::string> references) {
  std::vector<Image> images;
  for (const std::string& reference : references) {
    ASSIGN_OR_RETURN(FoundImage found, find_image_and_name(records, reference));
    auto image = std::ranges::find(images, found.image.id, &Image::id);
    if (image == images.end()) image = images.insert(images.end(), std::move(found.image));
    add_names(*image, found.name ? std::vector<std::string>{*found.name} : image->names);
  }
  return images;
}

}  // namespace

Result<PinnedImage> describe_stored(BorrowedFd store, const Image& image) {
  ASSIGN_OR_RETURN(std::string manifest_bytes, read_stored_document(store, image.manifest_digest, "manifest"));
  const std::uint64_t manifest_size = manifest_bytes.size();
  ASSIGN_OR_RETURN(const auto manifest, oci_image::parse_manifest(std::move(manifest_bytes), "manifest"));
  ASSIGN_OR_RETURN(std::string config_bytes, read_stored_document(store, image.config_digest(), "configuration"));
  const std::uint64_t config_size = config_bytes.size();
  ASSIGN_OR_RETURN(const auto config, oci_image::parse_config(std::move(config_bytes), "configuration"));
  if (config.diff_ids.size() != manifest.layers.size())
    return Error(Errc::kCorrupt, "manifest and configuration differ in layers");
  PinnedImage out{
      .image = image,
      .manifest_type = manifest.media_type.empty() ? std::string(oci_image::kMediaTypeManifest) : manifest.media_type,
      .manifest = {image.manifest_digest, manifest_size, "manifest"},
      .config = {image.config_digest(), config_size, "configuration"}};
  const bool sizes = image.layer_bytes.size() == manifest.layers.size();
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const oci_image::Descriptor& layer = manifest.layers[i];
    const std::string what =
        layer_name(i, manifest.layers.size(), {blob_path(layer.digest), config.diff_ids[i], layer.digest, {}});
    out.layers.push_back({.blob = {layer.digest, layer.size_bytes, what}, .diff_id = config.diff_ids[i]});
    if (sizes) out.layers.back().plain_bytes = image.layer_bytes[i];
  }
  return out;
}

Result<CheckedBlob> open_stored(BorrowedFd store, const PinnedBlob& blob, ReadStep step) {
  auto file = sys::openat(store, blob_path(blob.digest), O_RDONLY | O_NOFOLLOW);
  if (!file.ok()) return std::move(file).error().with(blob.what);
  return CheckedBlob(std::move(*file), blob.digest, blob.size_bytes, blob.what, std::move(step));
}

Result<CheckedBlob> Pinned::open(const PinnedBlob& blob, ReadStep step) const {
  ASSIGN_OR_RETURN(UniqueFd file, sys::openat(job_.fd(), pinned_name(blob.digest), O_RDONLY | O_NOFOLLOW));
  return CheckedBlob(std::move(file), blob.digest, blob.size_bytes, blob.what, std::move(step));
}

Status Pinned::pin_blob(BorrowedFd store, const PinnedBlob& blob) {
  Status linked = sys::linkat(store, blob_path(blob.digest), job_.fd(), pinned_name(blob.digest));
  if (!linked.ok() && linked.error().errno_value() == ENOENT)
    return Error(Errc::kNotFound, blob.what + " is missing", ENOENT);
  // Another image has brought it.
  if (!linked.ok() && linked.error().errno_value() != EEXIST) return std::move(linked).error().with(blob.what);
  ASSIGN_OR_RETURN(const struct stat info, sys::fstatat(job_.fd(), pinned_name(blob.digest)));
  if (static_cast<std::uint64_t>(info.st_size) == blob.size_bytes) return {};
  return Error(Errc::kCorrupt, blob.what + " is corrupt: it has " + std::to_string(info.st_size) + " bytes, not " +
                                   std::to_string(blob.size_bytes));
}

Status Pinned::pin(BorrowedFd store, PinnedImage& image) {
  RETURN_IF_ERROR(pin_blob(store, image.manifest));
  RETURN_IF_ERROR(pin_blob(store, image.config));
  for (const PinnedLayer& layer : image.layers) RETURN_IF_ERROR(pin_blob(store, layer.blob));
  return {};
}

Result<Pinned> Pinned::take(BorrowedFd store, std::span<const std::string> references) {
  ASSIGN_OR_RETURN(Job job, Job::create(store));
  Pinned out(std::move(job));
  // Nobody takes an image away between its being found and its being held.
  ASSIGN_OR_RETURN(const io::FileLock guard, take_lock(store, kStoreLock, io::FileLock::Mode::kExclusive));
  ASSIGN_OR_RETURN(const auto images, find_all(Records(store), references));
  for (const Image& image : images) {
    auto described = describe_stored(store, image);
    if (!described.ok()) return reload_hint(std::move(described).error(), image);
    if (Status pinned = out.pin(store, *described); !pinned.ok()) return reload_hint(std::move(pinned).error(), image);
    out.images_.push_back(std::move(*described));
  }
  return out;
}

}  // namespace cooper::image
