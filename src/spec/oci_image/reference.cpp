#include "spec/oci_image/reference.h"

#include <algorithm>

#include "base/chars.h"
#include "base/strings.h"

namespace cooper::spec::oci_image {
namespace {

Error bad(std::string_view text, std::string_view why) {
  return Error(Errc::kInvalidArgument, "image name " + quoted(text) + " " + std::string(why));
}

// [a-z0-9]+ separated by one of: ".", "_", "__", dashes.
bool valid_component(std::string_view text) {
  std::size_t at = 0;
  while (true) {
    const std::size_t word = at;
    while (at < text.size() && is_lower_alnum(text[at])) ++at;
    if (at == word) return false;
    if (at == text.size()) return true;
    if (text[at] == '-') {
      while (at < text.size() && text[at] == '-') ++at;
    } else if (text[at] == '_') {
      at += text.substr(at).starts_with("__") ? 2 : 1;
    } else if (text[at] == '.') {
      ++at;
    } else {
      return false;
    }
  }
}

bool valid_tag(std::string_view text) {
  if (text.empty() || text.size() > 128 || !(is_alnum(text[0]) || text[0] == '_')) return false;
  return std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

bool valid_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 && std::ranges::all_of(text, is_digit);
}

bool valid_host(std::string_view text) {
  for (const std::string_view label : split(text, '.')) {
    if (label.empty() || !is_alnum(label.front()) || !is_alnum(label.back())) return false;
    if (!std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-'; })) return false;
  }
  return true;
}

bool valid_registry(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    const std::string_view address = text.substr(1, end - 1);
    if (!std::ranges::all_of(address, [](char c) { return is_hex(c) || c == ':'; })) return false;
    const std::string_view rest = text.substr(end + 1);
    return rest.empty() || (rest[0] == ':' && valid_port(rest.substr(1)));
  }
  const auto host_port = split_once(text, ':');
  if (!host_port) return valid_host(text);
  return valid_host(host_port->first) && valid_port(host_port->second);
}

bool looks_like_registry(std::string_view component) {
  return component == kLocalRegistry || component.find_first_of(".:[") != std::string_view::npos ||
         std::ranges::any_of(component, is_upper);
}

// What would be taken for the id of an image, or its beginning: "sha256:1234", "sha512-<128 digits>", "<64 digits>".
bool reads_as_id(const Reference& reference, std::string_view repository) {
  const std::size_t slash = repository.rfind('/');
  const std::string_view last = slash == std::string_view::npos ? repository : repository.substr(slash + 1);
  if (last == "sha256" || last == "sha512") return true;
  const bool digits_alone = reference.registry.empty() && slash == std::string_view::npos;
  if (digits_alone && (last.size() == 64 || last.size() == 128) && all_lower_hex(last)) return true;
  return last.size() == 7 + 128 && last.starts_with("sha512-") && all_lower_hex(last.substr(7));
}

// What other things are written like, so that the message is about them and not about a bad registry.
Status check_is_name(std::string_view text, std::string_view rest) {
  if (rest.empty()) return bad(text, "is empty");
  for (const std::string_view scheme : {std::string_view("https://"), std::string_view("http://")}) {
    if (rest.starts_with(scheme))
      return bad(text, "is an address").with_hint("leave out " + quoted(scheme) + ": a name is REGISTRY[:PORT]/NAME");
  }
  if (rest.starts_with('/') || rest.starts_with("./") || rest.starts_with("../"))
    return bad(text, "is the path of a file")
        .with_hint("an image file is run by cooper run, an archive is loaded first");
  return {};
}

}  // namespace

std::string Reference::str() const {
  std::string out = registry.empty() ? repository : registry + "/" + repository;
  if (!tag.empty()) out += ":" + tag;
  if (digest) out += "@" + digest->str();
  return out;
}

std::string Reference::name() const {
  std::string out = registry.empty() ? repository : registry + "/" + repository;
  return out + ":" + (tag.empty() ? std::string(kDefaultTag) : tag);
}

Result<Reference> parse_reference(std::string_view text) {
  if (text.empty()) return Error(Errc::kInvalidArgument, "image name is empty");
  Reference out;
  std::string_view rest = text;
  if (rest.starts_with(kDockerScheme)) rest.remove_prefix(kDockerScheme.size());
  RETURN_IF_ERROR(check_is_name(text, rest));
  if (const auto parts = split_once(rest, '@')) {
    auto digest = Digest::parse(parts->second);
    if (!digest.ok()) return bad(text, "has a bad digest: " + digest.error().message());
    out.digest = std::move(digest).value();
    rest = parts->first;
  }
  if (const auto parts = split_once(rest, '/'); parts && looks_like_registry(parts->first)) {
    if (!valid_registry(parts->first)) return bad(text, "has a bad registry " + quoted(parts->first));
    // Hosts are the same in capitals: one name for each, so that whatever is said of it holds.
    out.registry = to_lower(parts->first);
    if (!looks_like_registry(out.registry)) {
      return bad(text, "has a registry that only its capitals tell from a repository: name its port, too, as in " +
                           quoted(out.registry + ":443"));
    }
    rest = parts->second;
  }
  if (const std::size_t colon = rest.rfind(':');
      colon != std::string_view::npos && rest.find('/', colon) == std::string_view::npos) {
    const std::string_view tag = rest.substr(colon + 1);
    if (!valid_tag(tag)) return bad(text, "has a bad tag " + quoted(tag));
    out.tag = tag;
    rest = rest.substr(0, colon);
  }
  for (const std::string_view component : split(rest, '/')) {
    if (valid_component(component)) continue;
    const bool upper = std::ranges::any_of(component, is_upper);
    return bad(text, upper ? "must be lower case" : "has a bad component " + quoted(component));
  }
  if (reads_as_id(out, rest)) return bad(text, "is written like the id of an image, which no name may be");
  out.repository = rest;
  if (out.registry == "index.docker.io") out.registry = kDockerHub;
  if (out.registry == kDockerHub && out.repository.find('/') == std::string::npos) out.repository.insert(0, "library/");
  if (out.name().size() > kMaxNameBytes) return bad(text, "is longer than " + std::to_string(kMaxNameBytes) + " bytes");
  return out;
}

Reference qualify(Reference reference, std::string_view registry) {
  if (!reference.registry.empty()) return reference;
  reference.registry = registry;
  if (registry == kDockerHub && reference.repository.find('/') == std::string::npos)
    reference.repository.insert(0, "library/");
  return reference;
}

std::vector<Reference> candidates(const Reference& reference) {
  if (!reference.registry.empty()) return {reference};
  return {qualify(reference, kLocalRegistry), qualify(reference, kDockerHub)};
}

}  // namespace cooper::spec::oci_image
