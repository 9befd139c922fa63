// `image push`: to a registry, through cooper-fetch.
#include <algorithm>
#include <string>
#include <vector>

#include "base/strings.h"
#include "image/internal/load.h"
#include "image/internal/paths.h"
#include "image/internal/pinned.h"
#include "image/internal/records.h"
#include "spec/oci_image/reference.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

// One blob of the image, with its file: that stays when the image is removed meanwhile.
struct StoredBlob {
  PinnedBlob blob;
  UniqueFd file;
  std::string from = {};    // a repository of the registry that may have it
  std::size_t check = 0;    // transfer
  std::size_t sending = 0;  // transfer, when it is not there
  bool sent = false;
};

class Pusher {
 public:
  Pusher(BorrowedFd store, const PushOptions& options) : store_(store), options_(options) {}
  // What needs no registry.
  Status prepare();
  Result<PushResult> run(fetch::Client& client);

 private:
  Status open_blob(const PinnedBlob& blob);
  Status open_blobs(const PinnedImage& image);
  // Other names of this registry, whose images have blobs of this one.
  void find_other_repositories();
  // Its size and digest are right. Cancelled like a transfer.
  Status check_blob(const fetch::Client& client, const StoredBlob& stored) const;

  BorrowedFd store_;
  const PushOptions& options_;
  std::string manifest_;
  std::string media_type_;
  std::vector<StoredBlob> blobs_;
};

Status Pusher::open_blob(const PinnedBlob& blob) {
  const auto same = [&](const StoredBlob& other) { return other.blob.digest == blob.digest; };
  // Images do have one layer twice.
  if (std::ranges::any_of(blobs_, same)) return {};
  auto file = sys::openat(store_, blob_path(blob.digest), O_RDONLY | O_NOFOLLOW);
  if (!file.ok()) return std::move(file).error().with(blob.what);
  blobs_.push_back({.blob = blob, .file = std::move(*file)});
  return {};
}

Status Pusher::open_blobs(const PinnedImage& image) {
  for (const PinnedLayer& layer : image.layers) RETURN_IF_ERROR(open_blob(layer.blob));
  return open_blob(image.config);
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
        const Digest& digest = blob.blob.digest;
        const bool has =
            digest == image.config_digest() || std::ranges::find(image.layers, digest) != image.layers.end();
        if (has && blob.from.empty()) blob.from = other->repository;
      }
    }
  }
}

Status Pusher::prepare() {
  const Image& image = options_.image;
  const auto& wanted = options_.destination.digest;
  if (wanted && *wanted != image.manifest_digest) {
    return Error(Errc::kInvalidArgument, "the manifest of the image is " + image.manifest_digest.str())
        .with_hint("give a tag instead of a digest");
  }
  auto described = describe_stored(store_, image);
  if (!described.ok()) return reload_hint(std::move(described).error(), image);
  auto manifest = read_stored_document(store_, image.manifest_digest, "manifest");
  if (!manifest.ok()) return reload_hint(std::move(manifest).error(), image);
  manifest_ = std::move(*manifest);
  media_type_ = described->manifest_type;
  if (Status opened = open_blobs(*described); !opened.ok()) return reload_hint(std::move(opened).error(), image);
  find_other_repositories();
  return {};
}

Status Pusher::check_blob(const fetch::Client& client, const StoredBlob& stored) const {
  // Both descriptors have one place in the file; what is sent is read from places that are named.
  ASSIGN_OR_RETURN(UniqueFd file, sys::dup_cloexec(stored.file));
  const PinnedBlob& blob = stored.blob;
  CheckedBlob checked(std::move(file), blob.digest, blob.size_bytes, blob.what,
                      [&](std::uint64_t) { return client.check_cancelled(); });
  if (Status status = checked.drain(); !status.ok()) return reload_hint(std::move(status).error(), options_.image);
  return {};
}

Result<PushResult> Pusher::run(fetch::Client& client) {
  PushResult result{.manifest_digest = options_.image.manifest_digest};
  for (StoredBlob& it : blobs_) it.check = client.begin_check(it.blob.digest, it.blob.size_bytes);
  for (StoredBlob& it : blobs_) {
    ASSIGN_OR_RETURN(const bool present, client.present(it.check));
    if (present) continue;
    // While one is checked those before it are on their way.
    RETURN_IF_ERROR(check_blob(client, it));
    it.sending = client.begin_send(it.blob.digest, it.blob.size_bytes, std::move(it.file), it.from);
    it.sent = true;
  }
  for (const StoredBlob& it : blobs_) {
    if (!it.sent) continue;
    ASSIGN_OR_RETURN(const bool present, client.present(it.sending));
    if (present) continue;
    ++result.sent_blobs;
    result.sent_bytes += it.blob.size_bytes;
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
