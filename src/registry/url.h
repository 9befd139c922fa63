// URLs as far as registries need them: http and https, without user information; and those of the distribution
// specification.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ids.h"
#include "fetch/protocol.h"

namespace cooper::registry {

struct Url {
  std::string scheme;  // http or https
  std::string host;    // lower case; an IPv6 address has its brackets
  unsigned port = 0;   // never 0 after parsing
  std::string path;    // with its query; begins with a slash; without a fragment

  // "https://host[:port]", without the port that the scheme has anyway.
  std::string origin() const;
  std::string str() const { return origin() + path; }
};

// Errc::kInvalidArgument says what is wrong.
Result<Url> parse_url(std::string_view text);
// The value of a Location header, as seen from `base`.
Result<Url> resolve_url(const Url& base, std::string_view location);
bool same_origin(const Url& a, const Url& b);

// "https" + "localhost:5000" + "name" -> "https://localhost:5000/v2/name/manifests/latest"
std::string manifest_url(std::string_view scheme, const fetch::Endpoint& endpoint, std::string_view reference);
std::string blob_url(std::string_view scheme, const fetch::Endpoint& endpoint, std::string_view digest);
// ".../v2/name/blobs/uploads/"
std::string uploads_url(std::string_view scheme, const fetch::Endpoint& endpoint);
// ".../name@sha256=<hex>/signature-1"
std::string signature_url(const fetch::Lookaside& lookaside, const Digest& manifest, unsigned number);
// With one more parameter in its query; the value is encoded.
std::string with_parameter(std::string url, std::string_view name, std::string_view value);

}  // namespace cooper::registry
