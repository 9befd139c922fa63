#include "spec/appc/parse.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "spec/appc/internal/parse_parts.h"
#include "spec/appc/names.h"

namespace cooper::spec::appc {
namespace {

using codec::json::Cursor;
using codec::json::Document;

constexpr std::string_view kKind = "ImageManifest";

Status check_annotation(const Cursor& cursor, const NameValue& annotation) {
  if (annotation.name == "created" && !is_time(annotation.value))
    return cursor.error("created " + quoted(annotation.value) + " is not a time of RFC 3339");
  const bool is_address = annotation.name == "homepage" || annotation.name == "documentation";
  if (is_address && !annotation.value.starts_with("http://") && !annotation.value.starts_with("https://"))
    return cursor.error(annotation.name + " " + quoted(annotation.value) + " is not an http or https address");
  return {};
}

Status read_annotations(const Cursor& root, std::vector<NameValue>& out) {
  RETURN_IF_ERROR(read_name_values(root, "annotations", is_ac_identifier, out));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto array = root.get("annotations");
    RETURN_IF_ERROR(check_annotation(array->at(i), out[i]));
  }
  return {};
}

Status read_labels(const Cursor& parent, std::vector<NameValue>& out) {
  RETURN_IF_ERROR(read_name_values(parent, "labels", is_ac_identifier, out));
  const auto array = parent.get("labels");
  if (!array) return {};
  if (find_value(out, "name")) return array->error("a label cannot be called \"name\"");
  const Status known = check_platform_labels(find_value(out, "os").value_or(""), find_value(out, "arch").value_or(""));
  return known.ok() ? ok_status() : Status(array->error(known.error().message()));
}

Status read_dependency(const Cursor& element, std::vector<Dependency>& out) {
  RETURN_IF_ERROR(element.expect_object());
  Dependency dependency;
  ASSIGN_OR_RETURN(dependency.image_name, required_name(element, "imageName", is_ac_identifier, kIdentifierRule));
  if (const auto id = element.get("imageID")) {
    ASSIGN_OR_RETURN(const std::string text, id->string());
    auto digits = parse_image_id(text);
    if (!digits.ok()) return id->error(digits.error().message());
    dependency.image_id = std::move(*digits);
  }
  RETURN_IF_ERROR(read_labels(element, dependency.labels));
  RETURN_IF_ERROR(element.read("size", dependency.size_bytes));
  out.push_back(std::move(dependency));
  return {};
}

Status read_whitelist(const Cursor& root, std::vector<std::string>& out) {
  return for_each_of(root, "pathWhitelist", [&](const Cursor& element) -> Status {
    ASSIGN_OR_RETURN(std::string path, element.string());
    RETURN_IF_ERROR(check_absolute(element, path));
    out.push_back(std::move(path));
    return {};
  });
}

Status read_version(const Cursor& root, ImageManifest& out) {
  ASSIGN_OR_RETURN(const std::string kind, required_text(root, "acKind"));
  if (kind != kKind) {
    ASSIGN_OR_RETURN(const Cursor member, root.require("acKind"));
    return member.error("kind " + quoted(kind) + " is not " + quoted(kKind));
  }
  ASSIGN_OR_RETURN(out.ac_version,
                   required_name(root, "acVersion", is_semantic_version, "is not a semantic version (as 0.8.11)"));
  return {};
}

}  // namespace

Result<std::string> required_text(const Cursor& object, std::string_view name) {
  ASSIGN_OR_RETURN(const Cursor member, object.require(name));
  ASSIGN_OR_RETURN(std::string text, member.string());
  if (text.empty()) return member.error("is empty");
  return text;
}

Result<std::string> required_name(const Cursor& object, std::string_view name, bool (*is_valid)(std::string_view),
                                  std::string_view rule) {
  ASSIGN_OR_RETURN(std::string text, required_text(object, name));
  if (is_valid(text)) return text;
  ASSIGN_OR_RETURN(const Cursor member, object.require(name));
  return member.error(quoted(text) + " " + std::string(rule));
}

Status read_name_values(const Cursor& parent, std::string_view name, bool (*is_valid)(std::string_view),
                        std::vector<NameValue>& out) {
  std::set<std::string, std::less<>> seen;
  return for_each_of(parent, name, [&](const Cursor& element) -> Status {
    RETURN_IF_ERROR(element.expect_object());
    NameValue pair;
    if (is_valid != nullptr) {
      ASSIGN_OR_RETURN(pair.name, required_name(element, "name", is_valid, kIdentifierRule));
    } else {
      ASSIGN_OR_RETURN(pair.name, required_text(element, "name"));
    }
    RETURN_IF_ERROR(element.read("value", pair.value));
    if (!seen.insert(pair.name).second) return element.error("name " + quoted(pair.name) + " is there twice");
    out.push_back(std::move(pair));
    return {};
  });
}

Status check_absolute(const Cursor& cursor, std::string_view path) {
  if (!path.starts_with('/')) return cursor.error("path " + quoted(path) + " is not absolute");
  const auto parts = split(path, '/');
  if (std::ranges::find(parts, "..") != parts.end()) return cursor.error("path " + quoted(path) + " holds \"..\"");
  return {};
}

Result<ImageManifest> parse_image_manifest(std::string text, std::string_view what) {
  if (text.size() > kMaxManifestBytes)
    return Error(Errc::kLimit, std::string(what) + " is larger than " + format_bytes(kMaxManifestBytes));
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::move(text), what));
  const Cursor root(document.root(), what);
  RETURN_IF_ERROR(root.expect_object());
  ImageManifest out;
  RETURN_IF_ERROR(read_version(root, out));
  ASSIGN_OR_RETURN(out.name, required_name(root, "name", is_ac_identifier, kIdentifierRule));
  RETURN_IF_ERROR(read_labels(root, out.labels));
  if (const auto app = root.get("app")) {
    ASSIGN_OR_RETURN(out.app, read_app(*app));
  }
  RETURN_IF_ERROR(for_each_of(root, "dependencies",
                              [&](const Cursor& element) { return read_dependency(element, out.dependencies); }));
  RETURN_IF_ERROR(read_whitelist(root, out.path_whitelist));
  RETURN_IF_ERROR(read_annotations(root, out.annotations));
  return out;
}

}  // namespace cooper::spec::appc
