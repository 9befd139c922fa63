// `image pull`: from a registry, through cooper-fetch.
#include <poll.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/strings.h"
#include "codec/digest.h"
#include "image/internal/checked_blob.h"
#include "image/internal/cleanup.h"
#include "image/internal/find.h"
#include "image/internal/intake.h"
#include "image/internal/job.h"
#include "image/internal/load.h"
#include "image/internal/partial.h"
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

constexpr int kTurnMs = 100;
// A pull shall do with 64 MiB in all its processes. Compressors take 8 MiB unless they are told otherwise, and those of
// zstd:chunked layers name 32 MiB.
constexpr std::size_t kMaxPullWindowBytes = std::size_t{32} << 20;

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
  // Blobs of the store that are `damaged` are fetched.
  Puller(BorrowedFd store, const PullOptions& options, fetch::Client& client, const std::set<Digest>& damaged)
      : store_(store), options_(options), client_(client), damaged_(damaged) {}
  Result<PullResult> run();
  // What an earlier pull has left was gone on with.
  bool resumed() const { return resumed_; }
  // Adds those of the store that were used and have another digest.
  bool find_damaged(std::set<Digest>& damaged) const;

 private:
  Result<PullResult> run_whole();
  Result<Descriptor> top();
  std::optional<Descriptor> stored_manifest(const Digest& digest);
  Result<std::optional<Descriptor>> unchanged(const std::string& tag);
  Result<Partial> take_turn(const ImagePlan& plan) const;
  Result<std::string> read(const Descriptor& descriptor, DocumentRole role, const std::string& what);
  Result<std::vector<OpenLayer>> open_layers(const ImagePlan& plan);
  Result<OpenLayer> open_layer(const Descriptor& layer, std::map<Digest, std::size_t>& transfers);
  Status open_stored(const Descriptor& layer, OpenLayer& out) const;

  BorrowedFd store_;
  const PullOptions& options_;
  fetch::Client& client_;
  const std::set<Digest>& damaged_;
  std::map<Digest, std::uint64_t> stored_;  // that were used, and their sizes
  std::optional<Staging> staging_;
  std::map<Digest, std::string> documents_;
  bool resumed_ = false;
  PullResult result_{.image = {.id = codec::digest_of(""), .manifest_digest = codec::digest_of("")}};
};

// That image for that platform is what is taken of the index it came from. Where nobody asks for a certain platform,
// one that this machine runs was chosen then already.
bool is_choice_for(BorrowedFd store, const Image& image, const std::optional<oci_image::Platform>& wanted) {
  auto bytes = read_stored_document(store, image.config_digest(), "configuration");
  if (!bytes.ok()) return false;
  const auto config = oci_image::parse_config(std::move(*bytes), "configuration");
  if (!config.ok()) return false;
  return wanted ? oci_image::match_platform(*wanted, config->platform) == 0
                : oci_image::match_configured(oci_image::machine_platform(), config->platform).has_value();
}

// A manifest that is here and right; its bytes are kept for read().
std::optional<Descriptor> Puller::stored_manifest(const Digest& digest) {
  auto bytes = read_stored_document(store_, digest, "manifest");
  if (!bytes.ok()) return std::nullopt;
  Descriptor out{.media_type = {}, .digest = digest, .size_bytes = bytes->size(), .annotations = {}, .platform = {}};
  documents_.insert_or_assign(digest, std::move(*bytes));
  return out;
}

// The manifest that is here, when the registry says that the tag names it, or the index it came from, still.
Result<std::optional<Descriptor>> Puller::unchanged(const std::string& tag) {
  const Records records(store_);
  ASSIGN_OR_RETURN(const auto id, records.name(options_.reference.name()));
  if (!id) return std::optional<Descriptor>();
  ASSIGN_OR_RETURN(const auto image, records.image(*id));
  if (!image || !has_all_bytes(store_, *image)) return std::optional<Descriptor>();
  auto manifest = stored_manifest(image->manifest_digest);
  if (!manifest) return std::optional<Descriptor>();
  ASSIGN_OR_RETURN(const auto named, client_.digest(tag));
  const bool same = named == image->manifest_digest ||
                    (named && named == image->index_digest && is_choice_for(store_, *image, options_.platform));
  return same ? std::move(manifest) : std::optional<Descriptor>();
}

// Of what no registry has answered: a login page, or a web server at the wrong port.
Status check_no_page(std::string_view bytes, const std::string& what) {
  const std::size_t first = bytes.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || bytes[first] != '<') return {};
  return Error(Errc::kCorrupt, what + " is a web page")
      .with_hint("what answers is no registry, or asks for a login: check the host and the port");
}

// What the reference names, whose bytes are kept for read().
Result<Descriptor> Puller::top() {
  const oci_image::Reference& reference = options_.reference;
  const std::string wanted = reference.digest        ? reference.digest->str()
                             : reference.tag.empty() ? std::string(oci_image::kDefaultTag)
                                                     : reference.tag;
  if (!reference.digest) {
    ASSIGN_OR_RETURN(auto here, unchanged(wanted));
    if (here) return std::move(*here);
  } else if (options_.mend) {
    if (auto here = stored_manifest(*reference.digest)) return std::move(*here);
  }
  ASSIGN_OR_RETURN(fetch::Client::Document document, client_.manifest(wanted, oci_image::kMaxDocumentBytes));
  Digest digest = codec::digest_of(document.bytes);
  if (reference.digest) {
    RETURN_IF_ERROR(codec::check_digest(document.bytes, *reference.digest, "manifest " + wanted));
    digest = *reference.digest;
  }
  RETURN_IF_ERROR(check_no_page(document.bytes, "manifest " + wanted));
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

Status Puller::open_stored(const Descriptor& layer, OpenLayer& out) const {
  ASSIGN_OR_RETURN(UniqueFd file, staging_->open_blob(layer.digest));
  const BorrowedFd fd = file.borrow();
  out.input.source = std::make_unique<StoredLayer>(client_, SourceFile{std::move(file), fd, 0, layer.size_bytes});
  return {};
}

Result<OpenLayer> Puller::open_layer(const Descriptor& layer, std::map<Digest, std::size_t>& transfers) {
  OpenLayer out{.input = {}, .bytes = layer.size_bytes};
  const auto same = transfers.find(layer.digest);
  if (same != transfers.end()) {
    // Images do have one layer twice.
    out.input.source = std::make_unique<ArrivingLayer>(client_, same->second);
    return out;
  }
  bool stored = false;
  if (!damaged_.contains(layer.digest)) {
    ASSIGN_OR_RETURN(stored, staging_->pin_blob(layer.digest, layer.size_bytes));
  }
  if (stored) {
    stored_.emplace(layer.digest, layer.size_bytes);
    RETURN_IF_ERROR(open_stored(layer, out));
    return out;
  }
  ASSIGN_OR_RETURN(auto blob, staging_->resumable_blob(layer.digest, layer.size_bytes));
  resumed_ = resumed_ || blob.had_bytes != 0;
  if (blob.had_bytes == layer.size_bytes) {
    // All of it came, and it was not checked any more: it is now, like one that arrives.
    RETURN_IF_ERROR(staging_->keep_blob(blob.number, layer.digest));
    RETURN_IF_ERROR(open_stored(layer, out));
    return out;
  }
  const std::size_t transfer = client_.begin(layer.digest, layer.size_bytes, std::move(blob.file), blob.had_bytes);
  transfers.emplace(layer.digest, transfer);
  out.input.source = std::make_unique<ArrivingLayer>(client_, transfer);
  out.blob = blob.number;
  ++result_.fetched_layers;
  result_.fetched_bytes += layer.size_bytes - blob.had_bytes;
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
    open.input.max_window_bytes = kMaxPullWindowBytes;
    layers.push_back(std::move(open));
  }
  return layers;
}

bool Puller::find_damaged(std::set<Digest>& damaged) const {
  const std::size_t before = damaged.size();
  for (const auto& [digest, size_bytes] : stored_) {
    auto file = sys::openat(store_, blob_path(digest), O_RDONLY | O_NOFOLLOW);
    const bool right =
        file.ok() && CheckedBlob(std::move(*file), digest, size_bytes, "layer " + digest.str(), {}).drain().ok();
    if (!right) damaged.insert(digest);
  }
  return damaged.size() != before;
}

// Of the pulls of one image the first fetches it; others find it there, or what is left of it.
Result<Partial> Puller::take_turn(const ImagePlan& plan) const {
  const Digest manifest = plan.manifest_digest ? *plan.manifest_digest : codec::digest_of(plan.manifest_bytes);
  for (bool told = false;; told = true) {
    ASSIGN_OR_RETURN(auto turn, Partial::open(store_, manifest, 0));
    if (turn) return std::move(*turn);
    if (!told) log::info("another pull of " + quoted(options_.reference.str()) + " is at work: waiting for its end");
    (void)::poll(nullptr, 0, kTurnMs);
    RETURN_IF_ERROR(client_.check_cancelled());
  }
}

// What came until a transfer failed is right as far as anybody knows; without a failed transfer something else is
// wrong.
bool is_worth_keeping(const Error& error, const fetch::Client& client) {
  return client.transfers_failed() && error.code() != Errc::kCorrupt && error.code() != Errc::kNoSpace;
}

Result<PullResult> Puller::run() {
  auto pulled = run_whole();
  if (!pulled.ok() && staging_ && !is_worth_keeping(pulled.error(), client_)) staging_->forget_partials();
  return pulled;
}

Result<PullResult> Puller::run_whole() {
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
  const oci_image::Platform platform =
      options_.mend ? oci_image::Platform() : options_.platform.value_or(oci_image::machine_platform());
  ASSIGN_OR_RETURN(ImagePlan plan, plan_image(reader, descriptor, platform, "image", admit));
  const oci_image::Reference& reference = options_.reference;
  const bool by_digest = reference.digest && reference.tag.empty();
  if (!by_digest && !options_.mend) plan.names = {reference.name()};
  ASSIGN_OR_RETURN(const Partial turn, take_turn(plan));
  ASSIGN_OR_RETURN(const auto known, already_there(store_, plan));
  result_.was_there = known.has_value();
  ASSIGN_OR_RETURN(Image image, take_in(
                                    store_, *staging_, plan, [&] { return open_layers(plan); }, Progress()));
  if (by_digest && !options_.mend)
    image.digest_names = {reference.registry + "/" + reference.repository + "@" + reference.digest->str()};
  std::vector<Image> images = {std::move(image)};
  RETURN_IF_ERROR(staging_->commit(images));
  // Not before: this pull may have been for the oldest of them.
  (void)!remove_old_partials(store_, partials_old_before_unix_ms(), false).ok();
  result_.image = std::move(images.front());
  return std::move(result_);
}

// The image, when it is named by a digest and is here whole.
Result<std::optional<Image>> known_by_digest(BorrowedFd store, const oci_image::Reference& reference) {
  if (!reference.digest || !reference.tag.empty()) return std::optional<Image>();
  auto image = find_image(Records(store), reference.str());
  if (!image.ok()) return std::optional<Image>();
  if (!has_all_bytes(store, *image)) return std::optional<Image>();
  // The digest is that of an index, of which another image may have been chosen.
  if (image->index_digest == reference.digest && !is_choice_for(store, *image, std::nullopt))
    return std::optional<Image>();
  return std::optional(std::move(*image));
}

}  // namespace

Result<PullResult> pull_image(BorrowedFd store, const PullOptions& options, const StartFetch& start) {
  const auto context = [&](Error error) { return std::move(error).with("pull " + quoted(options.reference.str())); };
  if (!options.platform && !options.admit) {
    ASSIGN_OR_RETURN(auto known, known_by_digest(store, options.reference));
    if (known) return PullResult{.image = std::move(*known), .was_there = true};
  }
  FetchFrom from = FetchFrom::kMirrorsToo;
  bool begun_again = false;
  std::set<Digest> damaged;
  // What was unpacked while it came cannot be taken back piece by piece: wrong bytes mean all of it once more.
  while (true) {
    auto client = start(from);
    if (!client.ok()) return context(std::move(client).error());
    Puller puller(store, options, **client, damaged);
    auto pulled = puller.run();
    if (pulled.ok()) return pulled;
    const bool corrupt = pulled.error().code() == Errc::kCorrupt;
    if (corrupt && puller.resumed() && !begun_again) {
      begun_again = true;
      log::warning(pulled.error().message() + "; once more, without what an earlier pull had left");
    } else if (corrupt && puller.find_damaged(damaged)) {
      log::warning(pulled.error().message() + ", as it is in the store; it is fetched again");
    } else if (corrupt && from == FetchFrom::kMirrorsToo && (*client)->mirror_was_wrong()) {
      from = FetchFrom::kRegistryAlone;
      log::warning(pulled.error().message() + "; once more, from the registry itself");
    } else {
      return context(std::move(pulled).error());
    }
  }
}

}  // namespace cooper::image
