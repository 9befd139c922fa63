// Reading and validating image documents. Input is hostile: bounded in size, every field typed, and a document that
// reads as two things at once is refused. Errors name `what` and the JSON pointer of the offending value.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"
#include "spec/oci_image/types.h"

namespace cooper::spec::oci_image {

// Larger documents are refused with Errc::kLimit (registries and the distribution specification use the same limit).
inline constexpr std::size_t kMaxDocumentBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxLayers = 1000;
inline constexpr std::size_t kMaxHistory = 10'000;
// Each is a directory and a mount of every container; people have a handful.
inline constexpr std::size_t kMaxVolumes = 1000;
inline constexpr std::size_t kMaxVariables = 10'000;

enum class DocumentKind { kIndex, kManifest };
// What a document is, by its mediaType or, without one, by its members. Errc::kUnsupported for docker's schema 1,
// Errc::kInvalidArgument for anything that is neither or both.
Result<DocumentKind> document_kind(std::string text, std::string_view what);

Result<Index> parse_index(std::string text, std::string_view what);
// artifact_type is filled when the manifest is no runnable image: its artifactType, or else a foreign config media
// type.
Result<Manifest> parse_manifest(std::string text, std::string_view what);
Result<ImageConfig> parse_config(std::string text, std::string_view what);

// manifest.json of docker-archive.
Result<std::vector<DockerArchiveEntry>> parse_docker_archive_manifest(std::string text, std::string_view what);
// {"imageLayoutVersion":"1.0.0"}: Errc::kUnsupported for another major version.
Status check_layout_file(std::string text, std::string_view what);

}  // namespace cooper::spec::oci_image
