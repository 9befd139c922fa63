#include "fetch/sources.h"

#include <algorithm>

#include "base/strings.h"
#include "fetch/hosts.h"
#include "io/file.h"
#include "sys/file.h"

namespace cooper::fetch {
namespace {

constexpr std::size_t kMaxCertificateBytes = std::size_t{1} << 20;

constexpr std::string_view kPemMark = "-----BEGIN ";

Result<std::string> read_pem(const std::string& path) {
  ASSIGN_OR_RETURN(std::string pem, io::read_regular_file(path, kMaxCertificateBytes));
  if (pem.find(kPemMark) != std::string::npos) return pem;
  return Error(Errc::kInvalidArgument, quoted(path) + " has nothing in PEM")
      .with_hint("certificates and keys begin with -----BEGIN; openssl x509 -inform der turns other ones into that");
}

// Of a pair of files for the client's certificate, which is useless alone.
Status check_pair(const std::vector<std::string>& names, const std::string& name, std::string_view own,
                  std::string_view other) {
  if (!name.ends_with(own)) return {};
  const std::string wanted = name.substr(0, name.size() - own.size()) + std::string(other);
  if (std::ranges::find(names, wanted) != names.end()) return {};
  return Error(Errc::kNotFound, quoted(name) + " is there without " + quoted(wanted))
      .with_hint("NAME.cert and NAME.key are the client's certificate together; authorities to trust are *.crt");
}

Status read_certificates(const std::string& directory, Endpoint& endpoint) {
  endpoint.certificates_in = directory;
  ASSIGN_OR_RETURN(const UniqueFd fd, sys::openat(sys::kCwd, directory, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(auto names, sys::list_directory(fd));
  std::ranges::sort(names);
  for (const std::string& name : names) {
    Status pair = check_pair(names, name, ".cert", ".key");
    if (pair.ok()) pair = check_pair(names, name, ".key", ".cert");
    if (!pair.ok()) return std::move(pair).error().with("directory " + quoted(directory));
  }
  for (const std::string& name : names) {
    const std::string path = std::string(directory).append("/").append(name);
    if (name.ends_with(".crt")) {
      ASSIGN_OR_RETURN(const std::string pem, read_pem(path));
      endpoint.ca_pem += pem + "\n";
      if (endpoint.ca_pem.size() > kMaxCertificateBytes)
        return Error(Errc::kLimit, "certificates in " + quoted(directory) + " are larger than 1 MiB");
    } else if (name.ends_with(".cert") && endpoint.certificate_pem.empty()) {
      const std::string key = path.substr(0, path.size() - 5) + ".key";
      ASSIGN_OR_RETURN(endpoint.certificate_pem, read_pem(path));
      ASSIGN_OR_RETURN(endpoint.key_pem, read_pem(key));
    }
  }
  return {};
}

Status find_certificates(const SourceOptions& options, Endpoint& endpoint, const std::string& registry) {
  if (!options.certificate_directory.empty()) return read_certificates(options.certificate_directory, endpoint);
  for (const std::string& top : options.certificate_directories) {
    const std::string directory = std::string(top).append("/").append(registry);
    const auto info = sys::fstatat(sys::kCwd, directory, 0);
    if (info.ok() && S_ISDIR(info->st_mode)) return read_certificates(directory, endpoint);
  }
  if (!options.certificate_directories.empty())
    endpoint.certificates_in = options.certificate_directories.front() + "/" + registry;
  return {};
}

bool is_insecure(const SourceOptions& options, const std::string& host) {
  return std::ranges::any_of(options.insecure, [&](const std::string& one) { return to_lower(one) == to_lower(host); });
}

void set_credentials(Endpoint& endpoint, const std::optional<Credentials>& found) {
  if (!found) return;
  endpoint.username = found->username;
  endpoint.password = found->password;
  endpoint.identity_token = found->identity_token;
  if (found->bearer_token.empty()) return;
  // A password of nobody is a token.
  endpoint.username.clear();
  endpoint.identity_token.clear();
  endpoint.password = found->bearer_token;
}

// One that is asked before the registry. `insecure`: it counts as that whatever the options say.
Result<Endpoint> mirror_endpoint(const SourceOptions& options, const RegistryPlace& place, bool insecure) {
  Endpoint out{.host = address_of(place.registry), .repository = place.repository};
  out.verify_tls = !insecure && !is_insecure(options, place.registry);
  out.plain_http = !out.verify_tls || is_loopback(out.host);
  out.plain_hosts = options.insecure;
  RETURN_IF_ERROR(find_certificates({.certificate_directories = options.certificate_directories}, out, place.registry));
  ASSIGN_OR_RETURN(const auto found, find_credentials(options.search, place.registry, place.repository));
  set_credentials(out, found);
  return out;
}

struct Mirror {
  std::size_t covered;  // bytes of the name that it replaces
  std::string location;
  bool insecure = false;
};

// Those of the settings, else those of registries.conf.
std::vector<Mirror> mirrors_of(const oci_image::Reference& reference, const SourceOptions& options,
                               const RegistryRule* rule) {
  std::vector<Mirror> out;
  if (!options.mirrors_too || options.push) return out;
  for (const auto& [prefix, location] : options.mirrors) {
    const auto covered = matching_bytes(reference, to_lower(prefix));
    // Another port is another registry.
    if (!covered || *covered < reference.registry.size()) continue;
    if (!out.empty() && *covered < out.front().covered) continue;
    if (!out.empty() && *covered > out.front().covered) out.clear();
    out.push_back({.covered = *covered, .location = location});
  }
  if (!out.empty() || rule == nullptr) return out;
  const auto covered = matching_bytes(reference, rule->prefix);
  for (const RegistryMirror& mirror : rule->mirrors) {
    const auto other = reference.digest ? RegistryMirror::Use::kTagOnly : RegistryMirror::Use::kDigestOnly;
    if (mirror.use == other) continue;
    out.push_back({.covered = covered.value_or(0), .location = mirror.location, .insecure = mirror.insecure});
  }
  return out;
}

// The registry itself, or what registries.conf has in its place.
Result<Endpoint> own_endpoint(const oci_image::Reference& reference, const SourceOptions& options,
                              const RegistryRule* rule) {
  RegistryPlace place{.registry = reference.registry, .repository = reference.repository};
  if (rule != nullptr && !rule->location.empty() && !options.push) {
    const auto covered = matching_bytes(reference, rule->prefix);
    auto elsewhere = moved(reference, covered.value_or(0), rule->location);
    if (!elsewhere.ok()) return std::move(elsewhere).error().with(rule->place);
    place = std::move(*elsewhere);
  }
  Endpoint out{.host = address_of(place.registry), .repository = place.repository};
  const bool insecure = is_insecure(options, place.registry) || (rule != nullptr && rule->insecure);
  out.verify_tls = options.verify_tls.value_or(!insecure);
  // This machine's own network cannot be listened to; who asks for TLS in so many words gets it there, too.
  out.plain_http = !out.verify_tls || (!options.verify_tls && is_loopback(out.host));
  out.plain_hosts = options.insecure;
  auto certificates = find_certificates(options, out, place.registry);
  if (!certificates.ok()) return std::move(certificates).error().with("certificates for " + quoted(place.registry));
  std::optional<Credentials> credentials = options.credentials;
  if (!credentials) {
    ASSIGN_OR_RETURN(credentials, find_credentials(options.search, place.registry, place.repository));
  }
  set_credentials(out, credentials);
  return out;
}

}  // namespace

Result<Endpoint> web_endpoint(const std::string& host, const SourceOptions& options) {
  Endpoint out{.host = host, .repository = {}};
  RETURN_IF_ERROR(find_certificates(options, out, host));
  std::optional<Credentials> found = options.credentials;
  if (!found) {
    ASSIGN_OR_RETURN(found, find_credentials(options.search, host, ""));
  }
  set_credentials(out, found);
  return out;
}

Result<std::pair<std::string, std::string>> parse_mirror(std::string_view text) {
  const auto pair = split_once(text, '=');
  const auto is_place = [](std::string_view place) {
    return !place.empty() && place.find("://") == std::string_view::npos && !place.ends_with('/') &&
           !place.starts_with('/');
  };
  if (!pair || !is_place(pair->first) || !is_place(pair->second)) {
    return Error(Errc::kInvalidArgument, "mirror " + quoted(text) + " must be HOST[:PORT][/PATH]=HOST[:PORT][/PATH]");
  }
  return std::pair(std::string(pair->first), std::string(pair->second));
}

Result<std::vector<Endpoint>> endpoints_of(const oci_image::Reference& reference, const SourceOptions& options) {
  const RegistryRule* rule = find_rule(options.containers, reference);
  RETURN_IF_ERROR(check_allowed(options.containers, reference));
  std::vector<Endpoint> out;
  for (const Mirror& mirror : mirrors_of(reference, options, rule)) {
    const auto endpoint = [&]() -> Result<Endpoint> {
      ASSIGN_OR_RETURN(const RegistryPlace place, moved(reference, mirror.covered, mirror.location));
      return mirror_endpoint(options, place, mirror.insecure);
    };
    auto made = endpoint();
    if (!made.ok()) return std::move(made).error().with("mirror " + quoted(mirror.location));
    out.push_back(std::move(*made));
  }
  ASSIGN_OR_RETURN(Endpoint own, own_endpoint(reference, options, rule));
  out.push_back(std::move(own));
  return out;
}

Result<Lookaside> lookaside_of(const std::string& url, const SourceOptions& options) {
  const std::size_t begin = url.find("://") + 3;
  const std::string host = url.substr(begin, url.find('/', begin) - begin);
  Endpoint trust{.host = host, .repository = {}};
  auto found = find_certificates({.certificate_directories = options.certificate_directories}, trust, host);
  if (!found.ok()) return std::move(found).error().with("certificates for " + quoted(host));
  return Lookaside{.url = url, .verify_tls = !is_insecure(options, host), .ca_pem = std::move(trust.ca_pem)};
}

}  // namespace cooper::fetch
