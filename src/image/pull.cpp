// `image pull`: from a registry, through cooper-fetch.
#include <algorithm>
#include <map>

#include "base/strings.h"
#include "codec/digest.h"
#include "image/internal/cleanup.h"
#include "image/internal/find.h"
#include "image/internal/intake.h"
#include "image/internal/job.h"
#include "image/internal/load.h"
#include "image/internal/paths.h"
#include "image/internal/plan.h"
#include "image/internal/records.h"
#include "image/internal/staging.h"
#include "image/internal/trees.h"
#include "log/log.h"
#include "spec/oci_image/parse.h"
#include "spec/oci_image/platform.h"
#include "spec/oci_image/print.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using oci_image::Descriptor;

// A layer while it arrives.
class ArrivingLayer final : public codec::ByteSource {
 public:
  ArrivingLayer(fetch::Client& client, std::size_t transfer) : client_(client), transfer_(transfer) {}
  Result<std::size_t> read(std::span<char> buffer) override {
    ASSIGN_OR_RETURN(const std::size_t n, client_.read(transfer_, offset_, buffer));
    offset_ += n;
    return n;
  }

 private:
  fetch::Client& client_;
  std::size_t transfer_;
  std::uint64_t offset_ = 0;
};

// A layer that is in the store; reading it can be interrupted like reading from a registry.
class StoredLayer final : public codec::ByteSource {
 public:
  StoredLayer(const fetch::Client& client, SourceFile file) : client_(client), range_(std::move(file)) {}
  Result<std::size_t> read(std::span<char> buffer) override {
    RETURN_IF_ERROR(client_.check_cancelled());
    return range_.read(buffer);
  }

 private:
  const fetch::Client& client_;
  FileRange range_;
};

class Puller {
 public:
  Puller(BorrowedFd store, const PullOptions& options, fetch::Client& client)
      : store_(store), options_(options), client_(client) {}
  Result<PullResult> run();

 private:
  Result<Descriptor> top();
  Result<std::string> read(const Descriptor& descriptor, DocumentRole role, const std::string& what);
  Result<std::vector<OpenLayer>> open_layers(const ImagePlan& plan);
  Result<OpenLayer> open_layer(const Descriptor& layer, std::map<Digest, std::size_t>& transfers);

  BorrowedFd store_;
  const PullOptions& options_;
  fetch::Client& client_;
  std::optional<Staging> staging_;
  std::map<Digest, std::string> documents_;
  PullResult result_{.image = {.id = codec::digest_of(""), .manifest_digest = codec::digest_of("")}};
};

// What the reference names, whose bytes are kept for read().
Result<Descriptor> Puller::top() {
  const oci_image::Reference& reference = options_.reference;
  const std::string wanted = reference.digest        ? reference.digest->str()
                             : reference.tag.empty() ? std::string(oci_image::kDefaultTag)
                                                     : reference.tag;
  ASSIGN_OR_RETURN(fetch::Client::Document document, client_.manifest(wanted, oci_image::kMaxDocumentBytes));
  Digest digest = codec::digest_of(document.bytes);
  if (reference.digest) {
    RETURN_IF_ERROR(codec::check_digest(document.bytes, *reference.digest, "manifest " + wanted));
    digest = *reference.digest;
  }
  Descriptor out{.media_type = std::move(document.media_type),
                 .digest = digest,
                 .size_bytes = document.bytes.size(),
                 .annotations = {},
                 .platform = {}};
  documents_.insert_or_assign(std::move(digest), std::move(document.bytes));
  return out;
}

Result<std::string> Puller::read(const Descriptor& descriptor, DocumentRole role, const std::string& what) {
  if (const auto known = documents_.find(descriptor.digest); known != documents_.end()) return known->second;
  // A stored document that is damaged is fetched again.
  if (auto stored = read_stored_document(store_, descriptor.digest, what); stored.ok()) return stored;
  if (role == DocumentRole::kManifest) {
    ASSIGN_OR_RETURN(auto document, client_.manifest(descriptor.digest.str(), descriptor.size_bytes));
    return std::move(document.bytes);
  }
  ASSIGN_OR_RETURN(auto document, client_.document(descriptor.digest, descriptor.size_bytes));
  return std::move(document.bytes);
}

Result<OpenLayer> Puller::open_layer(const Descriptor& layer, std::map<Digest, std::size_t>& transfers) {
  OpenLayer out{.input = {}, .bytes = layer.size_bytes};
  const auto same = transfers.find(layer.digest);
  if (same != transfers.end()) {
    // Images do have one layer twice.
    out.input.source = std::make_unique<ArrivingLayer>(client_, same->second);
    return out;
  }
  ASSIGN_OR_RETURN(const bool stored, staging_->pin_blob(layer.digest, layer.size_bytes));
  if (stored) {
    ASSIGN_OR_RETURN(UniqueFd file, sys::openat(store_, blob_path(layer.digest), O_RDONLY | O_NOFOLLOW));
    const BorrowedFd fd = file.borrow();
    out.input.source = std::make_unique<StoredLayer>(client_, SourceFile{std::move(file), fd, 0, layer.size_bytes});
    return out;
  }
  ASSIGN_OR_RETURN(auto blob, staging_->new_blob());
  const std::size_t transfer = client_.begin(layer.digest, layer.size_bytes, std::move(blob.file));
  transfers.emplace(layer.digest, transfer);
  out.input.source = std::make_unique<ArrivingLayer>(client_, transfer);
  out.blob = blob.number;
  ++result_.fetched_layers;
  result_.fetched_bytes += layer.size_bytes;
  return out;
}

Result<std::vector<OpenLayer>> Puller::open_layers(const ImagePlan& plan) {
  std::map<Digest, std::size_t> transfers;
  std::vector<OpenLayer> layers;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const LayerPlan& layer = plan.layers[i];
    ASSIGN_OR_RETURN(OpenLayer open, open_layer({.media_type = {},
                                                 .digest = *layer.digest,
                                                 .size_bytes = *layer.size_bytes,
                                                 .annotations = {},
                                                 .platform = {}},
                                                transfers));
    open.input.what = layer_name(i, plan.layers.size(), layer);
    open.input.digest = layer.digest;
    open.input.size_bytes = layer.size_bytes;
    open.input.diff_id = layer.diff_id;
    layers.push_back(std::move(open));
  }
  return layers;
}

Result<PullResult> Puller::run() {
  // What killed pulls left behind may be large; not to find it is no reason to fail.
  (void)!remove_stale_jobs(store_).ok();
  ASSIGN_OR_RETURN(Staging staging, Staging::create(store_));
  staging_.emplace(std::move(staging));
  ASSIGN_OR_RETURN(const Descriptor descriptor, top());
  const ReadDocument reader = [this](const Descriptor& wanted, DocumentRole role, const std::string& what) {
    return read(wanted, role, what);
  };
  AdmitManifest admit;
  if (options_.admit) {
    admit = [this](std::string_view manifest, const Digest& digest) {
      return options_.admit(manifest, digest, client_);
    };
  }
  ASSIGN_OR_RETURN(ImagePlan plan, plan_image(reader, descriptor,
                                              options_.platform.value_or(oci_image::host_platform()), "image", admit));
  const oci_image::Reference& reference = options_.reference;
  const bool by_digest = reference.digest && reference.tag.empty();
  if (!by_digest) plan.names = {reference.name()};
  ASSIGN_OR_RETURN(const auto known, already_there(store_, plan));
  result_.was_there = known.has_value();
  ASSIGN_OR_RETURN(Image image, take_in(
                                    store_, *staging_, plan, [&] { return open_layers(plan); }, IntakeProgress()));
  if (by_digest) image.digest_names = {reference.registry + "/" + reference.repository + "@" + reference.digest->str()};
  std::vector<Image> images = {std::move(image)};
  RETURN_IF_ERROR(staging_->commit(images));
  result_.image = std::move(images.front());
  return std::move(result_);
}

// The image, when it is named by a digest and is here whole.
Result<std::optional<Image>> known_by_digest(BorrowedFd store, const oci_image::Reference& reference) {
  if (!reference.digest || !reference.tag.empty()) return std::optional<Image>();
  auto image = find_image(Records(store), reference.str());
  if (!image.ok()) return std::optional<Image>();
  bool whole = Trees(store).exists(image->chain);
  for (const Digest& blob : blobs_of(*image)) whole = whole && sys::fstatat(store, blob_path(blob)).ok();
  if (!whole) return std::optional<Image>();
  return std::optional(std::move(*image));
}

}  // namespace

Result<PullResult> pull_image(BorrowedFd store, const PullOptions& options, const StartFetch& start) {
  const auto context = [&](Error error) { return std::move(error).with("pull " + quoted(options.reference.str())); };
  if (!options.platform && !options.admit) {
    ASSIGN_OR_RETURN(auto known, known_by_digest(store, options.reference));
    if (known) return PullResult{.image = std::move(*known), .was_there = true};
  }
  auto client = start(FetchFrom::kMirrorsToo);
  if (!client.ok()) return context(std::move(client).error());
  auto pulled = Puller(store, options, **client).run();
  if (!pulled.ok() && pulled.error().code() == Errc::kCorrupt && (*client)->mirror_was_wrong()) {
    // What was unpacked while it came cannot be taken back piece by piece.
    log::warning(pulled.error().message() + "; once more, from the registry itself");
    client = start(FetchFrom::kRegistryAlone);
    if (!client.ok()) return context(std::move(client).error());
    pulled = Puller(store, options, **client).run();
  }
  if (!pulled.ok()) return context(std::move(pulled).error());
  return pulled;
}

}  // namespace cooper::image
