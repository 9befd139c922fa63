// What cooper and cooper-fetch say to each other. Both sides take the other's words for hostile: every document is
// bounded, every field typed and checked, and text for people loses its control characters.
//
//   cooper                                          cooper-fetch (unprivileged, sandboxed)
//     Setup: a document in a file (descriptor 4) ----->
//     Request + write end of a pipe (socket, 3)  ----->
//                                     <----- bytes through the pipe, then its end
//                                     <----- Event: retry (any number), then done or failed, once for each request
//
// A setup for a push takes other requests: whether the registry has a blob, which comes without a descriptor; a blob or
// a manifest to be sent, with a descriptor its bytes are read from, at any place and more than once.
//
//     Request + file (socket, 3)                 ----->
//                                     <----- Event: progress and retry (any number), then done or failed
//
// A setup for the web takes requests for files by their address only, each with a pipe.
//
// One message of the socket (SOCK_SEQPACKET) is one JSON document. When the socket ends, cooper-fetch ends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace cooper::fetch {

inline constexpr int kSocketFd = 3;
inline constexpr int kSetupFd = 4;
inline constexpr std::size_t kMaxSetupBytes = std::size_t{8} << 20;
inline constexpr std::size_t kMaxMessageBytes = std::size_t{32} << 10;
inline constexpr unsigned kMaxParallel = 16;
inline constexpr unsigned kMaxAttempts = 50;
inline constexpr std::uint64_t kMaxPauseMs = 3600 * 1000;
// Of a page; servers that say more are taken to mean this.
inline constexpr std::uint64_t kMaxAgeS = 24 * 3600;

// One place that has the repository. Secrets and certificates travel as text: cooper-fetch opens no such file.
struct Endpoint {
  std::string host;        // "registry.example:5000"
  std::string repository;  // "library/busybox"
  // http may be spoken when https is not: the registry is on this machine, or the configuration calls it insecure.
  bool plain_http = false;
  // host[:port] of token services that may be spoken to in plain http, too.
  std::vector<std::string> plain_hosts = {};
  bool verify_tls = true;
  std::string ca_pem = {};  // trusted besides the certificates of the system
  std::string certificate_pem = {}, key_pem = {};
  std::string certificates_in = {};  // where these were looked for: a directory, for people
  std::string username = {}, password = {};
  std::string identity_token = {};  // instead of a password, for the token service
  bool operator==(const Endpoint&) const = default;
};

// Values of the usual environment variables.
struct Proxies {
  std::string http, https;
  std::string exceptions;  // no_proxy
  bool operator==(const Proxies&) const = default;
};

// Where detached signatures of the repository's images lie, beside the registry.
struct Lookaside {
  std::string url;  // "https://signatures.example/library/busybox", which "@sha256=<hex>/signature-1" follows
  bool verify_tls = true;
  std::string ca_pem = {};  // trusted besides the certificates of the system
  bool operator==(const Lookaside&) const = default;
};

struct Setup {
  std::vector<Endpoint> endpoints;  // tried in this order; at least one
  std::optional<Lookaside> lookaside = {};
  Proxies proxies = {};
  unsigned parallel = 3;
  unsigned attempts = 5;          // of a request without any progress; at most kMaxAttempts
  std::uint64_t pause_ms = 0;     // before each of them but the first; 0: it grows
  unsigned stall_timeout_s = 60;  // a connection that brings nothing for so long is given up
  unsigned max_wait_s = 60;       // a registry that asks for a longer pause is not waited for
  bool push = false;              // to the one endpoint: no mirrors
  bool web = false;               // the one endpoint says how servers are spoken to, whatever they are called
  bool operator==(const Setup&) const = default;
};

std::string print(const Setup& setup);
Result<Setup> parse_setup(std::string text);

struct Request {
  // kDigest: what a tag names, as text; nothing when the registry does not tell without sending it.
  enum class Kind { kManifest, kDigest, kBlob, kSignature, kHasBlob, kSendBlob, kSendManifest, kPage };
  std::uint32_t id = 0;
  Kind kind = Kind::kBlob;
  // A digest, of a signature the manifest's; of a manifest also a tag, of kDigest only; of a page its address.
  std::string reference;
  // Its size; of a manifest or a signature that is fetched, or a page: the largest that is taken.
  std::uint64_t bytes = 0;
  std::uint64_t had_bytes = 0;  // of a blob or a page: so many of its first bytes are not wanted any more
  std::uint32_t number = 0;     // of a signature: from 1
  std::string media_type = {};  // of a manifest that is sent
  std::string from = {};        // of a blob that is sent: a repository of the registry that may have it; empty: unknown
  std::string if_changed = {};  // of a page: its ETag as it was; nothing comes of one that has it still
  std::string validator = {};   // of a page of which bytes are there: what the server said of it when they came
  bool operator==(const Request&) const = default;
};

// Of a setup for a push.
bool is_push(Request::Kind kind);
// Whether a descriptor comes with it.
bool has_descriptor(Request::Kind kind);
std::string print(const Request& request);
Result<Request> parse_request(std::string text);

struct Event {
  enum class Kind { kProgress, kRetry, kDone, kFailed };
  std::uint32_t id = 0;
  Kind kind = Kind::kDone;
  // done: how many went through the pipe, with those a request did not want, or to the registry; progress: so far
  std::uint64_t bytes = 0;
  std::uint64_t total = 0;  // progress, of a page: its size; 0: unknown
  // progress, of a page, once before the first of its bytes: what the rest of it can be asked for by; empty: nothing
  std::string validator = {};
  // progress, of a page: the bytes that were there are not of it (any more), all of it comes
  bool restart = false;
  // done, of a push: the registry has it without them; of a signature: there is one; of a page: it is as it was
  bool present = false;
  std::string etag = {};        // done, of a page; empty: it has none
  std::uint64_t max_age_s = 0;  // done, of a page: so long its server need not be asked again; at most kMaxAgeS
  std::string media_type = {};  // done, of a manifest: what the registry calls it
  // done: the host it came from, of a page its address after redirects; failed: from which bytes came that are wrong
  std::string endpoint = {};
  std::string message = {};   // retry, failed
  std::string hint = {};      // failed
  Errc code = Errc::kSystem;  // failed
  std::uint64_t wait_ms = 0;  // retry: the pause before it
  bool operator==(const Event&) const = default;
};

std::string print(const Event& event);
Result<Event> parse_event(std::string text);

// A validator of HTTP: a quoted word, with W/ before it when it is a weak one; at most 512 bytes of it.
bool is_etag(std::string_view text);

// What can be asked by for the rest of a file: a strong ETag, or a date of HTTP.
bool is_validator(std::string_view text);

// Printable, and at most `max_bytes` of it.
std::string for_people(std::string_view text, std::size_t max_bytes);

}  // namespace cooper::fetch
