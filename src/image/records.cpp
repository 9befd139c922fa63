#include "image/internal/records.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "codec/json.h"
#include "image/internal/paths.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using codec::json::Cursor;
using codec::json::Document;
using codec::json::Writer;

constexpr int kVersion = 1;
constexpr std::size_t kMaxRecordBytes = std::size_t{4} << 20;

Result<Digest> digest_member(const Cursor& root, std::string_view name) {
  ASSIGN_OR_RETURN(const Cursor member, root.require(name));
  ASSIGN_OR_RETURN(const std::string text, member.string());
  return Digest::parse(text);
}

void print_aci(Writer& writer, const Aci& aci) {
  writer.key("aci").begin_object().field("name", aci.name).field("manifest", aci.manifest.str());
  writer.key("labels").begin_array();
  for (const appc::NameValue& label : aci.labels)
    writer.begin_object().field("name", label.name).field("value", label.value).end_object();
  writer.end_array().key("dependencies").begin_array();
  for (const Digest& id : aci.dependencies) writer.string(id.str());
  writer.end_array().end_object();
}

Result<std::vector<Digest>> read_digests(const Cursor& object, std::string_view name) {
  std::vector<std::string> texts;
  RETURN_IF_ERROR(object.read(name, texts));
  std::vector<Digest> out;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(Digest digest, Digest::parse(text));
    out.push_back(std::move(digest));
  }
  return out;
}

Result<Aci> read_aci(const Cursor& object) {
  RETURN_IF_ERROR(object.expect_object());
  ASSIGN_OR_RETURN(Digest manifest, digest_member(object, "manifest"));
  Aci aci{.name = {}, .labels = {}, .manifest = std::move(manifest), .dependencies = {}};
  RETURN_IF_ERROR(object.read("name", aci.name));
  if (const auto labels = object.get("labels")) {
    const auto add = [&](const Cursor& element) -> Status {
      RETURN_IF_ERROR(element.expect_object());
      appc::NameValue label;
      RETURN_IF_ERROR(element.read("name", label.name));
      RETURN_IF_ERROR(element.read("value", label.value));
      aci.labels.push_back(std::move(label));
      return {};
    };
    RETURN_IF_ERROR(labels->for_each(add));
  }
  ASSIGN_OR_RETURN(aci.dependencies, read_digests(object, "dependencies"));
  return aci;
}

Status check_version(const Cursor& root) {
  RETURN_IF_ERROR(root.expect_object());
  int version = 0;
  RETURN_IF_ERROR(root.read("version", version));
  if (version == kVersion) return {};
  return root.error("format version " + std::to_string(version) + " is not known to this program", Errc::kUnsupported);
}

std::string print_name(const std::string& name, const Digest& id) {
  Writer writer;
  writer.begin_object().field("version", kVersion).field("name", name).field("image", id.str()).end_object();
  return writer.take();
}

Result<Digest> parse_name(std::string text) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::move(text), "name record"));
  const Cursor root(document.root(), "name record");
  RETURN_IF_ERROR(check_version(root));
  return digest_member(root, "image");
}

// Sizes that cannot be those of the layers count as none.
Status read_layer_bytes(const Cursor& root, Image& image) {
  const auto sizes = root.get("layer_bytes");
  if (!sizes) return {};
  std::uint64_t total = 0;
  Status read = sizes->for_each([&](const Cursor& element) -> Status {
    ASSIGN_OR_RETURN(const auto bytes, element.integer<std::uint64_t>());
    image.layer_bytes.push_back(bytes);
    total += bytes;
    return {};
  });
  RETURN_IF_ERROR(std::move(read));
  if (image.layer_bytes.size() != image.layers.size() || total != image.size_bytes) image.layer_bytes.clear();
  return {};
}

bool is_missing(const Error& error) {
  return error.errno_value() == ENOENT;
}

}  // namespace

std::string print_record(const Image& image) {
  Writer writer;
  writer.begin_object()
      .field("version", kVersion)
      .field("id", image.id.str())
      .field("manifest", image.manifest_digest.str());
  if (image.index_digest) writer.field("index", image.index_digest->str());
  if (image.config) writer.field("config", image.config->str());
  if (image.aci) print_aci(writer, *image.aci);
  writer.field("chain", image.chain).field("created", image.created).field("size_bytes", image.size_bytes);
  writer.field("loaded_unix_ms", image.loaded_unix_ms);
  writer.key("layers").begin_array();
  for (const Digest& layer : image.layers) writer.string(layer.str());
  writer.end_array();
  if (!image.layer_bytes.empty()) {
    writer.key("layer_bytes").begin_array();
    for (const std::uint64_t bytes : image.layer_bytes) writer.number(bytes);
    writer.end_array();
  }
  if (!image.digest_names.empty()) writer.field("digest_names", image.digest_names);
  writer.field("names", image.names).end_object();
  return writer.take();
}

Result<Image> parse_record(std::string text) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::move(text), "image record"));
  const Cursor root(document.root(), "image record");
  RETURN_IF_ERROR(check_version(root));
  ASSIGN_OR_RETURN(Digest id, digest_member(root, "id"));
  ASSIGN_OR_RETURN(Digest manifest, digest_member(root, "manifest"));
  Image image{.id = std::move(id), .manifest_digest = std::move(manifest)};
  if (root.get("index")) {
    ASSIGN_OR_RETURN(image.index_digest, digest_member(root, "index"));
  }
  if (root.get("config")) {
    ASSIGN_OR_RETURN(image.config, digest_member(root, "config"));
  }
  if (const auto aci = root.get("aci")) {
    ASSIGN_OR_RETURN(image.aci, read_aci(*aci));
  }
  RETURN_IF_ERROR(root.read("chain", image.chain));
  RETURN_IF_ERROR(check_chain(image.chain));
  RETURN_IF_ERROR(root.read("created", image.created));
  RETURN_IF_ERROR(root.read("size_bytes", image.size_bytes));
  RETURN_IF_ERROR(root.read("loaded_unix_ms", image.loaded_unix_ms));
  RETURN_IF_ERROR(root.read("names", image.names));
  RETURN_IF_ERROR(root.read("digest_names", image.digest_names));
  ASSIGN_OR_RETURN(image.layers, read_digests(root, "layers"));
  RETURN_IF_ERROR(read_layer_bytes(root, image));
  return image;
}

Result<std::optional<Image>> Records::read_record(const Digest& id) const {
  auto text = io::read_file(store_, image_record_path(id), kMaxRecordBytes);
  if (!text.ok()) {
    if (is_missing(text.error())) return std::optional<Image>();
    return std::move(text).error();
  }
  auto image = parse_record(std::move(*text));
  if (!image.ok()) {
    if (image.error().code() == Errc::kUnsupported) return std::move(image).error().with("image " + id.str());
    return std::optional<Image>();
  }
  if (image->id != id) return std::optional<Image>();
  return std::optional(std::move(*image));
}

Result<std::vector<std::string>> Records::own_names(const std::vector<std::string>& listed, const Digest& id) const {
  std::vector<std::string> own;
  for (const std::string& candidate : listed) {
    ASSIGN_OR_RETURN(const auto owner, name(candidate));
    if (owner == id) own.push_back(candidate);
  }
  return own;
}

Result<std::optional<Image>> Records::image(const Digest& id) const {
  ASSIGN_OR_RETURN(std::optional<Image> image, read_record(id));
  if (!image) return image;
  ASSIGN_OR_RETURN(image->names, own_names(image->names, id));
  return image;
}

Result<std::optional<Digest>> Records::name(const std::string& name) const {
  auto text = io::read_file(store_, name_record_path(name), kMaxRecordBytes);
  if (!text.ok()) {
    if (is_missing(text.error()) || text.error().errno_value() == ENAMETOOLONG) return std::optional<Digest>();
    return std::move(text).error();
  }
  auto id = parse_name(std::move(*text));
  if (!id.ok()) {
    if (id.error().code() == Errc::kUnsupported) return std::move(id).error().with("name " + quoted(name));
    return std::optional<Digest>();
  }
  return std::optional(std::move(*id));
}

Result<std::vector<std::string>> Records::names() const {
  ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(store_, kNamesDir, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const auto files, sys::list_directory(dir));
  std::vector<std::string> names;
  for (const std::string& file : files) {
    if (!file.starts_with('.')) names.push_back(name_of_record(file));
  }
  return names;
}

Result<std::vector<Digest>> Records::ids_with_prefix(std::string_view hex) const {
  if (ids_) {
    std::vector<Digest> ids;
    for (const std::string_view algorithm : {"sha256:", "sha512:"}) {
      auto at = std::ranges::lower_bound(*ids_, std::string(algorithm).append(hex), {}, &Digest::str);
      for (; at != ids_->end() && at->str().starts_with(algorithm) && at->hex().starts_with(hex); ++at)
        ids.push_back(*at);
    }
    return ids;
  }
  ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(store_, kImagesDir, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const auto files, sys::list_directory(dir));
  std::vector<Digest> ids;
  for (const std::string& file : files) {
    const auto id = Digest::parse(file);
    if (id.ok() && id->hex().starts_with(hex)) ids.push_back(*id);
  }
  std::ranges::sort(ids);
  return ids;
}

Result<std::vector<Image>> Records::images() const {
  ASSIGN_OR_RETURN(const auto existing, names());
  ASSIGN_OR_RETURN(const auto ids, ids_with_prefix(""));
  const std::set<std::string, std::less<>> existing_names(existing.begin(), existing.end());
  std::map<std::string, int, std::less<>> claims;
  std::vector<Image> images;
  for (const Digest& id : ids) {
    ASSIGN_OR_RETURN(auto image, read_record(id));
    if (!image) continue;
    std::erase_if(image->names, [&](const std::string& name) { return !existing_names.contains(name); });
    for (const std::string& name : image->names) ++claims[name];
    images.push_back(std::move(*image));
  }
  // Only a name that two records claim (a crash while it moved) needs a look at its own file.
  for (Image& image : images) {
    const bool disputed = std::ranges::any_of(image.names, [&](const std::string& name) { return claims[name] > 1; });
    if (!disputed) continue;
    ASSIGN_OR_RETURN(image.names, own_names(image.names, image.id));
  }
  return images;
}

Status Records::put_image(const Image& image) {
  return io::write_file_atomic(store_, image_record_path(image.id), print_record(image), 0600, io::Durability::kFsync);
}

Status Records::put_name(const std::string& name, const Digest& id) {
  ASSIGN_OR_RETURN(const auto before, this->name(name));
  ASSIGN_OR_RETURN(auto owner, read_record(id));
  if (!owner) return Error(Errc::kNotFound, "image " + id.str() + " is not in the store");
  // Order: the record lists the name before the name's own file says so, and stops listing it afterwards.
  if (std::ranges::find(owner->names, name) == owner->names.end()) {
    owner->names.push_back(name);
    std::ranges::sort(owner->names);
    RETURN_IF_ERROR(put_image(*owner));
  }
  if (before == id) return {};
  RETURN_IF_ERROR(
      io::write_file_atomic(store_, name_record_path(name), print_name(name, id), 0600, io::Durability::kFsync));
  if (!before) return {};
  ASSIGN_OR_RETURN(auto former, read_record(*before));
  if (former && std::erase(former->names, name) != 0) RETURN_IF_ERROR(put_image(*former));
  return {};
}

Status Records::remove_name(const std::string& name) {
  ASSIGN_OR_RETURN(const auto owner, this->name(name));
  RETURN_IF_ERROR(drop_name(name));
  if (!owner) return {};
  ASSIGN_OR_RETURN(auto image, read_record(*owner));
  if (image && std::erase(image->names, name) != 0) RETURN_IF_ERROR(put_image(*image));
  return {};
}

Status Records::drop_name(const std::string& name) {
  Status removed = sys::unlinkat(store_, name_record_path(name));
  if (!removed.ok() && !is_missing(removed.error())) return removed;
  return {};
}

Status Records::remove_image(const Digest& id) {
  if (ids_) ids_->erase(id);
  Status removed = sys::unlinkat(store_, image_record_path(id));
  if (!removed.ok() && !is_missing(removed.error())) return removed;
  return {};
}

Status Records::remember_ids() {
  ASSIGN_OR_RETURN(const auto ids, ids_with_prefix(""));
  ids_.emplace(ids.begin(), ids.end());
  return {};
}

Status Records::flush() {
  for (const char* path : {kNamesDir, kImagesDir}) {
    ASSIGN_OR_RETURN(const UniqueFd dir, sys::openat(store_, path, O_RDONLY | O_DIRECTORY));
    RETURN_IF_ERROR(sys::fsync(dir));
  }
  return {};
}

}  // namespace cooper::image
