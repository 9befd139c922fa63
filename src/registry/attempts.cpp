#include "registry/attempts.h"

#include <poll.h>
#include <sys/random.h>

#include <algorithm>
#include <ctime>

#include "base/strings.h"
#include "registry/url.h"

namespace cooper::registry {
namespace {

constexpr int kMaxAuthorizations = 3;
// Fewer than of other failures: most often the name is wrong.
constexpr int kMaxRefusals = 3;
constexpr unsigned kLittleAttempts = 2;
constexpr std::uint64_t kLittlePauseS = 1;

// Between 0 and 1.
double random_share() {
  std::uint32_t bits = 0;
  (void)!::getrandom(&bits, sizeof bits, 0);
  return static_cast<double>(bits) / 4294967296.0;
}

void pause_ms(std::uint64_t ms) {
  while (::poll(nullptr, 0, static_cast<int>(ms)) < 0 && errno == EINTR) {
  }
}

// What the library says of a proxy, or of the host and port of one: nothing of the registry is known then.
bool is_about_proxy(std::string_view message, const fetch::Proxies& proxies) {
  for (const std::string_view words : {"resolve proxy", "proxy scheme for ", "Proxy CONNECT ", "CONNECT tunnel "}) {
    if (message.find(words) != std::string_view::npos) return true;
  }
  for (const std::string& proxy : {proxies.http, proxies.https}) {
    std::string_view place = proxy;
    if (const auto scheme = place.find("://"); scheme != std::string_view::npos) place.remove_prefix(scheme + 3);
    place = place.substr(0, place.find('/'));
    if (const auto user = place.rfind('@'); user != std::string_view::npos) place.remove_prefix(user + 1);
    const auto colon = place.rfind(':');
    if (colon == std::string_view::npos) continue;
    const std::string words =
        "connect to " + std::string(place.substr(0, colon)) + " port " + std::string(place.substr(colon + 1)) + " ";
    if (message.find(words) != std::string_view::npos) return true;
  }
  return false;
}

constexpr const char* kProxyHint =
    "that is the proxy that https_proxy, http_proxy or all_proxy of the environment names: check it, or name the "
    "registry in no_proxy";

}  // namespace

Attempts::Attempts(const fetch::Setup& setup, std::uint32_t id, const Report& report, Patience patience)
    : setup_(setup),
      id_(id),
      report_(report),
      patience_(patience),
      backoff_(patience == Patience::kAll ? setup.attempts : std::min(setup.attempts, kLittleAttempts), random_share(),
               patience == Patience::kAll ? setup.pause_ms : 0) {}

Status Attempts::wait(const std::string& why, std::optional<std::uint64_t> asked_s, Error otherwise) {
  const auto own_ms = backoff_.next();
  if (asked_s && *asked_s > setup_.max_wait_s) {
    return std::move(otherwise).with_hint("it asks to be left alone for " + std::to_string(*asked_s) +
                                          " s: try again then; registries allow more to who has an account (--creds)");
  }
  if (!own_ms) return otherwise;
  if (patience_ == Patience::kLittle && asked_s.value_or(0) > kLittlePauseS) return otherwise;
  const std::uint64_t wait_ms = asked_s ? std::max<std::uint64_t>(*asked_s * 1000, 1) : *own_ms;
  report_({.id = id_, .kind = fetch::Event::Kind::kRetry, .message = why, .wait_ms = wait_ms});
  pause_ms(wait_ms);
  return {};
}

Status Attempts::after(Line& line, HttpResult& result, const std::string& used, bool untouched) {
  return result.trouble == Trouble::kNone ? after_answer(line, result, used) : after_trouble(line, result, untouched);
}

Error certificate_error(const std::string& who, const std::string& directory, bool have_one, const std::string& said) {
  if (have_one) {
    return Error(Errc::kPermission,
                 who + " does not accept the client's certificate of " + directory + " (" + said + ")")
        .with_hint("check that it is not over, and that an authority has signed it that the server trusts");
  }
  return Error(Errc::kPermission, who + " asks for a client's certificate, and there is none")
      .with_hint("put it and its key, as PEM, into " + directory + "/NAME.cert and " + directory + "/NAME.key");
}

Status Attempts::after_answer(Line& line, const HttpResult& result, const std::string& used) {
  const long status = result.head.status;
  const std::string host = quoted(line.registry.endpoint().host);
  const std::string said = "registry " + host + " answers " + describe_answer(status, result.answer);
  if (status == 401) {
    const auto from = parse_url(result.head.url);
    const auto own = parse_url(uploads_url(line.registry.scheme(), line.registry.endpoint()));
    // What is asked for there has nobody promised to the registry.
    if (from.ok() && own.ok() && !same_origin(*from, *own)) {
      return Error(Errc::kPermission, "registry " + host + " sends on to " + quoted(from->origin()) +
                                          ", which answers " + describe_answer(status, result.answer))
          .with_hint("credentials for one registry are not given to another host");
    }
    if (++authorizations_ <= kMaxAuthorizations) return line.registry.authorize(line.client, result.head, used);
    return Error(Errc::kPermission, said).with_hint("the credentials for " + host + " do not allow this");
  }
  if (status == 403)
    return Error(Errc::kPermission, said).with_hint("the credentials for " + host + " do not allow this");
  // Registries say which version of their API they speak, or at least answer in JSON.
  const bool no_registry = result.head.header("docker-distribution-api-version").empty() &&
                           result.head.header("content-type").find("json") == std::string::npos &&
                           result.answer.find("\"errors\"") == std::string::npos;
  if ((status == 404 || status == 410) && no_registry) {
    return Error(Errc::kNotFound, said)
        .with_hint(
            "that is no answer of a registry: check the host and the port, and that a registry runs there; if it does, "
            "the name and the tag");
  }
  if (status == 404 || status == 410) {
    return Error(Errc::kNotFound, said)
        .with_hint(setup_.push ? "check the spelling of the name, and that the repository exists and may be written to"
                               : "check the spelling of the name and the tag");
  }
  if (status == 405 && setup_.push)
    return Error(Errc::kUnsupported, said).with_hint("it takes no images: it may be a mirror, or for reading only");
  if (status == 413) {
    return Error(Errc::kLimit, said)
        .with_hint("the registry, or a proxy before it, limits how much is sent at once: ask who runs it");
  }
  if (status == 429 || status == 408 || (status >= 500 && status != 501)) {
    if (status == 429 && patience_ == Patience::kLittle) return Error(Errc::kLimit, said).with_hint("try again later");
    const auto asked = parse_retry_after(result.head.header("retry-after"), ::time(nullptr));
    return wait(said, asked, Error(status == 429 ? Errc::kLimit : Errc::kSystem, said).with_hint("try again later"));
  }
  return Error(Errc::kSystem, said);
}

Status Attempts::after_trouble(Line& line, HttpResult& result, bool untouched) {
  const fetch::Endpoint& endpoint = line.registry.endpoint();
  const std::string host = quoted(endpoint.host);
  const std::string said = "registry " + host + ": " + fetch::for_people(result.message, 1000);
  const bool proxy = is_about_proxy(result.message, setup_.proxies);
  const auto again = [&](const char* hint) -> Status {
    Error error = Error(Errc::kSystem, said).with_hint(proxy ? kProxyHint : hint);
    if (patience_ == Patience::kLittle && result.silence) return error;
    return wait(said, {}, std::move(error));
  };
  switch (result.trouble) {
    case Trouble::kSink:
      return std::move(result.sink).error();
    case Trouble::kNoTls:
    case Trouble::kRefused:
      if (untouched && line.registry.fall_back_to_http(result.head.url)) return {};
      if (result.trouble == Trouble::kRefused && ++refusals_ < kMaxRefusals)
        return again("check that a registry runs there");
      if (result.trouble == Trouble::kRefused)
        return Error(Errc::kSystem, said).with_hint(proxy ? kProxyHint : "check that a registry runs there");
      return Error(Errc::kSystem, said)
          .with_hint(
              "if it speaks plain http, name it under registries.insecure of the configuration, or use "
              "--tls-verify=false");
    case Trouble::kBroken:
      return again("try again later");
    case Trouble::kClientCertificate:
      return certificate_error("registry " + host, endpoint.certificates_in, !endpoint.certificate_pem.empty(), said);
    case Trouble::kResolve:
      return Error(Errc::kNotFound, said)
          .with_hint(proxy ? kProxyHint : "check the name of the registry, and the network");
    case Trouble::kCertificate:
      return Error(Errc::kPermission, said)
          .with_hint("put the certificate of its authority into " + endpoint.certificates_in +
                     "/ca.crt, or use --tls-verify=false");
    case Trouble::kRedirect:
      return Error(Errc::kPermission, said);
    default:
      return Error(Errc::kSystem, said);
  }
}

}  // namespace cooper::registry
