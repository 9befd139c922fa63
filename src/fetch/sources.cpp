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

Result<Endpoint> mirror_endpoint(const SourceOptions& options, const std::string& mirror,
                                 const oci_image::Reference& reference) {
  const std::size_t slash = mirror.find('/');
  const std::string host = mirror.substr(0, slash);
  const std::string prefix = slash == std::string::npos ? "" : mirror.substr(slash + 1) + "/";
  Endpoint out{.host = host, .repository = prefix + reference.repository};
  out.verify_tls = !is_insecure(options, host);
  out.plain_http = !out.verify_tls || is_loopback(host);
  out.plain_hosts = options.insecure;
  RETURN_IF_ERROR(find_certificates({.certificate_directories = options.certificate_directories}, out, host));
  ASSIGN_OR_RETURN(const auto found, find_credentials(options.search, host, out.repository));
  const Credentials credentials = found.value_or(Credentials());
  out.username = credentials.username;
  out.password = credentials.password;
  out.identity_token = credentials.identity_token;
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
  const Credentials credentials = found.value_or(Credentials());
  out.username = credentials.username;
  out.password = credentials.password;
  return out;
}

Result<std::pair<std::string, std::string>> parse_mirror(std::string_view text) {
  const auto pair = split_once(text, '=');
  if (!pair || pair->first.empty() || pair->second.empty() || pair->second.find("://") != std::string_view::npos ||
      pair->second.ends_with('/') || pair->first.find('/') != std::string_view::npos)
    return Error(Errc::kInvalidArgument, "mirror " + quoted(text) + " must be REGISTRY[:PORT]=HOST[:PORT][/PREFIX]");
  return std::pair(std::string(pair->first), std::string(pair->second));
}

Result<std::vector<Endpoint>> endpoints_of(const oci_image::Reference& reference, const SourceOptions& options) {
  std::vector<Endpoint> out;
  for (const auto& [registry, mirror] : options.mirrors) {
    if (to_lower(registry) != reference.registry) continue;
    auto endpoint = mirror_endpoint(options, mirror, reference);
    if (!endpoint.ok()) return std::move(endpoint).error().with("mirror " + quoted(mirror));
    out.push_back(std::move(*endpoint));
  }
  Endpoint own{.host = address_of(reference.registry), .repository = reference.repository};
  own.verify_tls = options.verify_tls.value_or(!is_insecure(options, reference.registry));
  own.plain_http = !own.verify_tls || is_loopback(own.host);
  own.plain_hosts = options.insecure;
  auto certificates = find_certificates(options, own, reference.registry);
  if (!certificates.ok()) return std::move(certificates).error().with("certificates for " + quoted(reference.registry));
  std::optional<Credentials> credentials = options.credentials;
  if (!credentials) {
    ASSIGN_OR_RETURN(credentials, find_credentials(options.search, reference.registry, reference.repository));
  }
  if (credentials) {
    own.username = credentials->username;
    own.password = credentials->password;
    own.identity_token = credentials->identity_token;
  }
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
