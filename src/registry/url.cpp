#include "registry/url.h"

#include <algorithm>

#include "base/chars.h"
#include "base/percent.h"
#include "base/strings.h"

namespace cooper::registry {
namespace {

constexpr std::size_t kMaxWords = 300;

bool is_host_character(char c) {
  return is_lower_alnum(c) || c == '.' || c == '-' || c == '_';
}

bool is_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    return !host.empty() && std::ranges::all_of(host, [](char c) { return is_lower_hex(c) || c == ':' || c == '.'; });
  }
  return !host.empty() && host.size() <= 255 && std::ranges::all_of(host, is_host_character);
}

unsigned usual_port(std::string_view scheme) {
  return scheme == "https" ? 443 : 80;
}

std::string document_url(std::string_view scheme, const fetch::Endpoint& endpoint, std::string_view kind,
                         std::string_view name) {
  return std::string(scheme) + "://" + endpoint.host + "/v2/" + endpoint.repository + "/" + std::string(kind) + "/" +
         std::string(name);
}

}  // namespace

std::string Url::origin() const {
  std::string out = scheme + "://" + host;
  if (port != usual_port(scheme)) out += ":" + std::to_string(port);
  return out;
}

Result<Url> parse_url(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return Error(Errc::kInvalidArgument, "URL " + quoted(fetch::for_people(text, kMaxWords)) + " " + std::string(why));
  };
  const std::size_t mark = text.find("://");
  if (mark == std::string_view::npos) return bad("has no scheme");
  Url url;
  url.scheme = to_lower(text.substr(0, mark));
  if (url.scheme != "http" && url.scheme != "https") return bad("is neither http nor https");
  std::string_view rest = text.substr(mark + 3);
  rest = rest.substr(0, rest.find('#'));
  const std::size_t slash = rest.find_first_of("/?");
  std::string_view authority = rest.substr(0, slash);
  url.path = slash == std::string_view::npos ? "/" : std::string(rest.substr(slash));
  if (url.path.starts_with('?')) url.path = "/" + url.path;
  if (std::ranges::any_of(url.path, [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; }))
    return bad("has blanks or control characters");
  if (authority.find('@') != std::string_view::npos) return bad("has a user in it");
  url.port = usual_port(url.scheme);
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    const auto port = parse_number<std::uint16_t>(authority.substr(colon + 1));
    if (!port || *port == 0) return bad("has a bad port");
    url.port = *port;
    authority = authority.substr(0, colon);
  }
  url.host = to_lower(authority);
  if (!is_host(url.host)) return bad("has a bad host");
  return url;
}

Result<Url> resolve_url(const Url& base, std::string_view location) {
  if (location.empty()) return Error(Errc::kInvalidArgument, "there is no location");
  if (location.starts_with("//")) return parse_url(base.scheme + ":" + std::string(location));
  if (location.starts_with('/')) return parse_url(base.origin() + std::string(location));
  if (location.find("://") != std::string_view::npos && location.find("://") < location.find_first_of("/?#"))
    return parse_url(location);
  const std::string_view path = std::string_view(base.path).substr(0, base.path.find('?'));
  if (location.starts_with('?')) return parse_url(base.origin() + std::string(path) + std::string(location));
  return parse_url(base.origin() + std::string(path.substr(0, path.rfind('/') + 1)) + std::string(location));
}

bool same_origin(const Url& a, const Url& b) {
  return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
}

std::string manifest_url(std::string_view scheme, const fetch::Endpoint& endpoint, std::string_view reference) {
  return document_url(scheme, endpoint, "manifests", reference);
}
std::string blob_url(std::string_view scheme, const fetch::Endpoint& endpoint, std::string_view digest) {
  return document_url(scheme, endpoint, "blobs", digest);
}
std::string uploads_url(std::string_view scheme, const fetch::Endpoint& endpoint) {
  return document_url(scheme, endpoint, "blobs", "uploads/");
}

std::string signature_url(const fetch::Lookaside& lookaside, const Digest& manifest, unsigned number) {
  return lookaside.url + "@" + std::string(manifest.algorithm()) + "=" + std::string(manifest.hex()) + "/signature-" +
         std::to_string(number);
}

std::string with_parameter(std::string url, std::string_view name, std::string_view value) {
  url += url.find('?') == std::string::npos ? '?' : '&';
  return url.append(name).append("=").append(percent_encode(value));
}

}  // namespace cooper::registry
