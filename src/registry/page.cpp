#include "registry/page.h"

#include <algorithm>
#include <ctime>

#include "base/strings.h"
#include "codec/base64.h"
#include "registry/backoff.h"
#include "registry/registry.h"
#include "registry/url.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"

namespace cooper::registry {
namespace {

using fetch::Event;

constexpr long kAccepted = 202;
constexpr long kPartial = 206;
constexpr long kNotModified = 304;
constexpr long kNotSatisfiable = 416;
// A date says nothing of what is written in the second it names; whose clock it is of nobody knows.
constexpr std::int64_t kStrongDateAgeS = 60;

// What If-Range takes and the rest of a file can be joined by, RFC 9110 8.8: a weak ETag promises nothing about bytes.
std::string validator_of(const HttpHead& head) {
  const std::string tag = head.header("etag");
  if (tag.starts_with('"')) return fetch::is_etag(tag) ? tag : std::string();
  const std::string modified = head.header("last-modified");
  const auto then = parse_http_date(modified);
  const auto now = parse_http_date(head.header("date"));
  return then && now && *now - *then >= kStrongDateAgeS && fetch::is_validator(modified) ? modified : std::string();
}

// Bytes as they come, from whatever connection. What was received before a connection broke is kept, if the server can
// tell that the rest belongs to it; so is what an earlier fetch has left, and otherwise all comes again.
class PageSink final : public BodySink {
 public:
  // `begun`: an answer begins, `restart` says with what was there already.
  struct Begun {
    std::uint64_t bytes;
    std::uint64_t total;
    bool restart;
  };
  PageSink(const fetch::Request& request, BorrowedFd pipe, std::function<void(const Begun&)> begun)
      : max_bytes_(request.bytes),
        pipe_(pipe),
        begun_(std::move(begun)),
        validator_(request.validator),
        had_(request.had_bytes),
        received_(request.had_bytes) {}

  Status begin(const HttpHead& head) override {
    skip_ = 0;
    // Rkt's servers say so of a signature that is made while the image is fetched.
    if (head.status == kAccepted) return Error(Errc::kBusy, "is not there yet: the server answers 202 Accepted");
    const std::string validator = validator_of(head);
    bool restart = false;
    if (had_ != 0 && (head.status != kPartial || !goes_on(head, validator))) {
      if (head.status == kPartial) return Error(Errc::kCorrupt, "the server answers with a part of something else");
      restart = true;
      received_ = 0;
    } else if (received_ != 0) {
      if (validator.empty() || validator != validator_)
        return Error(Errc::kCorrupt, "was changed while it was fetched").with_hint("try again");
      if (head.status != kPartial) {
        skip_ = received_;
      } else if (!goes_on(head, validator)) {
        return Error(Errc::kCorrupt, "the server answers with another part than it was asked for");
      }
    } else if (head.status == kPartial) {
      return Error(Errc::kCorrupt, "the server answers with a part, and was asked for all");
    }
    validator_ = validator;
    if (const auto length = parse_number<std::uint64_t>(head.header("content-length"))) {
      const std::uint64_t whole = head.status == kPartial ? received_ + *length : *length;
      if (whole > max_bytes_ || whole < received_) return too_large();
      expected_ = whole;
    }
    had_ = 0;
    begun_({received_, expected_.value_or(0), restart});
    return {};
  }
  Status write(std::string_view bytes) override {
    const std::size_t known = std::min<std::uint64_t>(skip_, bytes.size());
    skip_ -= known;
    bytes.remove_prefix(known);
    if (bytes.empty()) return {};
    if (bytes.size() > max_bytes_ - received_) return too_large();
    received_ += bytes.size();
    progress_ = true;
    return sys::write_all(pipe_, bytes);
  }

  std::uint64_t received() const { return received_; }
  // Of an answer that has ended.
  bool complete() const { return skip_ == 0 && (!expected_ || received_ == *expected_); }
  // What the rest of it must agree with; empty: nothing, there is no rest to ask for.
  const std::string& validator() const { return validator_; }
  bool made_progress() { return std::exchange(progress_, false); }
  // Nothing has come yet that is joined to what was there, and the server has another part of it than was asked for:
  // the next answer is all of it, if true.
  bool give_up_what_was_there() {
    if (had_ == 0) return false;
    asks_for_all_ = true;
    return true;
  }
  std::uint64_t from_byte() const { return asks_for_all_ && had_ != 0 ? 0 : received_; }

 private:
  bool goes_on(const HttpHead& head, const std::string& validator) const {
    return validator == validator_ &&
           head.header("content-range").starts_with("bytes " + std::to_string(received_) + "-");
  }
  Error too_large() const { return {Errc::kLimit, "is larger than " + format_bytes(max_bytes_)}; }

  std::uint64_t max_bytes_;
  BorrowedFd pipe_;
  std::function<void(const Begun&)> begun_;
  std::string validator_;
  std::optional<std::uint64_t> expected_;
  std::uint64_t had_;  // of an earlier fetch, until an answer says whether it is of the same file
  std::uint64_t received_;
  bool asks_for_all_ = false;
  std::uint64_t skip_ = 0;
  bool progress_ = false;
};

std::string origin_of(std::string_view text) {
  const auto url = parse_url(text);
  return url.ok() ? url->origin() : std::string(text);
}

std::string hint_of_credentials(const fetch::Endpoint& endpoint, std::string_view url) {
  if (!endpoint.username.empty() || !endpoint.password.empty())
    return "the credentials for " + quoted(endpoint.host) + " are wrong, or do not allow this";
  if (url.starts_with("http:"))
    return "it may want credentials: over plain http only those of --creds are sent, none of a file";
  return "it may want credentials: --creds USER:PASSWORD, or a file in /etc/cooper/auth.d";
}

Error of_status(const fetch::Endpoint& endpoint, const HttpResult& result) {
  const long status = result.head.status;
  const std::string said = origin_of(result.head.url) + " answers " + describe_answer(status, {});
  if (status == 404 || status == 410) return {Errc::kNotFound, said};
  if (status == 401 || status == 403)
    return Error(Errc::kPermission, said).with_hint(hint_of_credentials(endpoint, result.head.url));
  return {status == 429 ? Errc::kLimit : Errc::kSystem, said};
}

// Of a server that was redirected to nothing was looked for.
std::string certificates_of(const fetch::Endpoint& endpoint, std::string_view url) {
  const std::string origin = origin_of(url);
  const std::string host = origin.substr(origin.find("//") + 2);
  return host == endpoint.host ? endpoint.certificates_in : "/etc/cooper/certs.d/" + host;
}

Error of_trouble(const fetch::Endpoint& endpoint, const HttpResult& result) {
  const std::string words = fetch::for_people(result.message, 500);
  // Of a redirect nobody was asked.
  if (result.trouble == Trouble::kRedirect) return {Errc::kPermission, words};
  const std::string said = origin_of(result.head.url) + ": " + words;
  switch (result.trouble) {
    case Trouble::kResolve:
      return Error(Errc::kNotFound, said).with_hint("check the name, and the network");
    case Trouble::kCertificate:
      return Error(Errc::kPermission, said)
          .with_hint("put the certificate of its authority into " + certificates_of(endpoint, result.head.url) +
                     "/ca.crt, or use --insecure-options=tls");
    case Trouble::kClientCertificate:
      return certificate_error(origin_of(result.head.url), certificates_of(endpoint, result.head.url),
                               !endpoint.certificate_pem.empty(), words);
    case Trouble::kNoTls:
      return Error(Errc::kSystem, said).with_hint("if it speaks plain http only: --insecure-options=http");
    default:
      return {Errc::kSystem, said};
  }
}

class Page {
 public:
  Page(const fetch::Setup& setup, const fetch::Endpoint& endpoint, const fetch::Request& request, BorrowedFd pipe,
       const Report& report)
      : endpoint_(endpoint),
        request_(request),
        sink_(request, pipe,
              [&](const PageSink::Begun& begun) {
                report({.id = request.id,
                        .kind = Event::Kind::kProgress,
                        .bytes = begun.bytes,
                        .total = begun.total,
                        .validator = sink_.validator(),
                        .restart = begun.restart});
              }),
        attempts_(setup, request.id, report) {}

  Result<Event> run(HttpClient& client);

 private:
  HttpRequest next_request(const Url& url) const;
  Status after(const HttpResult& result);
  Event done(const HttpHead& head, bool unchanged) const;

  const fetch::Endpoint& endpoint_;
  const fetch::Request& request_;
  PageSink sink_;
  Attempts attempts_;
};

HttpRequest Page::next_request(const Url& url) const {
  HttpRequest out{.url = url.str()};
  if (request_.bytes <= oci_image::kMaxDocumentBytes) out.time_limit_s = kDocumentTimeLimitS;
  out.leave_tls = endpoint_.plain_http;
  // By the client's rule only to this origin. Whoever started us gives none for plain http that were not meant for it.
  if (!endpoint_.username.empty()) {
    out.authorization = "Basic " + codec::base64_encode(endpoint_.username + ":" + endpoint_.password);
  } else if (!endpoint_.password.empty()) {
    out.authorization = "Bearer " + endpoint_.password;
  }
  if (sink_.received() == 0 && !request_.if_changed.empty())
    out.headers.push_back("If-None-Match: " + request_.if_changed);
  if (sink_.from_byte() != 0) {
    out.from_byte = sink_.from_byte();
    out.headers.push_back("If-Range: " + sink_.validator());
  }
  return out;
}

Status Page::after(const HttpResult& result) {
  if (result.trouble == Trouble::kNone) {
    const long status = result.head.status;
    if (status != 408 && status != 429 && status < 500) return of_status(endpoint_, result);
    return attempts_.wait("the server answers " + std::to_string(status),
                          parse_retry_after(result.head.header("retry-after"), ::time(nullptr)),
                          of_status(endpoint_, result));
  }
  if (result.trouble != Trouble::kBroken) return of_trouble(endpoint_, result);
  if (sink_.received() != 0 && sink_.validator().empty()) {
    return of_trouble(endpoint_, result)
        .with_hint(
            "the server gives no strong ETag and no date that is old enough, so it cannot be taken up: "
            "try again");
  }
  return attempts_.wait(fetch::for_people(result.message, 500), {}, of_trouble(endpoint_, result));
}

Event Page::done(const HttpHead& head, bool unchanged) const {
  const std::string etag = head.header("etag");
  return {.id = request_.id,
          .kind = Event::Kind::kDone,
          .bytes = sink_.received(),
          .present = unchanged,
          .etag = fetch::is_etag(etag) ? etag : std::string(),
          .max_age_s = parse_max_age(head.header("cache-control")),
          .media_type = head.header("content-type"),
          .endpoint = head.url};
}

Result<Event> Page::run(HttpClient& client) {
  ASSIGN_OR_RETURN(const Url url, parse_url(request_.reference));
  if (url.scheme != "https" && !endpoint_.plain_http) {
    return Error(Errc::kPermission, "plain http tells nobody whose bytes these are")
        .with_hint("use https, or --insecure-options=http, of keys --insecure-options=pubkey");
  }
  while (true) {
    HttpResult result = client.run(next_request(url), sink_);
    const bool answered = result.trouble == Trouble::kNone;
    const bool another_part = (result.trouble == Trouble::kSink && result.head.status == kPartial) ||
                              (answered && result.head.status == kNotSatisfiable);
    if (another_part && sink_.from_byte() != 0 && sink_.give_up_what_was_there()) continue;
    if (result.trouble == Trouble::kSink) return std::move(result.sink).error();
    if (answered && result.head.status == kNotModified && sink_.received() == 0 && !request_.if_changed.empty())
      return done(result.head, true);
    if (answered && result.head.status >= 200 && result.head.status < 300) {
      if (sink_.complete()) return done(result.head, false);
      result.trouble = Trouble::kBroken;
      result.message = "the answer ended after " + std::to_string(sink_.received()) + " bytes";
    }
    if (sink_.made_progress()) attempts_.made_progress();
    RETURN_IF_ERROR(after(result));
  }
}

}  // namespace

Event run_page(const fetch::Setup& setup, const fetch::Endpoint& endpoint, HttpClient& client,
               const fetch::Request& request, BorrowedFd pipe, const Report& report) {
  Page page(setup, endpoint, request, pipe, report);
  auto done = page.run(client);
  if (done.ok()) return std::move(*done);
  const Error& error = done.error();
  return {.id = request.id,
          .kind = Event::Kind::kFailed,
          .message = request.reference + ": " + error.message(),
          .hint = error.hint(),
          .code = error.code()};
}

}  // namespace cooper::registry
