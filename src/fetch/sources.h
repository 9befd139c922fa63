// From a reference and the configuration to the places an image may come from, with all they need.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "fetch/credentials.h"
#include "fetch/protocol.h"
#include "fetch/registries.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::fetch {

struct SourceOptions {
  // host[:port]: http, and https with certificates nobody knows, are good enough.
  std::vector<std::string> insecure = {};
  // "host[:port][/path]" with which names begin -> "host[:port][/path]", which stands for that there: asked before the
  // registry, in this order. Those of the longest beginning count, instead of any mirrors of `containers`.
  std::vector<std::pair<std::string, std::string>> mirrors = {};
  RegistriesConfig containers = {};  // registries.conf
  bool mirrors_too = true;
  bool push = false;                    // to the registry that the name says, wherever its images are pulled from
  std::optional<bool> verify_tls = {};  // false: the registry of the reference counts as insecure
  std::optional<Credentials> credentials = {};  // for that registry; else they are searched for
  CredentialSearch search = {};
  // <directory>/<host[:port]>/: *.crt are authorities, NAME.cert with NAME.key is what the registry may ask for. The
  // first directory that has the host wins. Of certificate_directory, when it is not empty, the files themselves.
  std::vector<std::string> certificate_directories = {};
  std::string certificate_directory = {};
};

// Mirrors first, then the registry itself. `reference` has its registry. Errc::kPermission when that is blocked.
Result<std::vector<Endpoint>> endpoints_of(const oci_image::Reference& reference, const SourceOptions& options);

// How files of a server are fetched, whose name may have a port: certificates and credentials for it, no plain http.
Result<Endpoint> web_endpoint(const std::string& host, const SourceOptions& options);

// The place of an image's signatures, an http or https URL: certificates are those of its host, as for a registry.
Result<Lookaside> lookaside_of(const std::string& url, const SourceOptions& options);

// "host[:port][/path]=host[:port][/path]"
Result<std::pair<std::string, std::string>> parse_mirror(std::string_view text);

}  // namespace cooper::fetch
