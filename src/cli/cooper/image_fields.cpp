#include "cli/cooper/image_fields.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "cli/cooper/time_text.h"

namespace cooper::cli {
namespace {

using codec::json::Document;
using codec::json::Writer;
using image::Image;

constexpr std::array<TemplateField, 13> kListFields = {{{"ID", "IMAGE ID"},
                                                        {"Repository"},
                                                        {"Tag"},
                                                        {"Name"},
                                                        {"Digest"},
                                                        {"Created"},
                                                        {"CreatedSince", "CREATED"},
                                                        {"CreatedAt", "CREATED AT"},
                                                        {"ImportTime", "IMPORT TIME"},
                                                        {"LastUsed", "LAST USED"},
                                                        {"Size"},
                                                        {"SizeBytes", "SIZE"},
                                                        {"Names"}}};
constexpr std::array<TemplateField, 14> kInspectFields = {{{"Id"},
                                                           {"Digest"},
                                                           {"RepoTags"},
                                                           {"RepoDigests"},
                                                           {"Created"},
                                                           {"Author"},
                                                           {"Architecture"},
                                                           {"Os"},
                                                           {"Variant"},
                                                           {"Size"},
                                                           {"Config"},
                                                           {"Labels"},
                                                           {"RootFS"},
                                                           {"Layers"}}};

struct RktField {
  std::string_view word, field;
};
constexpr std::array<RktField, 5> kRktFields = {
    {{"id", "ID"}, {"name", "Name"}, {"size", "Size"}, {"importtime", "ImportTime"}, {"lastused", "LastUsed"}}};

std::string name_of_digest(const std::string& name, const Digest& digest) {
  return std::string(split_name(name).first) + "@" + digest.str();
}

Result<Document> list_record(const Image& image, const std::string& name, bool full) {
  const auto created = parse_rfc3339_ns(image.created);
  const bool known = created && *created > 0;
  const std::string age = known ? print_age((now_unix_ns() - *created) / 1'000'000) + " ago" : "-";
  const auto [repository, tag] = split_name(name);
  Writer out;
  out.begin_object().field("ID", full ? image.id.str() : std::string(image.id.hex().substr(0, 12)));
  out.field("Repository", repository).field("Tag", tag).field("Name", name);
  out.field("Digest", image.manifest_digest.str()).field("Created", age).field("CreatedSince", age);
  out.field("CreatedAt", known ? image.created : "-").field("ImportTime", print_rfc3339_ms(image.loaded_unix_ms));
  out.field("LastUsed", image.last_used_unix_ms == 0 ? "-" : print_rfc3339_ms(image.last_used_unix_ms));
  out.field("Size", format_bytes(image.size_bytes)).field("SizeBytes", image.size_bytes).field("Names", image.names);
  return Document::parse(out.end_object().take(), "image");
}

void write_set(Writer& out, std::string_view name, const std::vector<std::string>& names) {
  out.key(name).begin_object();
  for (const std::string& one : names) out.key(one).begin_object().end_object();
  out.end_object();
}

void write_labels(Writer& out, const oci_image::ImageConfig& config) {
  out.key("Labels").begin_object();
  for (const auto& [key, value] : config.labels) out.field(key, value);
  out.end_object();
}

}  // namespace

std::pair<std::string_view, std::string_view> split_name(std::string_view name) {
  const std::size_t colon = name.rfind(':');
  if (colon == std::string_view::npos || name.find('/', colon) != std::string_view::npos) return {name, ""};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

std::string repository_of(const std::string& digest_name) {
  return digest_name.substr(0, digest_name.find('@'));
}

bool is_nameless(const Image& image) {
  return image.names.empty() && image.digest_names.empty();
}

std::vector<std::string> in_place_of_names(const Image& image) {
  if (is_nameless(image)) return {"<none>:<none>"};
  std::vector<std::string> shown;
  for (const std::string& name : image.digest_names) shown.push_back(repository_of(name) + ":<none>");
  shown.erase(std::ranges::unique(shown).begin(), shown.end());
  return shown;
}

std::span<const TemplateField> list_fields() {
  return kListFields;
}

Result<std::vector<Document>> list_records(const std::vector<Image>& images, bool full) {
  std::vector<Document> out;
  for (const Image& image : images) {
    for (const std::string& name : image.names.empty() ? in_place_of_names(image) : image.names) {
      ASSIGN_OR_RETURN(Document record, list_record(image, name, full));
      out.push_back(std::move(record));
    }
  }
  return out;
}

Result<std::string> template_of_fields(const std::string& fields) {
  std::string out;
  for (const std::string_view word : split(fields, ',')) {
    const auto found = std::ranges::find(kRktFields, word, &RktField::word);
    if (found == kRktFields.end())
      return Error(Errc::kInvalidArgument, "--fields: there is no field " + quoted(word))
          .with_hint("use id, name, size, importtime and lastused, with commas between them");
    out += (out.empty() ? "table {{." : "\\t{{.") + std::string(found->field) + "}}";
  }
  return out;
}

std::span<const TemplateField> inspect_fields() {
  return kInspectFields;
}

Result<Document> inspect_record(const image::Store& store, const Image& image) {
  ASSIGN_OR_RETURN(const oci_image::ImageConfig config, store.config(image));
  std::vector<std::string> digests = image.digest_names;
  for (const std::string& name : image.names) {
    const std::string digest = name_of_digest(name, image.manifest_digest);
    if (std::ranges::find(digests, digest) == digests.end()) digests.push_back(digest);
  }
  Writer out;
  out.begin_object().field("Id", image.id.str()).field("Digest", image.manifest_digest.str());
  out.field("RepoTags", image.names).field("RepoDigests", digests).field("Created", image.created);
  out.field("Author", config.author).field("Architecture", config.platform.architecture);
  out.field("Os", config.platform.os).field("Variant", config.platform.variant).field("Size", image.size_bytes);
  out.key("Config").begin_object().field("User", config.user).field("Env", config.env);
  out.field("Entrypoint", config.entrypoint).field("Cmd", config.cmd).field("WorkingDir", config.working_dir);
  out.field("StopSignal", config.stop_signal);
  write_set(out, "ExposedPorts", config.exposed_ports);
  write_set(out, "Volumes", config.volumes);
  write_labels(out, config);
  out.end_object();
  write_labels(out, config);
  std::vector<std::string> layers;
  for (const Digest& layer : config.diff_ids) layers.push_back(layer.str());
  out.key("RootFS").begin_object().field("Type", "layers").field("Layers", layers).end_object();
  out.field("Layers", layers);
  return Document::parse(out.end_object().take(), "image");
}

}  // namespace cooper::cli
