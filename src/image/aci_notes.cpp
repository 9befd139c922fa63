// What an OCI image says that an ACI cannot, kept in annotations of its manifest: health checks, shells, triggers,
// history, ranges of ports, variants of processors, annotations.
#include <algorithm>
#include <set>

#include "base/strings.h"
#include "codec/json.h"
#include "image/internal/aci.h"
#include "spec/appc/names.h"
#include "spec/oci_image/parse.h"
#include "spec/oci_image/platform.h"

namespace cooper::image {
namespace {

using codec::json::Cursor;
using codec::json::Document;
using codec::json::Writer;

// Of one note; the manifest with all of them must stay readable.
constexpr std::size_t kMaxNoteBytes = std::size_t{1} << 20;

// Without the layers, which an ACI has not.
Result<std::string> without_layers(const std::string& config_bytes) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(config_bytes, "configuration"));
  Writer out;
  out.begin_object();
  for (std::size_t i = 0; i < document.root().size(); ++i) {
    const auto [name, value] = document.root().member(i);
    if (name != "rootfs") out.key(name).value(value);
  }
  out.key("rootfs").begin_object().field("type", "layers").key("diff_ids").begin_array().end_array().end_object();
  out.end_object();
  return out.take();
}

// "8000-8002/tcp" as the ports it stands for.
std::multiset<std::string> expanded(const std::vector<std::string>& ports) {
  std::multiset<std::string> out;
  for (const std::string& text : ports) {
    const auto range = read_ports(text);
    if (!range) continue;
    for (unsigned i = 0; i < range->count; ++i) out.insert(std::to_string(range->first + i) + "/" + range->protocol);
  }
  return out;
}

}  // namespace

std::optional<PortRange> read_ports(std::string_view text) {
  const auto parts = split_once(text, '/').value_or(std::pair(text, std::string_view("tcp")));
  const auto ends = split_once(parts.first, '-').value_or(std::pair(parts.first, parts.first));
  const auto first = parse_number<std::uint16_t>(ends.first);
  const auto last = parse_number<std::uint16_t>(ends.second);
  if (!first || !last || *first == 0 || *last < *first || (parts.second != "tcp" && parts.second != "udp"))
    return std::nullopt;
  return PortRange{*first, static_cast<std::uint16_t>(*last - *first + 1), std::string(parts.second)};
}

void add_notes(const std::string& config_bytes, const std::map<std::string, std::string>& annotations,
               appc::ImageManifest& out) {
  auto config = without_layers(config_bytes);
  if (config.ok() && config->size() <= kMaxNoteBytes)
    out.annotations.push_back({std::string(kConfigNote), std::move(*config)});
  if (annotations.empty()) return;
  Writer writer;
  writer.begin_object();
  for (const auto& [key, value] : annotations) writer.field(key, value);
  writer.end_object();
  std::string text = writer.take();
  if (text.size() <= kMaxNoteBytes) out.annotations.push_back({std::string(kAnnotationsNote), std::move(text)});
}

Noted read_notes(const appc::ImageManifest& manifest) {
  Noted out;
  if (const auto note = appc::find_value(manifest.annotations, kConfigNote)) {
    auto config = oci_image::parse_config(*note, kConfigNote);
    if (config.ok()) {
      out.config_bytes = *note;
      out.config = std::move(*config);
    }
  }
  if (const auto note = appc::find_value(manifest.annotations, kAnnotationsNote)) {
    const auto document = Document::parse(*note, kAnnotationsNote);
    for (std::size_t i = 0; document.ok() && i < document->root().size(); ++i) {
      const auto [name, value] = document->root().member(i);
      if (value.type() == codec::json::Type::kString) out.annotations[std::string(name)] = value.as_string();
    }
  }
  return out;
}

void apply_notes(const Noted& noted, const appc::ImageManifest& manifest, oci_image::ImageConfig& config) {
  if (noted.config_bytes.empty()) return;
  if (expanded(noted.config.exposed_ports) == expanded(config.exposed_ports))
    config.exposed_ports = noted.config.exposed_ports;
  const oci_image::Platform platform = oci_image::normalize(noted.config.platform);
  const auto arch = appc::arch_of({platform.architecture, platform.variant});
  if (arch && appc::find_value(manifest.labels, "arch") == arch && config.platform.os == platform.os)
    config.platform = noted.config.platform;
  config.history = noted.config.history;
  for (oci_image::History& step : config.history) step.empty_layer = true;
}

}  // namespace cooper::image
