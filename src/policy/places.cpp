#include "policy/places.h"

#include <algorithm>

#include "base/strings.h"
#include "codec/yaml.h"
#include "io/file.h"
#include "policy/policy.h"
#include "sys/file.h"

namespace cooper::policy {
namespace {

using codec::yaml::Node;

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

Error wrong(const std::string& file, const Node& at, const std::string& message) {
  return Error(Errc::kInvalidArgument, file + ": line " + std::to_string(at.line) + ": " + message);
}

Result<PlaceSection> parse_section(const Node& at, const std::string& file, const std::string& name) {
  if (at.kind == Node::Kind::kNull) return PlaceSection{.file = file};
  if (at.kind != Node::Kind::kMapping) return wrong(file, at, quoted(name) + " must be a mapping");
  PlaceSection out{.file = file};
  // The older name of the same thing, for files that have only that.
  for (const std::string_view key : {"sigstore", "lookaside"}) {
    const Node* url = at.find(key);
    if (url == nullptr || url->kind == Node::Kind::kNull) continue;
    const bool known =
        url->kind == Node::Kind::kScalar &&
        (url->text.starts_with("file:///") || url->text.starts_with("https://") || url->text.starts_with("http://"));
    if (!known) return wrong(file, *url, quoted(key) + " must be a file://, http:// or https:// URL");
    out.lookaside = url->text;
  }
  if (const Node* use = at.find("use-sigstore-attachments"); use != nullptr && use->kind != Node::Kind::kNull) {
    if (use->text != "true" && use->text != "false")
      return wrong(file, *use, "'use-sigstore-attachments' must be true or false");
    out.sigstore_attachments = use->text == "true";
  }
  return out;
}

}  // namespace

Status add_places(PlacesConfig& config, std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const Node root, codec::yaml::parse(text, file));
  if (root.kind == Node::Kind::kNull) return {};
  if (root.kind != Node::Kind::kMapping) return wrong(file, root, "must be a mapping");
  if (const Node* standard = root.find("default-docker"); standard != nullptr && standard->kind != Node::Kind::kNull) {
    if (config.standard)
      return wrong(file, *standard, "'default-docker' is in " + quoted(config.standard->file) + ", too");
    ASSIGN_OR_RETURN(config.standard, parse_section(*standard, file, "default-docker"));
  }
  const Node* docker = root.find("docker");
  if (docker == nullptr || docker->kind == Node::Kind::kNull) return {};
  if (docker->kind != Node::Kind::kMapping) return wrong(file, *docker, "'docker' must be a mapping");
  for (const auto& [scope, value] : docker->members) {
    ASSIGN_OR_RETURN(PlaceSection section, parse_section(value, file, scope));
    const auto [at, added] = config.docker.emplace(registry_scope(scope), std::move(section));
    if (!added) return wrong(file, value, quoted(scope) + " is in " + quoted(at->second.file) + ", too");
  }
  return {};
}

Result<PlacesConfig> read_places(const std::string& directory) {
  PlacesConfig out;
  const auto fd = sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY);
  if (!fd.ok() && fd.error().code() == Errc::kNotFound) return out;
  if (!fd.ok()) return Error(fd.error().code(), fd.error().message(), fd.error().errno_value());
  ASSIGN_OR_RETURN(auto names, sys::list_directory(*fd));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    if (!name.ends_with(".yaml")) continue;
    const std::string path = directory + "/" + name;
    ASSIGN_OR_RETURN(const std::string text, io::read_regular_file(path, kMaxFileBytes));
    RETURN_IF_ERROR(add_places(out, text, path));
  }
  return out;
}

Result<Places> find_places(const PlacesConfig& config, const oci_image::Reference& reference,
                           const std::string& standard_lookaside) {
  std::vector<const PlaceSection*> sections;
  for (const std::string& scope : registry_subject(reference).scopes) {
    if (const auto found = config.docker.find(scope); found != config.docker.end()) sections.push_back(&found->second);
  }
  std::string base = sections.empty() && !config.standard ? standard_lookaside : "";
  if (config.standard) sections.push_back(&*config.standard);
  Places out;
  for (const PlaceSection* section : sections) {
    if (!base.empty()) break;
    base = section->lookaside;
  }
  for (const PlaceSection* section : sections) {
    if (!section->sigstore_attachments) continue;
    out.sigstore_attachments = *section->sigstore_attachments;
    break;
  }
  while (base.ends_with('/')) base.pop_back();
  if (!base.empty()) out.lookaside = base + "/" + reference.repository;
  return out;
}

}  // namespace cooper::policy
