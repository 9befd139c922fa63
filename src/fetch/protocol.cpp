#include "fetch/protocol.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/chars.h"
#include "base/ids.h"
#include "base/strings.h"
#include "codec/json.h"

namespace cooper::fetch {
namespace {

using codec::json::Cursor;
using codec::json::Document;
using codec::json::Writer;

constexpr std::size_t kMaxEndpoints = 16;
constexpr std::size_t kMaxWords = 2048;
constexpr std::size_t kMaxEtagBytes = 512;

constexpr std::array<std::pair<Request::Kind, std::string_view>, 8> kRequestKinds = {
    {{Request::Kind::kManifest, "manifest"},
     {Request::Kind::kDigest, "digest"},
     {Request::Kind::kBlob, "blob"},
     {Request::Kind::kSignature, "signature"},
     {Request::Kind::kHasBlob, "has-blob"},
     {Request::Kind::kSendBlob, "send-blob"},
     {Request::Kind::kSendManifest, "send-manifest"},
     {Request::Kind::kPage, "page"}}};
constexpr std::array<std::pair<Event::Kind, std::string_view>, 4> kEventKinds = {{{Event::Kind::kProgress, "progress"},
                                                                                  {Event::Kind::kRetry, "retry"},
                                                                                  {Event::Kind::kDone, "done"},
                                                                                  {Event::Kind::kFailed, "failed"}}};
constexpr std::array<Errc, 14> kCodes = {Errc::kInvalidArgument, Errc::kNotFound,    Errc::kAlreadyExists,
                                         Errc::kPermission,      Errc::kUnsupported, Errc::kBusy,
                                         Errc::kWrongState,      Errc::kCorrupt,     Errc::kNoSpace,
                                         Errc::kLimit,           Errc::kTimeout,     Errc::kCancelled,
                                         Errc::kSystem,          Errc::kInternal};

template <typename Kind, std::size_t n>
std::string_view word_of(const std::array<std::pair<Kind, std::string_view>, n>& table, Kind kind) {
  return std::ranges::find(table, kind, &std::pair<Kind, std::string_view>::first)->second;
}

template <typename Kind, std::size_t n>
Result<Kind> kind_of(const std::array<std::pair<Kind, std::string_view>, n>& table, const Cursor& at) {
  std::string word;
  RETURN_IF_ERROR(at.read("kind", word));
  const auto found = std::ranges::find(table, word, &std::pair<Kind, std::string_view>::second);
  if (found == table.end()) return at.error("unknown kind " + quoted(word));
  return found->first;
}

Result<Errc> parse_code(const std::string& word, const Cursor& at) {
  const auto found = std::ranges::find_if(kCodes, [&](Errc code) { return to_string(code) == word; });
  if (found == kCodes.end()) return at.error("unknown code " + quoted(word));
  return *found;
}

// Goes into an URL between slashes.
Status check_host(const std::string& host, const Cursor& at) {
  const bool fine = !host.empty() && host.size() <= 300 && std::ranges::all_of(host, [](char c) {
    return is_alnum(c) || c == '.' || c == '-' || c == ':' || c == '[' || c == ']' || c == '_';
  });
  if (!fine) return at.error("bad host " + quoted(host));
  return {};
}

Status check_path(const std::string& path, const Cursor& at) {
  const bool fine = !path.empty() && path.size() <= 512 && std::ranges::all_of(path, [](char c) {
    return is_lower_alnum(c) || c == '.' || c == '-' || c == '/' || c == '_';
  });
  if (!fine || path.find("..") != std::string::npos) return at.error("bad repository " + quoted(path));
  return {};
}

bool is_tag(const std::string& text) {
  return !text.empty() && text.size() <= 128 && text != "." && text != ".." &&
         std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '.' || c == '-' || c == '_'; });
}

// What is wrong with it in detail whoever speaks to the server says.
bool is_address(const std::string& text) {
  return (text.starts_with("https://") || text.starts_with("http://")) && text.size() <= 4096 &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

// Goes into a header.
bool is_media_type(const std::string& text) {
  return !text.empty() && text.size() <= 255 && std::ranges::all_of(text, [](char c) {
    return is_alnum(c) || std::string_view("/.+-_!#$&^").find(c) != std::string_view::npos;
  });
}

void print(Writer& out, const Endpoint& endpoint) {
  out.begin_object()
      .field("host", endpoint.host)
      .field("repository", endpoint.repository)
      .field("plain_http", endpoint.plain_http)
      .field("plain_hosts", endpoint.plain_hosts)
      .field("verify_tls", endpoint.verify_tls);
  for (const auto& [name, value] :
       {std::pair("ca_pem", &endpoint.ca_pem), std::pair("certificate_pem", &endpoint.certificate_pem),
        std::pair("key_pem", &endpoint.key_pem), std::pair("certificates_in", &endpoint.certificates_in),
        std::pair("username", &endpoint.username), std::pair("password", &endpoint.password),
        std::pair("identity_token", &endpoint.identity_token)}) {
    if (!value->empty()) out.field(name, *value);
  }
  out.end_object();
}

void print(Writer& out, const Lookaside& lookaside) {
  out.begin_object().field("url", lookaside.url).field("verify_tls", lookaside.verify_tls);
  if (!lookaside.ca_pem.empty()) out.field("ca_pem", lookaside.ca_pem);
  out.end_object();
}

Result<Lookaside> parse_lookaside(const Cursor& at) {
  RETURN_IF_ERROR(at.expect_object());
  Lookaside out{.url = {}};
  RETURN_IF_ERROR(at.read("url", out.url));
  if (out.url.size() > 2048 || !(out.url.starts_with("https://") || out.url.starts_with("http://")))
    return at.error("bad URL " + quoted(out.url));
  RETURN_IF_ERROR(at.read("verify_tls", out.verify_tls));
  RETURN_IF_ERROR(at.read("ca_pem", out.ca_pem));
  return out;
}

Result<Endpoint> parse_endpoint(const Cursor& at, bool web) {
  RETURN_IF_ERROR(at.expect_object());
  Endpoint out{.host = {}, .repository = {}};
  RETURN_IF_ERROR(at.read("host", out.host));
  RETURN_IF_ERROR(check_host(out.host, at));
  RETURN_IF_ERROR(at.read("repository", out.repository));
  if (!web) RETURN_IF_ERROR(check_path(out.repository, at));
  RETURN_IF_ERROR(at.read("plain_http", out.plain_http));
  RETURN_IF_ERROR(at.read("plain_hosts", out.plain_hosts));
  RETURN_IF_ERROR(at.read("verify_tls", out.verify_tls));
  RETURN_IF_ERROR(at.read("ca_pem", out.ca_pem));
  RETURN_IF_ERROR(at.read("certificate_pem", out.certificate_pem));
  RETURN_IF_ERROR(at.read("key_pem", out.key_pem));
  RETURN_IF_ERROR(at.read("certificates_in", out.certificates_in));
  RETURN_IF_ERROR(at.read("username", out.username));
  RETURN_IF_ERROR(at.read("password", out.password));
  RETURN_IF_ERROR(at.read("identity_token", out.identity_token));
  return out;
}

}  // namespace

std::string for_people(std::string_view text, std::size_t max_bytes) {
  return std::string(utf8_prefix(printable(utf8_prefix(text, max_bytes)), max_bytes));
}

std::string print(const Setup& setup) {
  Writer out;
  out.begin_object().field("version", 1).key("endpoints").begin_array();
  for (const Endpoint& endpoint : setup.endpoints) print(out, endpoint);
  out.end_array();
  if (setup.lookaside) print(out.key("lookaside"), *setup.lookaside);
  out.key("proxies")
      .begin_object()
      .field("http", setup.proxies.http)
      .field("https", setup.proxies.https)
      .field("exceptions", setup.proxies.exceptions)
      .end_object()
      .field("parallel", setup.parallel)
      .field("attempts", setup.attempts)
      .field("pause_ms", setup.pause_ms)
      .field("stall_timeout_s", setup.stall_timeout_s)
      .field("max_wait_s", setup.max_wait_s)
      .field("push", setup.push)
      .field("web", setup.web)
      .end_object();
  return out.take();
}

Result<Setup> parse_setup(std::string text) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::move(text), "setup"));
  const Cursor root(document.root(), "setup");
  RETURN_IF_ERROR(root.expect_object());
  unsigned version = 0;
  RETURN_IF_ERROR(root.read("version", version));
  if (version != 1) return root.error("version " + std::to_string(version) + " is not known: the programs differ");
  Setup out{.endpoints = {}};
  RETURN_IF_ERROR(root.read("web", out.web));
  ASSIGN_OR_RETURN(const Cursor endpoints, root.require("endpoints"));
  RETURN_IF_ERROR(endpoints.for_each([&](const Cursor& at) -> Status {
    if (out.endpoints.size() == kMaxEndpoints) return at.error("too many endpoints", Errc::kLimit);
    ASSIGN_OR_RETURN(Endpoint endpoint, parse_endpoint(at, out.web));
    out.endpoints.push_back(std::move(endpoint));
    return {};
  }));
  if (out.endpoints.empty()) return endpoints.error("no endpoint");
  if (const auto lookaside = root.get("lookaside")) {
    ASSIGN_OR_RETURN(out.lookaside, parse_lookaside(*lookaside));
  }
  if (const auto proxies = root.get("proxies")) {
    RETURN_IF_ERROR(proxies->expect_object());
    RETURN_IF_ERROR(proxies->read("http", out.proxies.http));
    RETURN_IF_ERROR(proxies->read("https", out.proxies.https));
    RETURN_IF_ERROR(proxies->read("exceptions", out.proxies.exceptions));
  }
  RETURN_IF_ERROR(root.read("parallel", out.parallel));
  RETURN_IF_ERROR(root.read("attempts", out.attempts));
  RETURN_IF_ERROR(root.read("pause_ms", out.pause_ms));
  RETURN_IF_ERROR(root.read("stall_timeout_s", out.stall_timeout_s));
  RETURN_IF_ERROR(root.read("max_wait_s", out.max_wait_s));
  RETURN_IF_ERROR(root.read("push", out.push));
  if (out.push && out.endpoints.size() != 1) return endpoints.error("a push goes to one endpoint");
  if (out.web && (out.push || out.endpoints.size() != 1))
    return endpoints.error("the web is one endpoint, and no push");
  if (out.parallel == 0 || out.parallel > kMaxParallel || out.attempts == 0 || out.attempts > kMaxAttempts ||
      out.pause_ms > kMaxPauseMs)
    return root.error("number out of range");
  return out;
}

bool is_push(Request::Kind kind) {
  return kind == Request::Kind::kHasBlob || kind == Request::Kind::kSendBlob || kind == Request::Kind::kSendManifest;
}

bool has_descriptor(Request::Kind kind) {
  return kind != Request::Kind::kHasBlob;
}

bool is_etag(std::string_view text) {
  if (text.size() > kMaxEtagBytes) return false;
  if (text.starts_with("W/")) text.remove_prefix(2);
  if (text.size() < 2 || !text.starts_with('"') || !text.ends_with('"')) return false;
  return std::ranges::all_of(text.substr(1, text.size() - 2), [](char c) { return c > ' ' && c < '\x7f' && c != '"'; });
}

bool is_validator(std::string_view text) {
  constexpr std::size_t kDateBytes = std::string_view("Sun, 06 Nov 1994 08:49:37 GMT").size();
  if (text.starts_with('"')) return is_etag(text);
  return text.size() == kDateBytes && text.ends_with(" GMT") && std::ranges::all_of(text, [](unsigned char c) {
           return std::isalnum(c) != 0 || c == ' ' || c == ',' || c == ':';
         });
}

std::string print(const Request& request) {
  Writer out;
  out.begin_object()
      .field("id", request.id)
      .field("kind", word_of(kRequestKinds, request.kind))
      .field("reference", request.reference)
      .field("bytes", request.bytes);
  if (!request.media_type.empty()) out.field("media_type", request.media_type);
  if (!request.from.empty()) out.field("from", request.from);
  if (!request.if_changed.empty()) out.field("if_changed", request.if_changed);
  if (request.had_bytes != 0) out.field("had_bytes", request.had_bytes);
  if (!request.validator.empty()) out.field("validator", request.validator);
  if (request.number != 0) out.field("number", request.number);
  out.end_object();
  return out.take();
}

Result<Request> parse_request(std::string text) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::move(text), "request"));
  const Cursor root(document.root(), "request");
  RETURN_IF_ERROR(root.expect_object());
  Request out;
  RETURN_IF_ERROR(root.read("id", out.id));
  ASSIGN_OR_RETURN(out.kind, kind_of(kRequestKinds, root));
  RETURN_IF_ERROR(root.read("reference", out.reference));
  RETURN_IF_ERROR(root.read("bytes", out.bytes));
  RETURN_IF_ERROR(root.read("media_type", out.media_type));
  RETURN_IF_ERROR(root.read("from", out.from));
  if (out.kind == Request::Kind::kPage && !is_address(out.reference))
    return root.error("bad address " + quoted(out.reference));
  RETURN_IF_ERROR(root.read("if_changed", out.if_changed));
  if (!out.if_changed.empty() && (out.kind != Request::Kind::kPage || !is_etag(out.if_changed)))
    return root.error("bad ETag " + quoted(out.if_changed));
  RETURN_IF_ERROR(root.read("had_bytes", out.had_bytes));
  const bool page = out.kind == Request::Kind::kPage;
  if (out.had_bytes != 0 && ((out.kind != Request::Kind::kBlob && !page) || out.had_bytes >= out.bytes))
    return root.error("bad number of bytes that are there");
  RETURN_IF_ERROR(root.read("validator", out.validator));
  if (page && out.had_bytes != 0 ? !is_validator(out.validator) : !out.validator.empty())
    return root.error("bad validator " + quoted(out.validator));
  RETURN_IF_ERROR(root.read("number", out.number));
  if ((out.number != 0) != (out.kind == Request::Kind::kSignature)) return root.error("bad number");
  const bool tag = out.kind == Request::Kind::kManifest || out.kind == Request::Kind::kSendManifest ||
                   out.kind == Request::Kind::kDigest;
  if (out.kind != Request::Kind::kPage && !Digest::parse(out.reference).ok() && !(tag && is_tag(out.reference)))
    return root.error("bad reference " + quoted(out.reference));
  if (out.kind == Request::Kind::kSendManifest ? !is_media_type(out.media_type) : !out.media_type.empty())
    return root.error("bad media type " + quoted(out.media_type));
  if (!out.from.empty()) {
    if (out.kind != Request::Kind::kSendBlob) return root.error("a repository that is not asked for");
    RETURN_IF_ERROR(check_path(out.from, root));
  }
  return out;
}

std::string print(const Event& event) {
  Writer out;
  out.begin_object().field("id", event.id).field("kind", word_of(kEventKinds, event.kind));
  if (event.kind == Event::Kind::kProgress) {
    out.field("bytes", event.bytes).field("total", event.total);
    if (!event.validator.empty()) out.field("validator", event.validator);
    if (event.restart) out.field("restart", true);
  } else if (event.kind == Event::Kind::kDone) {
    out.field("bytes", event.bytes)
        .field("present", event.present)
        .field("media_type", for_people(event.media_type, kMaxWords))
        .field("endpoint", for_people(event.endpoint, kMaxWords));
    if (!event.etag.empty()) out.field("etag", event.etag);
    if (event.max_age_s != 0) out.field("max_age_s", event.max_age_s);
  } else {
    out.field("message", for_people(event.message, kMaxWords));
  }
  if (event.kind == Event::Kind::kRetry) out.field("wait_ms", event.wait_ms);
  if (event.kind == Event::Kind::kFailed)
    out.field("hint", for_people(event.hint, kMaxWords))
        .field("endpoint", for_people(event.endpoint, kMaxWords))
        .field("code", to_string(event.code));
  out.end_object();
  return out.take();
}

Result<Event> parse_event(std::string text) {
  ASSIGN_OR_RETURN(const Document document, Document::parse(std::move(text), "event"));
  const Cursor root(document.root(), "event");
  RETURN_IF_ERROR(root.expect_object());
  Event out;
  RETURN_IF_ERROR(root.read("id", out.id));
  ASSIGN_OR_RETURN(out.kind, kind_of(kEventKinds, root));
  RETURN_IF_ERROR(root.read("bytes", out.bytes));
  RETURN_IF_ERROR(root.read("total", out.total));
  RETURN_IF_ERROR(root.read("validator", out.validator));
  if (!out.validator.empty() && !is_validator(out.validator)) return root.error("bad validator");
  RETURN_IF_ERROR(root.read("restart", out.restart));
  RETURN_IF_ERROR(root.read("present", out.present));
  RETURN_IF_ERROR(root.read("wait_ms", out.wait_ms));
  RETURN_IF_ERROR(root.read("etag", out.etag));
  if (!out.etag.empty() && !is_etag(out.etag)) return root.error("bad ETag");
  RETURN_IF_ERROR(root.read("max_age_s", out.max_age_s));
  if (out.max_age_s > kMaxAgeS) return root.error("number out of range");
  for (const auto& [name, value] : {std::pair("media_type", &out.media_type), std::pair("endpoint", &out.endpoint),
                                    std::pair("message", &out.message), std::pair("hint", &out.hint)}) {
    RETURN_IF_ERROR(root.read(name, *value));
    *value = for_people(*value, kMaxWords);
  }
  if (out.kind == Event::Kind::kFailed) {
    std::string code;
    RETURN_IF_ERROR(root.read("code", code));
    ASSIGN_OR_RETURN(out.code, parse_code(code, root));
    if (out.message.empty()) return root.error("a failure without words");
  }
  return out;
}

}  // namespace cooper::fetch
