#include "spec/oci_image/media_types.h"

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace cooper::spec::oci_image {
namespace {

constexpr std::array<std::string_view, 7> kLayerTypes = {
    kMediaTypeLayer,
    kMediaTypeLayerGzip,
    kMediaTypeLayerZstd,
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.diff.tar+zstd",
};

}  // namespace

bool is_index_media_type(std::string_view media_type) {
  return media_type == kMediaTypeIndex || media_type == kMediaTypeDockerList;
}

bool is_manifest_media_type(std::string_view media_type) {
  return media_type == kMediaTypeManifest || media_type == kMediaTypeDockerManifest;
}

bool is_image_config_media_type(std::string_view media_type) {
  return media_type == kMediaTypeConfig || media_type == kMediaTypeDockerConfig;
}

Status check_layer_media_type(std::string_view media_type) {
  if (std::ranges::find(kLayerTypes, media_type) != kLayerTypes.end()) return {};
  if (media_type.ends_with("+encrypted")) {
    return Error(Errc::kUnsupported, "layer of type " + quoted(media_type) + " is encrypted")
        .with_hint("decrypt the image first, for example with skopeo copy --decryption-key");
  }
  if (media_type.find(".nondistributable.") != std::string_view::npos ||
      media_type.find(".foreign.") != std::string_view::npos) {
    return Error(Errc::kUnsupported,
                 "layer of type " + quoted(media_type) + " is foreign: its bytes are not part of the image")
        .with_hint("only whoever made the layer gives it out: take an image without it, or build one anew");
  }
  return Error(Errc::kUnsupported, "layer of type " + quoted(media_type) + " is not a file system layer");
}

std::string_view oci_layer_media_type(std::string_view media_type) {
  if (media_type.ends_with("gzip")) return kMediaTypeLayerGzip;
  return media_type.ends_with("zstd") ? kMediaTypeLayerZstd : kMediaTypeLayer;
}

}  // namespace cooper::spec::oci_image
