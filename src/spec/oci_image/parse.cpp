#include "spec/oci_image/parse.h"

#include "base/strings.h"
#include "codec/json.h"
#include "spec/oci_image/media_types.h"

namespace cooper::spec::oci_image {
namespace {

using codec::json::Cursor;
using codec::json::Document;

Result<Document> parse_document(std::string text, std::string_view what) {
  if (text.size() > kMaxDocumentBytes) {
    return Error(Errc::kLimit, std::string(what) + " is larger than " + format_bytes(kMaxDocumentBytes));
  }
  return Document::parse(std::move(text), what);
}

Result<Digest> read_digest(const Cursor& cursor) {
  ASSIGN_OR_RETURN(const std::string text, cursor.string());
  auto digest = Digest::parse(text);
  if (!digest.ok()) return cursor.error(digest.error().message());
  return digest;
}

Status read_string_map(const Cursor& parent, std::string_view name, std::map<std::string, std::string>& out) {
  const auto object = parent.get(name);
  if (!object) return {};
  return object->for_each_member([&](std::string_view key, const Cursor& value) -> Status {
    ASSIGN_OR_RETURN(out[std::string(key)], value.string());
    return {};
  });
}

// {"80/tcp": {}}: only the keys carry meaning.
Status read_keys(const Cursor& parent, std::string_view name, std::vector<std::string>& out) {
  const auto object = parent.get(name);
  if (!object) return {};
  return object->for_each_member([&](std::string_view key, const Cursor&) -> Status {
    out.emplace_back(key);
    return {};
  });
}

Status read_platform(const Cursor& cursor, Platform& out) {
  RETURN_IF_ERROR(cursor.expect_object());
  RETURN_IF_ERROR(cursor.read("architecture", out.architecture));
  RETURN_IF_ERROR(cursor.read("os", out.os));
  return cursor.read("variant", out.variant);
}

Result<Descriptor> read_descriptor(const Cursor& cursor) {
  RETURN_IF_ERROR(cursor.expect_object());
  ASSIGN_OR_RETURN(const Cursor digest, cursor.require("digest"));
  ASSIGN_OR_RETURN(Digest value, read_digest(digest));
  Descriptor out{.media_type = {}, .digest = std::move(value), .size_bytes = 0, .annotations = {}, .platform = {}};
  RETURN_IF_ERROR(cursor.read("mediaType", out.media_type));
  ASSIGN_OR_RETURN(const Cursor size, cursor.require("size"));
  ASSIGN_OR_RETURN(const std::int64_t bytes, size.integer<std::int64_t>());
  if (bytes < 0) return size.error("a size cannot be negative");
  out.size_bytes = static_cast<std::uint64_t>(bytes);
  RETURN_IF_ERROR(read_string_map(cursor, "annotations", out.annotations));
  if (const auto platform = cursor.get("platform")) {
    out.platform.emplace();
    RETURN_IF_ERROR(read_platform(*platform, *out.platform));
  }
  return out;
}

Status read_descriptors(const Cursor& parent, std::string_view name, std::vector<Descriptor>& out) {
  const auto array = parent.get(name);
  if (!array) return {};
  return array->for_each([&](const Cursor& element) -> Status {
    ASSIGN_OR_RETURN(Descriptor descriptor, read_descriptor(element));
    out.push_back(std::move(descriptor));
    return {};
  });
}

Status check_schema_version(const Cursor& root) {
  const auto version = root.get("schemaVersion");
  if (!version) return root.error("\"schemaVersion\" is missing: this is no image manifest or index");
  ASSIGN_OR_RETURN(const int number, version->integer<int>());
  if (number == 1) {
    return version->error("this is a docker schema 1 manifest", Errc::kUnsupported)
        .with_hint("convert the image first, for example with skopeo copy --format v2s2");
  }
  if (number != 2)
    return version->error("schema version " + std::to_string(number) + " is unknown", Errc::kUnsupported);
  return {};
}

Result<DocumentKind> kind_of(const Cursor& root) {
  RETURN_IF_ERROR(root.expect_object());
  RETURN_IF_ERROR(check_schema_version(root));
  std::string media_type;
  RETURN_IF_ERROR(root.read("mediaType", media_type));
  // A document with the members of both kinds is read as one by some programs and as the other by the rest
  // (CVE-2021-41190).
  const bool has_manifests = root.get("manifests").has_value();
  const bool has_layers = root.get("layers").has_value() || root.get("config").has_value();
  if (has_manifests && has_layers) return root.error("has both \"manifests\" and \"layers\" or \"config\"");
  if (is_index_media_type(media_type) && !has_layers) return DocumentKind::kIndex;
  if (is_manifest_media_type(media_type) && !has_manifests) return DocumentKind::kManifest;
  if (!media_type.empty()) {
    if (has_manifests || has_layers)
      return root.error("media type " + quoted(media_type) + " does not fit the content");
    return root.error("media type " + quoted(media_type) + " is not an image", Errc::kUnsupported);
  }
  if (has_manifests) return DocumentKind::kIndex;
  if (has_layers) return DocumentKind::kManifest;
  return root.error("neither an image manifest nor an index");
}

Status read_history(const Cursor& root, ImageConfig& out) {
  const auto history = root.get("history");
  if (!history) return {};
  return history->for_each([&](const Cursor& element) -> Status {
    if (out.history.size() == kMaxHistory)
      return element.error("more than " + std::to_string(kMaxHistory) + " steps", Errc::kLimit);
    RETURN_IF_ERROR(element.expect_object());
    History entry;
    RETURN_IF_ERROR(element.read("created", entry.created));
    RETURN_IF_ERROR(element.read("created_by", entry.created_by));
    RETURN_IF_ERROR(element.read("comment", entry.comment));
    RETURN_IF_ERROR(element.read("empty_layer", entry.empty_layer));
    out.history.push_back(std::move(entry));
    return {};
  });
}

Status read_container_defaults(const Cursor& root, ImageConfig& out) {
  const auto config = root.get("config");
  if (!config) return {};
  RETURN_IF_ERROR(config->expect_object());
  RETURN_IF_ERROR(config->read("User", out.user));
  RETURN_IF_ERROR(config->read("Env", out.env));
  if (out.env.size() > kMaxVariables)
    return config->error("more than " + std::to_string(kMaxVariables) + " variables in \"Env\"", Errc::kLimit);
  RETURN_IF_ERROR(config->read("Entrypoint", out.entrypoint));
  RETURN_IF_ERROR(config->read("Cmd", out.cmd));
  RETURN_IF_ERROR(config->read("WorkingDir", out.working_dir));
  RETURN_IF_ERROR(config->read("StopSignal", out.stop_signal));
  RETURN_IF_ERROR(read_keys(*config, "ExposedPorts", out.exposed_ports));
  RETURN_IF_ERROR(read_keys(*config, "Volumes", out.volumes));
  if (out.volumes.size() > kMaxVolumes)
    return config->error("more than " + std::to_string(kMaxVolumes) + " volumes", Errc::kLimit);
  return read_string_map(*config, "Labels", out.labels);
}

Status read_rootfs(const Cursor& root, ImageConfig& out) {
  ASSIGN_OR_RETURN(const Cursor rootfs, root.require("rootfs"));
  RETURN_IF_ERROR(rootfs.expect_object());
  std::string type;
  RETURN_IF_ERROR(rootfs.read("type", type));
  if (!type.empty() && type != "layers")
    return rootfs.error("type " + quoted(type) + " is not \"layers\"", Errc::kUnsupported);
  const auto diff_ids = rootfs.get("diff_ids");
  if (!diff_ids) return {};
  return diff_ids->for_each([&](const Cursor& element) -> Status {
    if (out.diff_ids.size() == kMaxLayers)
      return element.error("more than " + std::to_string(kMaxLayers) + " layers", Errc::kLimit);
    ASSIGN_OR_RETURN(Digest digest, read_digest(element));
    out.diff_ids.push_back(std::move(digest));
    return {};
  });
}

Result<DockerArchiveEntry> read_docker_archive_entry(const Cursor& element) {
  RETURN_IF_ERROR(element.expect_object());
  DockerArchiveEntry entry;
  ASSIGN_OR_RETURN(const Cursor config, element.require("Config"));
  ASSIGN_OR_RETURN(entry.config, config.string());
  RETURN_IF_ERROR(element.read("RepoTags", entry.repo_tags));
  RETURN_IF_ERROR(element.read("Layers", entry.layers));
  if (entry.layers.size() > kMaxLayers)
    return element.error("more than " + std::to_string(kMaxLayers) + " layers", Errc::kLimit);
  return entry;
}

}  // namespace

Result<DocumentKind> document_kind(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const Document document, parse_document(std::move(text), what));
  return kind_of(Cursor(document.root(), what));
}

Result<Index> parse_index(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const Document document, parse_document(std::move(text), what));
  const Cursor root(document.root(), what);
  ASSIGN_OR_RETURN(const DocumentKind kind, kind_of(root));
  if (kind != DocumentKind::kIndex) return root.error("is a manifest, not an index");
  Index out;
  RETURN_IF_ERROR(root.read("mediaType", out.media_type));
  RETURN_IF_ERROR(read_descriptors(root, "manifests", out.manifests));
  RETURN_IF_ERROR(read_string_map(root, "annotations", out.annotations));
  return out;
}

Result<Manifest> parse_manifest(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const Document document, parse_document(std::move(text), what));
  const Cursor root(document.root(), what);
  ASSIGN_OR_RETURN(const DocumentKind kind, kind_of(root));
  if (kind != DocumentKind::kManifest) return root.error("is an index, not a manifest");
  ASSIGN_OR_RETURN(const Cursor config, root.require("config"));
  ASSIGN_OR_RETURN(Descriptor config_descriptor, read_descriptor(config));
  Manifest out{
      .media_type = {}, .artifact_type = {}, .config = std::move(config_descriptor), .layers = {}, .annotations = {}};
  RETURN_IF_ERROR(root.read("mediaType", out.media_type));
  RETURN_IF_ERROR(root.read("artifactType", out.artifact_type));
  RETURN_IF_ERROR(read_descriptors(root, "layers", out.layers));
  if (out.layers.size() > kMaxLayers)
    return root.error("more than " + std::to_string(kMaxLayers) + " layers", Errc::kLimit);
  RETURN_IF_ERROR(read_string_map(root, "annotations", out.annotations));
  // An image may name an artifactType too; what decides is whether its configuration is one of an image.
  if (is_image_config_media_type(out.config.media_type)) {
    out.artifact_type.clear();
  } else if (out.artifact_type.empty()) {
    out.artifact_type = out.config.media_type.empty() ? "unknown" : out.config.media_type;
  }
  return out;
}

Result<ImageConfig> parse_config(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const Document document, parse_document(std::move(text), what));
  const Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  ImageConfig out;
  RETURN_IF_ERROR(root.read("created", out.created));
  RETURN_IF_ERROR(root.read("author", out.author));
  RETURN_IF_ERROR(read_platform(root, out.platform));
  RETURN_IF_ERROR(read_container_defaults(root, out));
  RETURN_IF_ERROR(read_rootfs(root, out));
  RETURN_IF_ERROR(read_history(root, out));
  return out;
}

Result<std::vector<DockerArchiveEntry>> parse_docker_archive_manifest(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const Document document, parse_document(std::move(text), what));
  const Cursor root(document.root(), what);
  std::vector<DockerArchiveEntry> out;
  Status read = root.for_each([&](const Cursor& element) -> Status {
    ASSIGN_OR_RETURN(DockerArchiveEntry entry, read_docker_archive_entry(element));
    out.push_back(std::move(entry));
    return {};
  });
  RETURN_IF_ERROR(std::move(read));
  if (out.empty()) return root.error("lists no image");
  return out;
}

Status check_layout_file(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const Document document, parse_document(std::move(text), what));
  const Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  ASSIGN_OR_RETURN(const Cursor version, root.require("imageLayoutVersion"));
  ASSIGN_OR_RETURN(const std::string number, version.string());
  if (!number.starts_with("1."))
    return version.error("layout version " + quoted(number) + " is unknown", Errc::kUnsupported);
  return {};
}

}  // namespace cooper::spec::oci_image
