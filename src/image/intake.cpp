#include "image/internal/intake.h"

#include <algorithm>
#include <chrono>

#include "base/strings.h"
#include "codec/digest.h"
#include "image/internal/cleanup.h"
#include "image/internal/paths.h"
#include "image/internal/records.h"
#include "image/internal/trees.h"
#include "log/log.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/print.h"
#include "sys/file.h"
#include "userns/enter.h"

namespace cooper::image {
namespace {

constexpr std::size_t kMaxTimeBytes = 64;

std::int64_t now_unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

Result<std::vector<LayerOutput>> read_layers(BorrowedFd store, Staging& staging, const std::string& chain,
                                             const OpenLayers& open, const Progress& progress) {
  ASSIGN_OR_RETURN(auto layers, open());
  std::vector<LayerInput> inputs;
  for (OpenLayer& layer : layers) {
    inputs.push_back(std::move(layer.input));
    inputs.back().likely_bytes = layer.bytes;
  }
  const LayerProgress show = show_layers(progress, inputs);
  std::optional<TreeBuilder> builder;
  UniqueFd rootfs;
  if (!Trees(store).exists(chain) && !staging.has_tree(chain)) {
    ASSIGN_OR_RETURN(rootfs, staging.new_tree(chain));
    builder.emplace(rootfs);
    builder->allow_giving_up();
  }
  ASSIGN_OR_RETURN(auto outputs, process_layers(std::move(inputs), builder ? &*builder : nullptr, show, store));
  if (builder && builder->given_up()) {
    staging.drop_tree(chain);
    log::warning("the image is stored, but not unpacked: " + builder->given_up()->message() + " (" +
                 builder->given_up()->hint() + ")");
  } else if (builder) {
    RETURN_IF_ERROR(staging.seal_tree(chain, *builder));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (layers[i].blob) RETURN_IF_ERROR(staging.keep_blob(*layers[i].blob, outputs[i].digest));
  }
  return outputs;
}

}  // namespace

std::string_view layer_media_type(codec::Compression compression) {
  switch (compression) {
    case codec::Compression::kGzip:
      return oci_image::kMediaTypeLayerGzip;
    case codec::Compression::kZstd:
      return oci_image::kMediaTypeLayerZstd;
    default:
      return oci_image::kMediaTypeLayer;
  }
}

std::string layer_name(std::size_t index, std::size_t count, const LayerPlan& layer) {
  return "layer " + std::to_string(index + 1) + " of " + std::to_string(count) + " (" +
         (layer.digest ? layer.digest->str() : quoted(layer.file)) + ")";
}

bool has_all_bytes(BorrowedFd store, const Image& image) {
  // In a user namespace an image may be one that cannot be unpacked there.
  const bool unpacked = Trees(store).exists(image.chain) || userns::is_inside();
  return unpacked && std::ranges::all_of(blobs_of(image),
                                         [&](const Digest& blob) { return sys::fstatat(store, blob_path(blob)).ok(); });
}

namespace {

// What a power cut leaves of a blob is most often shorter. That costs one look; reading them all is for verify().
bool have_their_sizes(BorrowedFd store, const ImagePlan& plan) {
  return std::ranges::all_of(plan.layers, [&](const LayerPlan& layer) {
    if (!layer.digest || !layer.size_bytes) return true;
    const auto info = sys::fstatat(store, blob_path(*layer.digest));
    return info.ok() && static_cast<std::uint64_t>(info->st_size) == *layer.size_bytes;
  });
}

// A manifest that was named by its SHA-512 once keeps that when it comes by a tag.
bool is_manifest_of(const ImagePlan& plan, const Image& image) {
  const Digest named = plan.manifest_digest ? *plan.manifest_digest : codec::digest_of(plan.manifest_bytes);
  if (named == image.manifest_digest) return true;
  return named.algorithm() == "sha256" && image.manifest_digest.algorithm() == "sha512" &&
         codec::digest_of(plan.manifest_bytes, codec::Hasher::Algorithm::kSha512) == image.manifest_digest;
}

}  // namespace

Result<std::optional<Image>> already_there(BorrowedFd store, const ImagePlan& plan) {
  ASSIGN_OR_RETURN(std::optional<Image> image, Records(store).image(plan.image_id()));
  if (!image) return image;
  if (image->config_digest() != plan.config_digest) return std::optional<Image>();
  // An archive without a manifest brings nothing new when the image is known; another manifest of the same image
  // replaces ours.
  if (!plan.manifest_bytes.empty() && !is_manifest_of(plan, *image)) return std::optional<Image>();
  return has_all_bytes(store, *image) && have_their_sizes(store, plan) ? std::move(image) : std::optional<Image>();
}

Result<bool> pin_image(BorrowedFd store, Staging& staging, const Image& image) {
  for (const Digest& blob : blobs_of(image)) {
    const auto info = sys::fstatat(store, blob_path(blob));
    if (!info.ok()) return false;
    ASSIGN_OR_RETURN(const bool there, staging.pin_blob(blob, static_cast<std::uint64_t>(info->st_size)));
    if (!there) return false;
  }
  return true;
}

Result<Image> take_in(BorrowedFd store, Staging& staging, const ImagePlan& plan, const OpenLayers& open,
                      const Progress& progress) {
  ASSIGN_OR_RETURN(auto known, already_there(store, plan));
  if (known) {
    ASSIGN_OR_RETURN(const bool pinned, pin_image(store, staging, *known));
    if (pinned) {
      known->names = plan.names;
      return std::move(*known);
    }
  }
  const std::string chain = chain_of(plan.config.diff_ids);
  ASSIGN_OR_RETURN(const auto layers, read_layers(store, staging, chain, open, progress));
  oci_image::Manifest made{.media_type = {},
                           .artifact_type = {},
                           .config = {.media_type = std::string(oci_image::kMediaTypeConfig),
                                      .digest = plan.config_digest,
                                      .size_bytes = plan.config_bytes.size(),
                                      .annotations = {},
                                      .platform = {}},
                           .layers = {},
                           .annotations = plan.annotations};
  Image image{.id = plan.image_id(), .manifest_digest = plan.config_digest};
  if (plan.id) image.config = plan.config_digest;
  for (const LayerOutput& layer : layers) {
    made.layers.push_back({.media_type = std::string(layer_media_type(layer.compression)),
                           .digest = layer.digest,
                           .size_bytes = layer.size_bytes,
                           .annotations = {},
                           .platform = {}});
    image.layers.push_back(layer.digest);
    image.layer_bytes.push_back(layer.plain_bytes);
    image.size_bytes += layer.plain_bytes;
  }
  const std::string manifest = plan.manifest_bytes.empty() ? oci_image::print(made) : plan.manifest_bytes;
  image.manifest_digest = plan.manifest_digest ? *plan.manifest_digest : codec::digest_of(manifest);
  image.index_digest = plan.index_digest;
  // A record stays small; what the configuration says beyond a time is in the configuration.
  if (plan.config.created.size() <= kMaxTimeBytes) image.created = plan.config.created;
  image.loaded_unix_ms = now_unix_ms();
  image.chain = chain;
  image.names = plan.names;
  RETURN_IF_ERROR(staging.add_blob(plan.config_digest, plan.config_bytes));
  RETURN_IF_ERROR(staging.add_blob(image.manifest_digest, manifest));
  return image;
}

}  // namespace cooper::image
