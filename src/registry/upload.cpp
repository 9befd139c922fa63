#include "registry/upload.h"

#include <functional>
#include <string>
#include <utility>

#include "base/ids.h"
#include "base/strings.h"
#include "codec/digest.h"
#include "io/event_loop.h"
#include "registry/url.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"

namespace cooper::registry {
namespace {

using fetch::Event;
using fetch::Request;

// Up to this size a blob is sent by the request that ends its upload: two in all, not three.
constexpr std::uint64_t kWholeBytes = std::uint64_t{1} << 20;
constexpr std::size_t kMaxAnswerBytes = std::size_t{64} << 10;
constexpr std::int64_t kProgressMs = 100;
// A registry that takes a little each time is given up.
constexpr int kMaxPieces = 100;

bool is_success(const HttpResult& result) {
  return result.trouble == Trouble::kNone && result.head.status >= 200 && result.head.status < 300;
}

// A part of a file. `told` hears how far it has come.
class FileBody final : public BodySource {
 public:
  FileBody(BorrowedFd file, std::uint64_t begin, std::uint64_t end, std::function<void(std::uint64_t)> told = {})
      : file_(file), begin_(begin), end_(end), told_(std::move(told)) {}
  std::uint64_t size() const override { return end_ - begin_; }
  Result<std::size_t> read(std::uint64_t offset, std::span<char> buffer) override {
    const std::uint64_t at = begin_ + offset;
    ASSIGN_OR_RETURN(const std::size_t n, sys::pread(file_, buffer, static_cast<off_t>(at)));
    if (n == 0)
      return Error(Errc::kCorrupt, "ends after " + std::to_string(at) + " of " + std::to_string(end_) + " bytes");
    if (told_) told_(at);
    return n;
  }

 private:
  BorrowedFd file_;
  std::uint64_t begin_, end_;
  std::function<void(std::uint64_t)> told_;
};

// What the registry says that it keeps is what was sent. Another algorithm tells nothing.
Status check_kept(const HttpHead& head, const Digest& digest, const std::string& host) {
  const auto said = Digest::parse(head.header("docker-content-digest"));
  if (!said.ok() || said->algorithm() != digest.algorithm() || *said == digest) return {};
  return Error(Errc::kCorrupt,
               "registry " + quoted(host) + " says that it keeps " + said->str() + " and not " + digest.str())
      .with_hint("something between here and there changes what is sent, or the registry does");
}

// What the answer of a registry is kept in. It has nothing to say.
struct Answer {
  MemorySink sink{kMaxAnswerBytes};
  HttpResult run(Line& line, const HttpRequest& request) {
    HttpResult result = line.client.run(request, sink);
    if (result.trouble == Trouble::kSink && result.sink.error().code() == Errc::kLimit)
      result.sink =
          std::move(result.sink).error().with("the answer of registry " + quoted(line.registry.endpoint().host));
    return result;
  }
};

class BlobUpload {
 public:
  BlobUpload(const fetch::Setup& setup, Line& line, const Request& request, BorrowedFd file, const Report& report)
      : line_(line),
        request_(request),
        file_(file),
        report_(report),
        attempts_(setup, request.id, report),
        digest_(*Digest::parse(request.reference)),
        from_(request.from) {}

  Status run();
  bool present() const { return present_ && !sent_; }

 private:
  enum class Step {
    kCheck,   // HEAD: is it there?
    kStart,   // POST: an upload begins, or the blob of another repository is there
    kAsk,     // GET: how far has it come?
    kSend,    // PATCH: all that is missing
    kFinish,  // PUT: what is missing still, and the digest
    kDone
  };

  HttpRequest request_for(FileBody& body);
  void tell(std::uint64_t offset);
  // After an answer 2xx.
  Status take(const HttpHead& head);
  Status take_progress(const HttpHead& head);
  Status take_location(const HttpHead& head, bool required);
  // After any other. True: it was an answer to what this step asks, and the next one is set.
  Result<bool> take_refusal(const HttpResult& result);
  // A step that was never reached before is one that has not failed yet.
  void note_progress();
  Status begin_anew(const std::string& why);
  bool is_small() const { return request_.bytes <= kWholeBytes; }
  std::string host() const { return quoted(line_.registry.endpoint().host); }

  Line& line_;
  const Request& request_;
  BorrowedFd file_;
  const Report& report_;
  Attempts attempts_;
  Digest digest_;
  std::string from_;  // empty when it is of no use
  Step step_ = Step::kCheck;
  Step furthest_ = Step::kCheck;
  std::optional<Url> location_;
  std::uint64_t offset_ = 0;     // of what the registry has
  std::uint64_t confirmed_ = 0;  // the largest offset_ so far
  std::int64_t told_ms_ = 0;
  int pieces_ = 0;
  bool sent_ = false;  // some of it, at least
  bool mount_authorized_ = false;
  bool present_ = false;
};

void BlobUpload::tell(std::uint64_t offset) {
  const std::int64_t now_ms = io::monotonic_ms();
  if (now_ms - told_ms_ < kProgressMs) return;
  told_ms_ = now_ms;
  report_({.id = request_.id, .kind = Event::Kind::kProgress, .bytes = offset});
}

HttpRequest BlobUpload::request_for(FileBody& body) {
  Registry& registry = line_.registry;
  const std::string start = uploads_url(registry.scheme(), registry.endpoint());
  const std::string place = location_ ? location_->str() : start;
  HttpRequest out{.url = place};
  const auto own = parse_url(start);
  if (!location_ || (own.ok() && same_origin(*own, *location_))) out.authorization = registry.authorization();
  switch (step_) {
    case Step::kCheck:
      out.method = Method::kHead;
      out.url = blob_url(registry.scheme(), registry.endpoint(), request_.reference);
      return out;
    case Step::kStart:
      out.method = Method::kPost;
      // Not that of a form.
      out.headers = {"Content-Type:"};
      if (!from_.empty()) out.url = with_parameter(with_parameter(start, "mount", digest_.str()), "from", from_);
      return out;
    case Step::kAsk:
    case Step::kDone:
      return out;
    case Step::kSend:
      out.method = Method::kPatch;
      break;
    case Step::kFinish:
      out.method = Method::kPut;
      out.url = with_parameter(place, "digest", digest_.str());
      break;
  }
  out.body = &body;
  out.headers = {"Content-Type: application/octet-stream"};
  if (offset_ != 0 && body.size() != 0)
    out.headers.push_back("Content-Range: " + std::to_string(offset_) + "-" + std::to_string(request_.bytes - 1));
  return out;
}

Status BlobUpload::begin_anew(const std::string& why) {
  const std::string said = "registry " + host() + " " + why;
  location_.reset();
  offset_ = 0;
  // It may have come whole: then it is the word about it that was lost.
  const Step before = std::exchange(step_, Step::kCheck);
  // The failure after which it was asked has been counted, and waited for.
  if (before == Step::kAsk) return {};
  return attempts_.wait(said, {}, Error(Errc::kSystem, said).with_hint("try again later"));
}

Status BlobUpload::take_location(const HttpHead& head, bool required) {
  const std::string text = head.header("location");
  if (text.empty() && !required) return {};
  const auto base = parse_url(head.url);
  if (!base.ok()) return Error(Errc::kInternal, base.error().message());
  auto next = resolve_url(*base, text);
  if (!next.ok()) {
    return Error(Errc::kCorrupt,
                 "registry " + host() + " sends an upload to " + quoted(text) + ": " + next.error().message());
  }
  if (base->scheme == "https" && next->scheme != "https") {
    return Error(Errc::kPermission, "registry " + host() + " sends an upload from https down to " + quoted(next->str()))
        .with_hint("it does not know that it is reached by https: a proxy before it must say so (X-Forwarded-Proto)");
  }
  location_ = std::move(*next);
  return {};
}

// Of an upload that goes on: how far it has come.
Status BlobUpload::take_progress(const HttpHead& head) {
  RETURN_IF_ERROR(take_location(head, false));
  const std::string range = head.header("range");
  std::uint64_t taken = request_.bytes;
  // Who says nothing has taken what was sent.
  if (step_ == Step::kAsk || !range.empty()) {
    const auto parsed = parse_taken(range, request_.bytes);
    if (!parsed) return begin_anew("has kept nothing of the upload");
    taken = *parsed;
  }
  if (step_ == Step::kSend && (taken <= offset_ || ++pieces_ > kMaxPieces))
    return begin_anew("takes no more of the upload");
  offset_ = taken;
  if (offset_ > confirmed_) {
    confirmed_ = offset_;
    attempts_.made_progress();
  }
  step_ = offset_ == request_.bytes || is_small() ? Step::kFinish : Step::kSend;
  return {};
}

Status BlobUpload::take(const HttpHead& head) {
  switch (step_) {
    case Step::kCheck: {
      const auto length = parse_number<std::uint64_t>(head.header("content-length"));
      // Of another size it is something else, whatever its name: the digest is checked when it is sent.
      present_ = !length || *length == request_.bytes;
      step_ = present_ || request_.kind == Request::Kind::kHasBlob ? Step::kDone : Step::kStart;
      return {};
    }
    case Step::kStart:
      if (head.status == 201 && !from_.empty()) {
        RETURN_IF_ERROR(check_kept(head, digest_, line_.registry.endpoint().host));
        present_ = true;
        step_ = Step::kDone;
        return {};
      }
      RETURN_IF_ERROR(take_location(head, true));
      step_ = is_small() ? Step::kFinish : Step::kSend;
      return {};
    case Step::kAsk:
    case Step::kSend:
      return take_progress(head);
    case Step::kFinish:
      step_ = Step::kDone;
      return check_kept(head, digest_, line_.registry.endpoint().host);
    case Step::kDone:
      break;
  }
  return {};
}

Result<bool> BlobUpload::take_refusal(const HttpResult& result) {
  const long status = result.head.status;
  const bool lost = status == 404 || status == 410 || status == 416;
  switch (step_) {
    case Step::kCheck:
      if (status != 404) return false;
      step_ = request_.kind == Request::Kind::kHasBlob ? Step::kDone : Step::kStart;
      return true;
    case Step::kStart: {
      // Another repository is only a shorter way.
      const bool passing = status >= 500 || status == 429 || status == 408;
      if (from_.empty() || passing || (status == 401 && !std::exchange(mount_authorized_, true))) return false;
      from_.clear();
      return true;
    }
    case Step::kAsk:
      if (!lost && status != 400 && status != 405) return false;
      break;
    default:
      if (status == 400 && step_ == Step::kFinish) {
        return Error(Errc::kCorrupt, "registry " + host() + " answers " + describe_answer(status, result.answer))
            .with_hint("if it got other bytes than were sent, try again");
      }
      if (!lost) return false;
  }
  RETURN_IF_ERROR(begin_anew("has given the upload up: it answers " + describe_answer(status, result.answer)));
  return true;
}

void BlobUpload::note_progress() {
  if (step_ <= furthest_) return;
  furthest_ = step_;
  attempts_.made_progress();
}

Status BlobUpload::run() {
  step_ = request_.kind == Request::Kind::kHasBlob ? Step::kCheck : Step::kStart;
  while (step_ != Step::kDone) {
    FileBody body(file_, offset_, request_.bytes, [this](std::uint64_t offset) { tell(offset); });
    const HttpRequest request = request_for(body);
    const bool sending = step_ == Step::kSend || step_ == Step::kFinish;
    sent_ = sent_ || sending;
    HttpResult result = Answer().run(line_, request);
    if (is_success(result)) {
      RETURN_IF_ERROR(take(result.head));
      note_progress();
      continue;
    }
    if (result.trouble == Trouble::kNone) {
      ASSIGN_OR_RETURN(const bool taken, take_refusal(result));
      if (taken) {
        note_progress();
        continue;
      }
    }
    Status status = attempts_.after(line_, result, request.authorization, !location_);
    if (!status.ok()) {
      if (step_ != Step::kStart || from_.empty() || result.trouble != Trouble::kNone) return status;
      // Its token service does not like to be asked about another repository.
      from_.clear();
      continue;
    }
    // Who is asked for a password first has taken nothing.
    if (sending && (result.trouble != Trouble::kNone || result.head.status != 401)) step_ = Step::kAsk;
  }
  return {};
}

Status send_manifest(const fetch::Setup& setup, Line& line, const Request& request, BorrowedFd file,
                     const Report& report, bool& present) {
  if (request.bytes > oci_image::kMaxDocumentBytes)
    return Error(Errc::kLimit, "is larger than " + format_bytes(oci_image::kMaxDocumentBytes));
  std::string bytes(static_cast<std::size_t>(request.bytes), '\0');
  ASSIGN_OR_RETURN(const std::size_t n, sys::pread(file, bytes, 0));
  if (n != bytes.size()) return Error(Errc::kCorrupt, "is shorter than it was said to be");
  const auto wanted = Digest::parse(request.reference);
  codec::Hasher hasher = wanted.ok() ? codec::Hasher(*wanted) : codec::Hasher();
  hasher.update(bytes);
  const Digest digest = hasher.finish();
  if (wanted.ok() && *wanted != digest) return Error(Errc::kCorrupt, "has another digest: " + digest.str());
  Attempts attempts(setup, request.id, report);
  const fetch::Endpoint& endpoint = line.registry.endpoint();
  bool asking = true;
  bool asked = false;
  while (true) {
    FileBody body(file, 0, request.bytes);
    HttpRequest http{.url = manifest_url(line.registry.scheme(), endpoint, request.reference),
                     .headers = {(asking ? "Accept: " : "Content-Type: ") + request.media_type},
                     .authorization = line.registry.authorization(),
                     .method = asking ? Method::kHead : Method::kPut,
                     .body = asking ? nullptr : &body};
    HttpResult result = Answer().run(line, http);
    if (is_success(result) && !asking) return check_kept(result.head, digest, endpoint.host);
    present = is_success(result) && result.head.header("docker-content-digest") == digest.str();
    if (present) return {};
    if (is_success(result) || (asking && result.trouble == Trouble::kNone && result.head.status == 404)) {
      asking = false;
      if (!std::exchange(asked, true)) attempts.made_progress();
      continue;
    }
    RETURN_IF_ERROR(attempts.after(line, result, http.authorization, asking));
    // A try whose answer was lost may have done it.
    if (result.trouble != Trouble::kNone) asking = true;
  }
}

}  // namespace

std::optional<std::uint64_t> parse_taken(std::string_view range, std::uint64_t size_bytes) {
  range = trim(range);
  if (range.starts_with("bytes")) range.remove_prefix(std::string_view("bytes").size());
  if (range.starts_with('=') || range.starts_with(' ')) range.remove_prefix(1);
  const auto ends = split_once(range, '-');
  if (!ends || ends->first != "0") return std::nullopt;
  const auto last = parse_number<std::uint64_t>(ends->second);
  if (!last || *last == 0 || *last >= size_bytes) return std::nullopt;
  return *last + 1;
}

Event run_upload(const fetch::Setup& setup, Line& line, const Request& request, BorrowedFd file, const Report& report) {
  bool present = false;
  Status status;
  if (request.kind == Request::Kind::kSendManifest) {
    status = send_manifest(setup, line, request, file, report, present);
  } else {
    BlobUpload upload(setup, line, request, file, report);
    status = upload.run();
    present = upload.present();
  }
  if (status.ok()) {
    const bool sent = !present && request.kind != Request::Kind::kHasBlob;
    return {.id = request.id,
            .kind = Event::Kind::kDone,
            .bytes = sent ? request.bytes : 0,
            .present = present,
            .endpoint = line.registry.endpoint().host};
  }
  const Error& error = status.error();
  return {.id = request.id,
          .kind = Event::Kind::kFailed,
          .message = (request.kind == Request::Kind::kSendManifest ? "manifest " : "blob ") + request.reference + ": " +
                     error.message(),
          .hint = error.hint(),
          .code = error.code()};
}

}  // namespace cooper::registry
