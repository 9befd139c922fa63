#include "spec/oci_image/print.h"

#include "codec/json.h"
#include "spec/oci_image/media_types.h"

namespace cooper::spec::oci_image {
namespace {

using codec::json::Writer;

void write_map(Writer& writer, std::string_view name, const std::map<std::string, std::string>& map) {
  if (map.empty()) return;
  writer.key(name).begin_object();
  for (const auto& [key, value] : map) writer.field(key, value);
  writer.end_object();
}

void write_keys(Writer& writer, std::string_view name, const std::vector<std::string>& keys) {
  if (keys.empty()) return;
  writer.key(name).begin_object();
  for (const std::string& key : keys) writer.key(key).begin_object().end_object();
  writer.end_object();
}

void write_text(Writer& writer, std::string_view name, const std::string& text) {
  if (!text.empty()) writer.field(name, text);
}

void write_texts(Writer& writer, std::string_view name, const std::vector<std::string>& texts) {
  if (!texts.empty()) writer.field(name, texts);
}

void write_descriptor(Writer& writer, const Descriptor& descriptor) {
  writer.begin_object();
  write_text(writer, "mediaType", descriptor.media_type);
  writer.field("digest", descriptor.digest.str());
  writer.field("size", descriptor.size_bytes);
  write_map(writer, "annotations", descriptor.annotations);
  if (descriptor.platform) {
    writer.key("platform").begin_object();
    writer.field("architecture", descriptor.platform->architecture);
    writer.field("os", descriptor.platform->os);
    write_text(writer, "variant", descriptor.platform->variant);
    writer.end_object();
  }
  writer.end_object();
}

void write_container_defaults(Writer& writer, const ImageConfig& config) {
  writer.key("config").begin_object();
  write_text(writer, "User", config.user);
  write_keys(writer, "ExposedPorts", config.exposed_ports);
  write_texts(writer, "Env", config.env);
  write_texts(writer, "Entrypoint", config.entrypoint);
  write_texts(writer, "Cmd", config.cmd);
  write_keys(writer, "Volumes", config.volumes);
  write_text(writer, "WorkingDir", config.working_dir);
  write_map(writer, "Labels", config.labels);
  write_text(writer, "StopSignal", config.stop_signal);
  writer.end_object();
}

}  // namespace

std::string print(const Index& index) {
  Writer writer;
  writer.begin_object();
  writer.field("schemaVersion", 2);
  writer.field("mediaType", index.media_type.empty() ? std::string(kMediaTypeIndex) : index.media_type);
  writer.key("manifests").begin_array();
  for (const Descriptor& descriptor : index.manifests) write_descriptor(writer, descriptor);
  writer.end_array();
  write_map(writer, "annotations", index.annotations);
  writer.end_object();
  return writer.take();
}

std::string print(const Manifest& manifest) {
  Writer writer;
  writer.begin_object();
  writer.field("schemaVersion", 2);
  writer.field("mediaType", manifest.media_type.empty() ? std::string(kMediaTypeManifest) : manifest.media_type);
  write_text(writer, "artifactType", manifest.artifact_type);
  writer.key("config");
  write_descriptor(writer, manifest.config);
  writer.key("layers").begin_array();
  for (const Descriptor& descriptor : manifest.layers) write_descriptor(writer, descriptor);
  writer.end_array();
  write_map(writer, "annotations", manifest.annotations);
  writer.end_object();
  return writer.take();
}

std::string print(const ImageConfig& config) {
  Writer writer;
  writer.begin_object();
  write_text(writer, "created", config.created);
  write_text(writer, "author", config.author);
  writer.field("architecture", config.platform.architecture);
  writer.field("os", config.platform.os);
  write_text(writer, "variant", config.platform.variant);
  write_container_defaults(writer, config);
  writer.key("rootfs").begin_object().field("type", "layers").key("diff_ids").begin_array();
  for (const Digest& digest : config.diff_ids) writer.string(digest.str());
  writer.end_array().end_object();
  if (!config.history.empty()) {
    writer.key("history").begin_array();
    for (const History& entry : config.history) {
      writer.begin_object();
      write_text(writer, "created", entry.created);
      write_text(writer, "created_by", entry.created_by);
      write_text(writer, "comment", entry.comment);
      if (entry.empty_layer) writer.field("empty_layer", true);
      writer.end_object();
    }
    writer.end_array();
  }
  writer.end_object();
  return writer.take();
}

std::string print(const std::vector<DockerArchiveEntry>& entries) {
  Writer writer;
  writer.begin_array();
  for (const DockerArchiveEntry& entry : entries) {
    writer.begin_object().field("Config", entry.config).key("RepoTags");
    if (entry.repo_tags.empty()) {
      writer.null();
    } else {
      writer.begin_array();
      for (const std::string& tag : entry.repo_tags) writer.string(tag);
      writer.end_array();
    }
    writer.field("Layers", entry.layers).end_object();
  }
  writer.end_array();
  return writer.take();
}

std::string print_docker_repositories(const std::map<std::string, std::map<std::string, std::string>>& repositories) {
  Writer writer;
  writer.begin_object();
  for (const auto& [repository, tags] : repositories) write_map(writer, repository, tags);
  writer.end_object();
  return writer.take();
}

std::string print_layout_file() {
  Writer writer;
  writer.begin_object().field("imageLayoutVersion", "1.0.0").end_object();
  return writer.take();
}

std::string to_string(const Platform& platform) {
  std::string out = platform.os.empty() ? "unknown" : platform.os;
  out += '/';
  out += platform.architecture.empty() ? "unknown" : platform.architecture;
  if (!platform.variant.empty()) out += '/' + platform.variant;
  return out;
}

}  // namespace cooper::spec::oci_image
