// Media types of the OCI image specification 1.1 and of docker's schema 2, and what cooper does with a layer of each.
#pragma once

#include <string_view>

#include "base/error.h"

namespace cooper::spec::oci_image {

inline constexpr std::string_view kMediaTypeIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kMediaTypeManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kMediaTypeConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kMediaTypeLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kMediaTypeLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kMediaTypeLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kMediaTypeDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kMediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kMediaTypeDockerConfig = "application/vnd.docker.container.image.v1+json";

inline constexpr std::string_view kAnnotationRefName = "org.opencontainers.image.ref.name";
inline constexpr std::string_view kAnnotationContainerdName = "io.containerd.image.name";
// buildkit's mark on attestation manifests ("attestation-manifest").
inline constexpr std::string_view kAnnotationDockerReferenceType = "vnd.docker.reference.type";

bool is_index_media_type(std::string_view media_type);
bool is_manifest_media_type(std::string_view media_type);
bool is_image_config_media_type(std::string_view media_type);
// Ok for file system layers as tar (compression is found by the bytes, not by the name). Errc::kUnsupported with the
// reason for encrypted and foreign (nondistributable) layers and for anything else.
Status check_layer_media_type(std::string_view media_type);

// The specification's own word for a layer that check_layer_media_type() accepts.
std::string_view oci_layer_media_type(std::string_view media_type);

}  // namespace cooper::spec::oci_image
