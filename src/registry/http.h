// HTTP and TLS. Hides libcurl: nothing of it shows here. One client is one thread's, and keeps its connections.
//
// Redirects are followed here and not by the library, so that the rules are plain to see: at most ten, only to http and
// https, from https down to http only if the caller says so, and credentials go to the origin (scheme, host, port) they
// are for and nowhere else. What has a body, or changes something, is sent on by 307 and 308 only, which change
// neither. Only 2xx bodies reach the caller's sink; what other answers say is kept for the message, up to 64 KiB.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fetch/protocol.h"

namespace cooper::registry {

// What is sent, from its beginning; again from there after a redirect. When the connection breaks it is not sent again
// behind the caller's back.
class BodySource {
 public:
  virtual ~BodySource() = default;
  virtual std::uint64_t size() const = 0;
  // At least one byte from `offset` on, which is less than size(); an error ends the transfer and is returned.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<char> buffer) = 0;
};

// Of a document: a manifest, a signature, a token, a page.
inline constexpr unsigned kDocumentTimeLimitS = 120;

enum class Method { kGet, kHead, kPost, kPatch, kPut };

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers = {};  // "Accept: text/plain"
  std::string authorization = {};         // the header's value
  std::string post = {};                  // a form; not empty: POST instead of GET
  std::uint64_t from_byte = 0;            // not 0: a Range
  Method method = Method::kGet;
  BodySource* body = nullptr;  // of PATCH and PUT, which must have one
  bool leave_tls = false;      // redirects may lead from https to http
  unsigned time_limit_s = 0;   // from the first redirect to the last byte; 0: bytes only have to keep coming
  unsigned max_silence_s = 0;  // not 0: nobody is waited for longer, neither for a connection nor for bytes
};

// What came before the body. Names of headers are in lower case; a header may come several times.
struct HttpHead {
  long status = 0;
  std::string url;
  std::multimap<std::string, std::string, std::less<>> headers;
  // The first of that name; empty when there is none.
  std::string header(std::string_view name) const;
};

class BodySink {
 public:
  virtual ~BodySink() = default;
  // Once, before the first byte; an error ends the transfer and is returned.
  virtual Status begin(const HttpHead& head) = 0;
  virtual Status write(std::string_view bytes) = 0;
};

// Why there is no (whole) answer.
enum class Trouble {
  kNone,
  kResolve,            // no such host
  kRefused,            // nobody listens there, or no way leads there
  kNoTls,              // the other end does not speak TLS
  kCertificate,        // its certificate is not trusted
  kClientCertificate,  // it wants one of ours, and gets none or one that it does not like
  kBroken,             // the connection ended too early, or was too slow
  kRedirect,           // a redirect that is not followed
  kSink,               // the caller's own error, of its sink or its source
  kOther,
};

struct HttpResult {
  Trouble trouble = Trouble::kNone;
  bool silence = false;      // the trouble is that nothing came in time
  std::string message = {};  // of the trouble
  HttpHead head = {};        // also with trouble, as far as it came
  std::string answer = {};   // body of an answer that is no 2xx
  Status sink = {};          // for kSink
};

class HttpClient {
 public:
  // Trust and client certificates are those of the endpoint, for every host. A connection that brings (of a body that
  // is sent: takes) fewer than 1024 bytes a second for `stall_timeout_s` is given up; when all of a body is sent the
  // whole answer may take 15 minutes.
  HttpClient(const fetch::Endpoint& endpoint, const fetch::Proxies& proxies, unsigned stall_timeout_s);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) = delete;

  HttpResult run(const HttpRequest& request, BodySink& sink);

  // Once in a process, before any thread.
  static Status initialise();
  // The library and what it uses, for --version.
  static std::string library_version();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Collects a small body.
class MemorySink final : public BodySink {
 public:
  explicit MemorySink(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  Status begin(const HttpHead& head) override;
  Status write(std::string_view bytes) override;
  std::string& bytes() { return bytes_; }

 private:
  std::size_t max_bytes_;
  std::string bytes_;
};

}  // namespace cooper::registry
