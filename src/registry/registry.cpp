#include "registry/registry.h"

#include <algorithm>
#include <array>

#include "base/percent.h"
#include "base/strings.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "fetch/hosts.h"

namespace cooper::registry {
namespace {

constexpr std::size_t kMaxTokenAnswerBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxWords = 300;

constexpr std::array<std::pair<long, std::string_view>, 15> kReasons = {{{400, "Bad Request"},
                                                                         {401, "Unauthorized"},
                                                                         {403, "Forbidden"},
                                                                         {404, "Not Found"},
                                                                         {405, "Method Not Allowed"},
                                                                         {408, "Request Timeout"},
                                                                         {410, "Gone"},
                                                                         {413, "Content Too Large"},
                                                                         {416, "Range Not Satisfiable"},
                                                                         {429, "Too Many Requests"},
                                                                         {500, "Internal Server Error"},
                                                                         {501, "Not Implemented"},
                                                                         {502, "Bad Gateway"},
                                                                         {503, "Service Unavailable"},
                                                                         {504, "Gateway Timeout"}}};

// The first error of {"errors":[{"code":"X","message":"y"}]}.
std::string words_of(const std::string& answer) {
  const auto document = codec::json::Document::parse(answer, "answer");
  if (!document.ok()) return {};
  const auto errors = document->root().find("errors");
  if (!errors || errors->size() == 0) return {};
  const codec::json::Value first = errors->element(0);
  if (first.type() != codec::json::Type::kObject) return {};
  const auto text = [&](std::string_view name) {
    const auto value = first.find(name);
    return value ? fetch::for_people(value->as_string(), kMaxWords) : std::string();
  };
  std::string code = text("code");
  const std::string message = text("message");
  if (message.empty()) return code;
  return code.empty() ? message : message + " (" + code + ")";
}

}  // namespace

std::string describe_answer(long status, const std::string& answer) {
  std::string out = std::to_string(status);
  const auto reason = std::ranges::find(kReasons, status, &std::pair<long, std::string_view>::first);
  if (reason != kReasons.end()) out.append(" ").append(reason->second);
  const std::string words = words_of(answer);
  return words.empty() ? out : out + ": " + words;
}

std::string Registry::scheme() const {
  const std::lock_guard guard(mutex_);
  return plain_ ? "http" : "https";
}

bool Registry::fall_back_to_http(std::string_view tried) {
  const std::lock_guard guard(mutex_);
  if (!tried.starts_with("https:") || !endpoint_.plain_http) return false;
  plain_ = true;
  return true;
}

void Registry::set_aside(const std::string& why) {
  const std::lock_guard guard(mutex_);
  if (set_aside_.empty()) set_aside_ = why;
}

std::string Registry::set_aside_because() const {
  const std::lock_guard guard(mutex_);
  return set_aside_;
}

std::string Registry::authorization() const {
  const std::lock_guard guard(mutex_);
  return authorization_;
}

Error Registry::refused(std::string_view why) const {
  const bool anonymous = endpoint_.username.empty() && endpoint_.identity_token.empty() && endpoint_.password.empty();
  Error error(Errc::kPermission, "registry " + quoted(endpoint_.host) + " " + std::string(why));
  if (!anonymous) {
    return std::move(error).with_hint("the credentials for " + quoted(endpoint_.host) +
                                      " are wrong, or do not allow this: check the auth file, or give --creds");
  }
  return std::move(error).with_hint(
      "give credentials: --creds USER:PASSWORD, or an entry for " + quoted(endpoint_.host) +
      " in an auth file, as podman login and docker login write it; or the name is wrong");
}

bool Registry::may_be_plain(const Url& service) const {
  const std::string name = service.origin().substr(service.scheme.size() + 3);
  if (std::ranges::any_of(endpoint_.plain_hosts, [&](const std::string& one) { return to_lower(one) == name; }))
    return true;
  // Who answers for the registry says where its token service is, but not that the way to another host is safe.
  const auto own = parse_url("http://" + endpoint_.host);
  return endpoint_.plain_http && (fetch::is_loopback(service.host) || (own.ok() && own->host == service.host));
}

Result<std::string> Registry::ask_token_service(HttpClient& client, const Challenge& challenge) {
  const std::string realm = challenge.parameter("realm");
  const auto url = parse_url(realm);
  if (!url.ok())
    return Error(Errc::kCorrupt,
                 "registry " + quoted(endpoint_.host) + " names no usable token service: " + url.error().message());
  const std::string what = "token service " + quoted(url->origin());
  const bool secret = !endpoint_.username.empty() || !endpoint_.identity_token.empty();
  if (secret && url->scheme != "https" && !may_be_plain(*url)) {
    return Error(Errc::kPermission, what + " would get the password unencrypted")
        .with_hint("name its host under registries.insecure of the configuration if that is meant");
  }
  HttpRequest request{.url = token_url(challenge, endpoint_.repository, access_, endpoint_.username),
                      .time_limit_s = kDocumentTimeLimitS};
  if (!endpoint_.identity_token.empty()) {
    request.url = realm;
    request.post =
        "grant_type=refresh_token&client_id=cooper&service=" + percent_encode(challenge.parameter("service")) +
        "&scope=" + percent_encode(scope_of(challenge, endpoint_.repository, access_)) +
        "&refresh_token=" + percent_encode(endpoint_.identity_token);
  } else if (!endpoint_.username.empty()) {
    request.authorization = "Basic " + codec::base64_encode(endpoint_.username + ":" + endpoint_.password);
  }
  MemorySink sink(kMaxTokenAnswerBytes);
  HttpResult result = client.run(request, sink);
  if (result.trouble == Trouble::kSink) return std::move(result.sink).error().with(what);
  if (result.trouble != Trouble::kNone)
    return Error(Errc::kSystem, what + ": " + fetch::for_people(result.message, 1000));
  const long status = result.head.status;
  if (status == 401 || status == 403)
    return refused("needs a token, and its " + what + " answers " + describe_answer(status, result.answer));
  if (status != 200) return Error(Errc::kSystem, what + " answers " + describe_answer(status, result.answer));
  return parse_token(std::move(sink.bytes()), what);
}

Result<std::string> Registry::answer(HttpClient& client, const Challenge& challenge, bool had_one) {
  // A password without a user is a token for the registry itself.
  if (endpoint_.username.empty() && endpoint_.identity_token.empty() && !endpoint_.password.empty()) {
    if (had_one) return refused("does not accept the token (401 Unauthorized)");
    return "Bearer " + endpoint_.password;
  }
  if (challenge.scheme == "bearer") {
    ASSIGN_OR_RETURN(const std::string token, ask_token_service(client, challenge));
    return "Bearer " + token;
  }
  if (endpoint_.username.empty()) return refused("wants a user and a password (401 Unauthorized)");
  if (had_one) return refused("does not accept user " + quoted(endpoint_.username) + " (401 Unauthorized)");
  return "Basic " + codec::base64_encode(endpoint_.username + ":" + endpoint_.password);
}

Status Registry::authorize(HttpClient& client, const HttpHead& head, const std::string& used) {
  // The token service is asked once, whoever needs it.
  const std::lock_guard guard(mutex_);
  if (authorization_ != used) return {};
  std::vector<Challenge> challenges;
  for (auto [at, end] = head.headers.equal_range("www-authenticate"); at != end; ++at) {
    for (Challenge& challenge : parse_challenges(at->second)) challenges.push_back(std::move(challenge));
  }
  for (const std::string_view scheme : {std::string_view("bearer"), std::string_view("basic")}) {
    const auto found = std::ranges::find(challenges, scheme, &Challenge::scheme);
    if (found == challenges.end()) continue;
    ASSIGN_OR_RETURN(std::string value, answer(client, *found, !used.empty()));
    authorization_ = std::move(value);
    return {};
  }
  return refused("answers 401 Unauthorized and asks for no way of authorization that is known (bearer, basic)");
}

}  // namespace cooper::registry
