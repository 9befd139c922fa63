#include "spec/appc/image_paths.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/strings.h"
#include "codec/json.h"

namespace cooper::spec::appc {
namespace {

using codec::json::Cursor;
using codec::json::Document;

bool is_address(std::string_view text) {
  return text.starts_with("https://") || text.starts_with("http://");
}

// No member but these, each once.
Status check_members(const Cursor& object, std::initializer_list<std::string_view> known) {
  std::set<std::string_view> seen;
  return object.for_each_member([&](std::string_view name, const Cursor& value) -> Status {
    if (std::ranges::find(known, name) == known.end()) return value.error("is not known here");
    return seen.insert(name).second ? Status() : Status(value.error("is there twice"));
  });
}

bool is_closed(std::string_view pattern) {
  int open = 0;
  for (const char c : pattern) {
    if (c == '{') ++open;
    if (c == '}') --open;
    if (open != 0 && open != 1) return false;
  }
  return open == 0;
}

Result<ImagePaths> read_entry(const Cursor& entry, const std::string& file) {
  RETURN_IF_ERROR(check_members(entry, {"prefix", "templates"}));
  ASSIGN_OR_RETURN(const Cursor prefix, entry.require("prefix"));
  ImagePaths out{.prefix = {}, .templates = {}, .file = file};
  ASSIGN_OR_RETURN(out.prefix, prefix.string());
  if (!out.prefix.empty() && !is_ac_identifier(out.prefix))
    return prefix.error("is not the beginning of an image's name");
  ASSIGN_OR_RETURN(const Cursor templates, entry.require("templates"));
  RETURN_IF_ERROR(templates.for_each([&](const Cursor& one) -> Status {
    ASSIGN_OR_RETURN(out.templates.emplace_back(), one.string());
    const std::string& text = out.templates.back();
    if (!text.starts_with('/') && !is_address(text)) return one.error("is neither an absolute path nor an address");
    if (!is_closed(text)) return one.error("has a brace too many or too few");
    return {};
  }));
  if (out.templates.empty()) return templates.error("has no template");
  return out;
}

// Values are what people and servers write: none leads to another directory.
bool is_safe(std::string_view value) {
  return !value.empty() && value != "." && value != ".." && value.find('/') == std::string_view::npos;
}

std::optional<std::string> fill_path(std::string_view pattern, const std::map<std::string, std::string>& values) {
  std::string out;
  while (!pattern.empty()) {
    const std::size_t open = std::min(pattern.find('{'), pattern.size());
    out += pattern.substr(0, open);
    pattern.remove_prefix(open);
    if (pattern.empty()) break;
    const std::size_t close = pattern.find('}');
    const auto found = values.find(std::string(pattern.substr(1, close - 1)));
    if (found == values.end()) return std::nullopt;
    out += found->second;
    pattern.remove_prefix(close + 1);
  }
  return out;
}

}  // namespace

Result<std::vector<ImagePaths>> parse_image_paths(std::string text, const std::string& file) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::move(text), file));
  const Cursor root(document.root(), file);
  RETURN_IF_ERROR(root.expect_object());
  if (const auto kind = root.get("rktKind")) {
    return kind->error("is of rkt, whose files say where its data are", Errc::kUnsupported)
        .with_hint("the data of cooper are where root in cooper.toml or --root says");
  }
  RETURN_IF_ERROR(check_members(root, {"images"}));
  ASSIGN_OR_RETURN(const Cursor images, root.require("images"));
  std::vector<ImagePaths> out;
  RETURN_IF_ERROR(images.for_each([&](const Cursor& entry) -> Status {
    ASSIGN_OR_RETURN(ImagePaths paths, read_entry(entry, file));
    out.push_back(std::move(paths));
    return {};
  }));
  return out;
}

std::vector<const ImagePaths*> paths_about(const std::vector<ImagePaths>& paths, std::string_view name) {
  std::vector<std::string> prefixes = pages_of(name);
  prefixes.emplace_back();
  std::vector<const ImagePaths*> out;
  for (const std::string& prefix : prefixes) {
    for (const ImagePaths& one : paths) {
      if (one.prefix == prefix) out.push_back(&one);
    }
    if (!out.empty()) return out;
  }
  return out;
}

Result<std::optional<ImagePlace>> place_at(const std::string& pattern, const ImageName& name, std::string_view arch) {
  if (is_address(pattern)) {
    auto places = image_places({.images = {{.prefix = "", .value = pattern}}, .keys = {}}, name, arch);
    return places.empty() ? std::optional<ImagePlace>() : std::optional(std::move(places.front()));
  }
  std::map<std::string, std::string> values = {{"version", "latest"}, {"os", "linux"}, {"arch", std::string(arch)}};
  for (const NameValue& label : name.labels) values.insert_or_assign(label.name, label.value);
  for (const auto& [label, value] : values) {
    if (!is_safe(value) && pattern.find("{" + label + "}") != std::string::npos)
      return Error(Errc::kInvalidArgument, "label " + quoted(label) + " is " + quoted(value) +
                                               ", which cannot be a part of the path " + quoted(pattern));
  }
  values.insert_or_assign("name", name.name);
  values.insert_or_assign("ext", "aci");
  auto image = fill_path(pattern, values);
  values.insert_or_assign("ext", "aci.asc");
  auto signature = fill_path(pattern, values);
  if (!image || !signature) return std::optional<ImagePlace>();
  if (*signature == *image) *signature += ".asc";
  return std::optional(ImagePlace{std::move(*image), std::move(*signature)});
}

}  // namespace cooper::spec::appc
