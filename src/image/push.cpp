// `image push`: to a registry, through cooper-fetch.
#include <algorithm>
#include <string>
#include <vector>

#include "base/strings.h"
#include "codec/digest.h"
#include "image/internal/load.h"
#include "image/internal/paths.h"
#include "image/internal/records.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

constexpr std::size_t kReadBytes = std::size_t{256} << 10;

// One blob of the image, with its file: that stays when the image is removed meanwhile.
struct StoredBlob {
  Digest digest;
  std::uint64_t size_bytes = 0;
  UniqueFd file;
  std::string from = {};    // a repository of the registry that may have it
  std::size_t check = 0;    // transfer
  std::size_t sending = 0;  // transfer, when it is not there
  bool sent = false;
};

Error damaged(Error error, const Digest& digest) {
  return std::move(error)
      .with("blob " + digest.str() + " of the store")
      .with_hint("remove the image with cooper image rm, and pull or load it again: its stored bytes are damaged");
}

class Pusher {
 public:
  Pusher(BorrowedFd store, const PushOptions& options) : store_(store), options_(options) {}
  // What needs no registry.
  Status prepare();
  Result<PushResult> run(fetch::Client& client);

 private:
  Status open_blob(const oci_image::Descriptor& descriptor);
  // Other names of this registry, whose images have blobs of this one.
  void find_other_repositories();
  // Its size and digest are right. Cancelled like a transfer.
  Status check_blob(const fetch::Client& client, const StoredBlob& blob) const;

  BorrowedFd store_;
  const PushOptions& options_;
  std::string manifest_;
  std::string media_type_;
  std::vector<StoredBlob> blobs_;
};

Status Pusher::open_blob(const oci_image::Descriptor& descriptor) {
  // Images do have one layer twice.
  if (std::ranges::find(blobs_, descriptor.digest, &StoredBlob::digest) != blobs_.end()) return {};
  auto file = sys::openat(store_, blob_path(descriptor.digest), O_RDONLY | O_NOFOLLOW);
  if (!file.ok()) return damaged(std::move(file).error(), descriptor.digest);
  blobs_.push_back({.digest = descriptor.digest, .size_bytes = descriptor.size_bytes, .file = std::move(*file)});
  return {};
}

void Pusher::find_other_repositories() {
  const oci_image::Reference& ours = options_.destination;
  const auto images = Records(store_).images();
  // It would only have been a shorter way.
  if (!images.ok()) return;
  for (const Image& image : *images) {
    std::vector<std::string> names = image.names;
    names.insert(names.end(), image.digest_names.begin(), image.digest_names.end());
    for (const std::string& name : names) {
      const auto other = oci_image::parse_reference(name);
      if (!other.ok() || other->registry != ours.registry || other->repository == ours.repository) continue;
      for (StoredBlob& blob : blobs_) {
        const bool has = blob.digest == image.id || std::ranges::find(image.layers, blob.digest) != image.layers.end();
        if (has && blob.from.empty()) blob.from = other->repository;
      }
    }
  }
}

Status Pusher::prepare() {
  const Image& image = options_.image;
  ASSIGN_OR_RETURN(manifest_, read_stored_document(store_, image.manifest_digest, "manifest of the image"));
  ASSIGN_OR_RETURN(const oci_image::Manifest manifest, oci_image::parse_manifest(manifest_, "manifest of the image"));
  // Manifests of OCI may leave it out.
  media_type_ = manifest.media_type.empty() ? std::string(oci_image::kMediaTypeManifest) : manifest.media_type;
  const auto& wanted = options_.destination.digest;
  if (wanted && *wanted != image.manifest_digest) {
    return Error(Errc::kInvalidArgument, "the manifest of the image is " + image.manifest_digest.str())
        .with_hint("give a tag instead of a digest");
  }
  for (const oci_image::Descriptor& layer : manifest.layers) RETURN_IF_ERROR(open_blob(layer));
  RETURN_IF_ERROR(open_blob(manifest.config));
  find_other_repositories();
  return {};
}

Status Pusher::check_blob(const fetch::Client& client, const StoredBlob& blob) const {
  codec::Hasher hasher(blob.digest);
  std::vector<char> buffer(kReadBytes);
  std::uint64_t offset = 0;
  while (true) {
    RETURN_IF_ERROR(client.check_cancelled());
    auto n = sys::pread(blob.file, buffer, static_cast<off_t>(offset));
    if (!n.ok()) return damaged(std::move(n).error(), blob.digest);
    if (*n == 0) break;
    hasher.update({buffer.data(), *n});
    offset += *n;
  }
  if (offset != blob.size_bytes) {
    return damaged(
        Error(Errc::kCorrupt, "has " + std::to_string(offset) + " bytes, not " + std::to_string(blob.size_bytes)),
        blob.digest);
  }
  if (const Digest actual = hasher.finish(); actual != blob.digest)
    return damaged(Error(Errc::kCorrupt, "is corrupt: its digest is " + actual.str()), blob.digest);
  return {};
}

Result<PushResult> Pusher::run(fetch::Client& client) {
  PushResult result{.manifest_digest = options_.image.manifest_digest};
  for (StoredBlob& blob : blobs_) blob.check = client.begin_check(blob.digest, blob.size_bytes);
  for (StoredBlob& blob : blobs_) {
    ASSIGN_OR_RETURN(const bool present, client.present(blob.check));
    if (present) continue;
    // While one is checked those before it are on their way.
    RETURN_IF_ERROR(check_blob(client, blob));
    blob.sending = client.begin_send(blob.digest, blob.size_bytes, std::move(blob.file), blob.from);
    blob.sent = true;
  }
  for (const StoredBlob& blob : blobs_) {
    if (!blob.sent) continue;
    ASSIGN_OR_RETURN(const bool present, client.present(blob.sending));
    if (present) continue;
    ++result.sent_blobs;
    result.sent_bytes += blob.size_bytes;
  }
  const oci_image::Reference& to = options_.destination;
  const std::string name = !to.tag.empty() ? to.tag
                           : to.digest     ? to.digest->str()
                                           : std::string(oci_image::kDefaultTag);
  ASSIGN_OR_RETURN(result.was_there, client.send_manifest(name, media_type_, manifest_));
  result.was_there = result.was_there && result.sent_blobs == 0;
  return result;
}

}  // namespace

Result<PushResult> push_image(BorrowedFd store, const PushOptions& options, const StartFetch& start) {
  const auto context = [&](Error error) { return std::move(error).with("push " + quoted(options.destination.str())); };
  Pusher pusher(store, options);
  if (Status prepared = pusher.prepare(); !prepared.ok()) return context(std::move(prepared).error());
  auto client = start(FetchFrom::kRegistryAlone);
  if (!client.ok()) return context(std::move(client).error());
  auto pushed = pusher.run(**client);
  if (!pushed.ok()) return context(std::move(pushed).error());
  return pushed;
}

}  // namespace cooper::image
