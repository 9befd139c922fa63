#include "registry/http.h"

#include <curl/curl.h>
#include <linux/sockios.h>
#include <openssl/ssl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "io/event_loop.h"
#include "registry/proxy.h"
#include "registry/url.h"

namespace cooper::registry {
namespace {

constexpr int kMaxRedirects = 10;
constexpr std::size_t kMaxAnswerBytes = std::size_t{64} << 10;
constexpr std::size_t kMaxHeaderBytes = std::size_t{256} << 10;
constexpr long kConnectTimeoutS = 30;
// Less is no transfer but somebody who wants to be waited for.
constexpr long kMinBytesPerS = 1024;
constexpr std::size_t kMaxWords = 300;
// Who has got all of a body may work on it for so long: registries read a large layer again before they answer.
constexpr unsigned kAnswerTimeoutS = 15 * 60;

bool is_success(long status) {
  return status >= 200 && status < 300;
}
bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// One answer as it arrives.
struct Arrival {
  BodySink& sink;
  HttpHead head;
  std::size_t header_bytes = 0;
  std::string answer = {};
  bool begun = false;
  bool too_long = false;
  Status sink_status = {};
};

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& arrival = *static_cast<Arrival*>(user);
  const std::string_view line = trim({data, size * count});
  arrival.header_bytes += size * count;
  if (arrival.header_bytes > kMaxHeaderBytes) {
    arrival.too_long = true;
    return 0;
  }
  // Another answer begins: after an interim one, or a proxy's.
  if (line.starts_with("HTTP/")) arrival.head.headers.clear();
  if (const auto pair = split_once(line, ':'); pair && !line.starts_with("HTTP/"))
    arrival.head.headers.emplace(to_lower(trim(pair->first)), std::string(trim(pair->second)));
  return size * count;
}

// Sockets of a client. All but the one in use are idle.
using Sockets = std::vector<curl_socket_t>;

int on_socket(void* user, curl_socket_t socket, curlsocktype) {
  static_cast<Sockets*>(user)->push_back(socket);
  return CURL_SOCKOPT_OK;
}

int on_socket_end(void* user, curl_socket_t socket) {
  std::erase(*static_cast<Sockets*>(user), socket);
  return ::close(socket);
}

// What the other end has not acknowledged yet.
std::int64_t bytes_under_way(const Sockets& sockets) {
  std::int64_t total = 0;
  for (const curl_socket_t socket : sockets) {
    int bytes = 0;
    if (::ioctl(socket, SIOCOUTQ, &bytes) == 0) total += bytes;
  }
  return total;
}

// One body on its way.
struct Sending {
  BodySource* source;
  const Sockets& sockets;
  unsigned stall_timeout_s;
  std::uint64_t offset = 0;
  Status status = {};
  // Since when what is to move in the time limit has not; -1: not connected yet.
  std::int64_t since_ms = -1;
  std::int64_t moved_bytes = 0;  // then
  bool whole = false;            // all of it is there: since then
  std::string stalled = {};      // how it was given up
};

std::size_t on_send(char* data, std::size_t size, std::size_t count, void* user) {
  auto& sending = *static_cast<Sending*>(user);
  if (sending.offset >= sending.source->size()) return 0;
  const std::uint64_t room = std::min<std::uint64_t>(size * count, sending.source->size() - sending.offset);
  const auto n = sending.source->read(sending.offset, {data, static_cast<std::size_t>(room)});
  if (!n.ok()) {
    sending.status = Error(n.error().code(), n.error().message(), n.error().errno_value()).with_hint(n.error().hint());
    return CURL_READFUNC_ABORT;
  }
  sending.offset += *n;
  return *n;
}

// The library would send it all again when a kept connection breaks; who has got some of it must be asked first.
int on_rewind(void* user, curl_off_t offset, int origin) {
  const bool there = origin == SEEK_SET && static_cast<Sending*>(user)->offset == static_cast<std::uint64_t>(offset);
  return there ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

int on_connected(void* user, char*, char*, int, int) {
  static_cast<Sending*>(user)->since_ms = io::monotonic_ms();
  return CURL_PREREQFUNC_OK;
}

// At least once a second.
int on_progress(void* user, curl_off_t, curl_off_t received, curl_off_t, curl_off_t sent) {
  auto& sending = *static_cast<Sending*>(user);
  if (sending.since_ms < 0) return 0;
  const std::int64_t now_ms = io::monotonic_ms();
  const std::int64_t under_way = bytes_under_way(sending.sockets);
  const std::int64_t moved_bytes = received + sent - under_way;
  const bool whole = static_cast<std::uint64_t>(sent) == sending.source->size() && under_way == 0;
  if (whole != sending.whole ||
      (!whole && moved_bytes - sending.moved_bytes >= kMinBytesPerS * sending.stall_timeout_s)) {
    sending.whole = whole;
    sending.moved_bytes = moved_bytes;
    sending.since_ms = now_ms;
  }
  const unsigned limit_s = whole ? std::max(sending.stall_timeout_s, kAnswerTimeoutS) : sending.stall_timeout_s;
  if (now_ms - sending.since_ms < std::int64_t{limit_s} * 1000) return 0;
  sending.stalled =
      (whole ? "no answer to what was sent for " : "next to nothing was taken for ") + std::to_string(limit_s) + " s";
  return 1;
}

Status pass_on(Arrival& arrival, CURL* handle, std::string_view bytes) {
  if (!arrival.begun) {
    (void)::curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &arrival.head.status);
    arrival.begun = true;
    if (is_success(arrival.head.status)) RETURN_IF_ERROR(arrival.sink.begin(arrival.head));
  }
  if (is_success(arrival.head.status)) return bytes.empty() ? Status() : arrival.sink.write(bytes);
  arrival.answer.append(bytes.substr(0, kMaxAnswerBytes - std::min(kMaxAnswerBytes, arrival.answer.size())));
  return {};
}

struct BodyUser {
  Arrival& arrival;
  CURL* handle;
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& body = *static_cast<BodyUser*>(user);
  body.arrival.sink_status = pass_on(body.arrival, body.handle, {data, size * count});
  // Enough of an answer that is only for a message.
  if (body.arrival.answer.size() >= kMaxAnswerBytes) return 0;
  return body.arrival.sink_status.ok() ? size * count : 0;
}

Trouble trouble_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return Trouble::kNone;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return Trouble::kResolve;
    case CURLE_COULDNT_CONNECT:
      return Trouble::kRefused;
    case CURLE_SSL_CONNECT_ERROR:
      return Trouble::kNoTls;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
      return Trouble::kCertificate;
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY:
      return Trouble::kBroken;
    default:
      return Trouble::kOther;
  }
}

// The server wants to see a certificate in the handshake; the library's own, if it has one, is used.
int on_certificate_request(SSL*, void* user) {
  *static_cast<bool*>(user) = true;
  return 1;
}

CURLcode on_tls(CURL*, void* context, void* user) {
  ::SSL_CTX_set_cert_cb(static_cast<SSL_CTX*>(context), on_certificate_request, user);
  return CURLE_OK;
}

// What a server of TLS says when it does not like the certificate, or misses it. A server of TLS 1.3 refuses after the
// handshake, and may close before its word can be read.
bool is_about_our_certificate(CURLcode code, std::string_view words, bool have_one, bool nothing_came) {
  if (code == CURLE_OPERATION_TIMEDOUT || trouble_of(code) == Trouble::kCertificate) return false;
  const bool alert = words.find("alert") != std::string_view::npos;
  const bool named =
      alert &&
      (words.find("certificate") != std::string_view::npos || words.find("unknown ca") != std::string_view::npos ||
       words.find("access denied") != std::string_view::npos || words.find("decrypt error") != std::string_view::npos);
  if (named) return true;
  const Trouble trouble = trouble_of(code);
  // One that was given and refused: the next word to the server fails. An end without an error is somebody else's.
  if (have_one) return nothing_came && (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR);
  return nothing_came && (trouble == Trouble::kBroken || (trouble == Trouble::kNoTls && alert));
}

// What was waited for in vain.
std::string describe_timeout(CURL* handle, long connect_timeout_s, unsigned stall_timeout_s) {
  curl_off_t ready_us = 0;
  (void)::curl_easy_getinfo(handle, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
  return ready_us == 0 ? "no connection within " + std::to_string(connect_timeout_s) + " s"
                       : "nothing came for " + std::to_string(stall_timeout_s) + " s";
}

// How far it came before the time was over.
Trouble timeout_trouble(CURL* handle) {
  curl_off_t resolved_us = 0;
  curl_off_t connected_us = 0;
  (void)::curl_easy_getinfo(handle, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us);
  (void)::curl_easy_getinfo(handle, CURLINFO_CONNECT_TIME_T, &connected_us);
  if (resolved_us == 0) return Trouble::kResolve;
  return connected_us == 0 ? Trouble::kRefused : Trouble::kBroken;
}

struct curl_blob blob_of(const std::string& text) {
  // The library does not write to it.
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_NOCOPY};
}

}  // namespace

std::string HttpHead::header(std::string_view name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

struct HttpClient::Impl {
  CURL* handle = nullptr;
  const fetch::Endpoint& endpoint;
  const fetch::Proxies& proxies;
  unsigned stall_timeout_s;
  Sockets sockets = {};
  bool certificate_wanted = false;  // in the handshake of this exchange

  unsigned stall_of(const HttpRequest& request) const {
    return request.max_silence_s == 0 ? stall_timeout_s : std::min(stall_timeout_s, request.max_silence_s);
  }
  static long connect_of(const HttpRequest& request) {
    return request.max_silence_s == 0 ? kConnectTimeoutS : std::min<long>(kConnectTimeoutS, request.max_silence_s);
  }
  void set_up(const HttpRequest& request, const Url& url);
  void set_up_body(const HttpRequest& request, Sending& sending);
  // One request and its answer, whatever it is.
  HttpResult exchange(const HttpRequest& request, const Url& url, bool own_origin, long time_limit_ms, BodySink& sink);
};

void HttpClient::Impl::set_up(const HttpRequest& request, const Url& url) {
  // Keeps the connections.
  ::curl_easy_reset(handle);
  const auto set = [&](CURLoption option, auto value) { (void)::curl_easy_setopt(handle, option, value); };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_USERAGENT, "cooper/" COOPER_VERSION);
  set(CURLOPT_CONNECTTIMEOUT, connect_of(request));
  set(CURLOPT_LOW_SPEED_LIMIT, kMinBytesPerS);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(stall_of(request)));
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_SOCKOPTFUNCTION, on_socket);
  set(CURLOPT_SOCKOPTDATA, &sockets);
  set(CURLOPT_CLOSESOCKETFUNCTION, on_socket_end);
  set(CURLOPT_CLOSESOCKETDATA, &sockets);
  set(CURLOPT_BUFFERSIZE, 256L << 10);
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SSL_VERIFYPEER, endpoint.verify_tls ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, endpoint.verify_tls ? 2L : 0L);
  set(CURLOPT_SSL_CTX_FUNCTION, on_tls);
  set(CURLOPT_SSL_CTX_DATA, &certificate_wanted);
  // The empty text keeps the library from looking into the environment. It would read the exceptions otherwise, and
  // ask a proxy for this machine.
  const std::string& proxy = url.scheme == "https" ? proxies.https : proxies.http;
  set(CURLOPT_PROXY, is_direct(url, proxies.exceptions) ? "" : proxy.c_str());
  set(CURLOPT_NOPROXY, "");
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (!endpoint.ca_pem.empty()) {
    struct curl_blob blob = blob_of(endpoint.ca_pem);
    set(CURLOPT_CAINFO_BLOB, &blob);
    set(CURLOPT_CAPATH, "/etc/ssl/certs");
  }
  if (!endpoint.certificate_pem.empty() && !endpoint.key_pem.empty()) {
    struct curl_blob certificate = blob_of(endpoint.certificate_pem);
    struct curl_blob key = blob_of(endpoint.key_pem);
    set(CURLOPT_SSLCERT_BLOB, &certificate);
    set(CURLOPT_SSLKEY_BLOB, &key);
    set(CURLOPT_SSLCERTTYPE, "PEM");
    set(CURLOPT_SSLKEYTYPE, "PEM");
  }
  if (!request.post.empty()) {
    set(CURLOPT_POSTFIELDS, request.post.c_str());
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.post.size()));
  }
  if (request.from_byte != 0) {
    const std::string range = std::to_string(request.from_byte) + "-";
    set(CURLOPT_RANGE, range.c_str());
  }
}

void HttpClient::Impl::set_up_body(const HttpRequest& request, Sending& sending) {
  const auto set = [&](CURLoption option, auto value) { (void)::curl_easy_setopt(handle, option, value); };
  switch (request.method) {
    case Method::kGet:
      return;
    case Method::kHead:
      return set(CURLOPT_NOBODY, 1L);
    case Method::kPost:
      set(CURLOPT_POSTFIELDSIZE, 0L);
      return set(CURLOPT_POSTFIELDS, "");
    case Method::kPatch:
    case Method::kPut:
      set(CURLOPT_UPLOAD, 1L);
      set(CURLOPT_CUSTOMREQUEST, request.method == Method::kPut ? "PUT" : "PATCH");
      set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(sending.source->size()));
      set(CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
      set(CURLOPT_READFUNCTION, on_send);
      set(CURLOPT_READDATA, &sending);
      set(CURLOPT_SEEKFUNCTION, on_rewind);
      set(CURLOPT_SEEKDATA, &sending);
      // Our own watch: the library's does not know that an answer is waited for.
      set(CURLOPT_LOW_SPEED_TIME, 0L);
      set(CURLOPT_PREREQFUNCTION, on_connected);
      set(CURLOPT_PREREQDATA, &sending);
      set(CURLOPT_NOPROGRESS, 0L);
      set(CURLOPT_XFERINFOFUNCTION, on_progress);
      set(CURLOPT_XFERINFODATA, &sending);
  }
}

HttpResult HttpClient::Impl::exchange(const HttpRequest& request, const Url& url, bool own_origin, long time_limit_ms,
                                      BodySink& sink) {
  certificate_wanted = false;
  set_up(request, url);
  (void)::curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, time_limit_ms);
  Sending sending{.source = request.body, .sockets = sockets, .stall_timeout_s = stall_timeout_s};
  set_up_body(request, sending);
  struct curl_slist* headers = nullptr;
  const auto add = [&](const std::string& line) {
    if (struct curl_slist* longer = ::curl_slist_append(headers, line.c_str())) headers = longer;
  };
  // Without a word about it any encoding would do, RFC 9110 12.5.3; what comes is stored and checked as it is.
  add("Accept-Encoding: identity");
  for (const std::string& line : request.headers) add(line);
  if (own_origin && !request.authorization.empty()) add("Authorization: " + request.authorization);
  std::array<char, CURL_ERROR_SIZE> words{};
  Arrival arrival{.sink = sink, .head = {.url = request.url, .headers = {}}};
  BodyUser body{arrival, handle};
  (void)::curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
  (void)::curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, words.data());
  (void)::curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  (void)::curl_easy_setopt(handle, CURLOPT_HEADERDATA, &arrival);
  (void)::curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
  (void)::curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
  const CURLcode code = ::curl_easy_perform(handle);
  // An answer without a body.
  if (code == CURLE_OK && !arrival.begun) arrival.sink_status = pass_on(arrival, handle, {});
  (void)::curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &arrival.head.status);
  (void)::curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, nullptr);
  (void)::curl_easy_setopt(handle, CURLOPT_HTTPHEADER, nullptr);
  ::curl_slist_free_all(headers);

  HttpResult result{.head = std::move(arrival.head), .answer = std::move(arrival.answer)};
  if (!arrival.sink_status.ok()) {
    result.trouble = Trouble::kSink;
    result.sink = std::move(arrival.sink_status);
  } else if (!sending.status.ok()) {
    result.trouble = Trouble::kSink;
    result.sink = std::move(sending.status);
  } else if (!sending.stalled.empty()) {
    result.trouble = Trouble::kBroken;
    result.message = std::move(sending.stalled);
  } else if (arrival.too_long) {
    result.trouble = Trouble::kOther;
    result.message = "headers of more than " + format_bytes(kMaxHeaderBytes);
  } else if (code == CURLE_OPERATION_TIMEDOUT && result.answer.size() < kMaxAnswerBytes) {
    result.trouble = timeout_trouble(handle);
    result.silence = true;
    result.message = describe_timeout(handle, connect_of(request), stall_of(request));
  } else if (code != CURLE_OK && result.answer.size() < kMaxAnswerBytes) {
    result.trouble = trouble_of(code);
    const bool have_one = !endpoint.certificate_pem.empty();
    if (certificate_wanted && is_about_our_certificate(code, words.data(), have_one, arrival.header_bytes == 0))
      result.trouble = Trouble::kClientCertificate;
    result.message = words[0] != '\0' ? std::string(words.data()) : std::string(::curl_easy_strerror(code));
  }
  return result;
}

HttpClient::HttpClient(const fetch::Endpoint& endpoint, const fetch::Proxies& proxies, unsigned stall_timeout_s)
    : impl_(std::make_unique<Impl>(Impl{::curl_easy_init(), endpoint, proxies, stall_timeout_s})) {
  COOPER_ASSERT(impl_->handle != nullptr);
}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() {
  // Closes the sockets.
  if (impl_) ::curl_easy_cleanup(impl_->handle);
}

HttpResult HttpClient::run(const HttpRequest& request, BodySink& sink) {
  const auto refuse = [](std::string why) {
    return HttpResult{.trouble = Trouble::kRedirect, .message = std::move(why)};
  };
  HttpRequest now = request;
  const auto first = parse_url(request.url);
  if (!first.ok()) return refuse(first.error().message());
  Url url = *first;
  const std::int64_t end_ms = io::monotonic_ms() + std::int64_t{request.time_limit_s} * 1000;
  for (int hops = 0; hops <= kMaxRedirects; ++hops) {
    // For the library 0 is no limit.
    const std::int64_t left_ms = request.time_limit_s == 0 ? 0 : std::max<std::int64_t>(end_ms - io::monotonic_ms(), 1);
    HttpResult result = impl_->exchange(now, url, same_origin(url, *first), left_ms, sink);
    if (result.trouble != Trouble::kNone || !is_redirect(result.head.status)) return result;
    const bool reading = request.method == Method::kGet || request.method == Method::kHead;
    if (!reading && result.head.status != 307 && result.head.status != 308)
      return refuse("redirect (" + std::to_string(result.head.status) + ") of what is sent");
    auto next = resolve_url(url, result.head.header("location"));
    if (!next.ok())
      return refuse("redirect to " + quoted(fetch::for_people(result.head.header("location"), kMaxWords)) + ": " +
                    next.error().message());
    if (url.scheme == "https" && next->scheme != "https" && !request.leave_tls)
      return refuse("redirect from https down to " + quoted(fetch::for_people(next->str(), kMaxWords)));
    url = std::move(*next);
    now.url = url.str();
    // A form holds credentials.
    if (!now.post.empty() && !same_origin(url, *first)) return refuse("redirect of a form to " + quoted(url.origin()));
  }
  return refuse("more than " + std::to_string(kMaxRedirects) + " redirects");
}

Status HttpClient::initialise() {
  if (::curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return Error(Errc::kSystem, "libcurl cannot be used");
  return {};
}

std::string HttpClient::library_version() {
  return ::curl_version();
}

Status MemorySink::begin(const HttpHead&) {
  bytes_.clear();
  return {};
}

Status MemorySink::write(std::string_view bytes) {
  if (bytes_.size() + bytes.size() > max_bytes_)
    return Error(Errc::kLimit, "is larger than " + format_bytes(max_bytes_));
  bytes_ += bytes;
  return {};
}

}  // namespace cooper::registry
