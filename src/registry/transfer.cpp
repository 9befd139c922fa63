#include "registry/transfer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "codec/digest.h"
#include "codec/gzip.h"
#include "codec/stream.h"
#include "registry/url.h"
#include "spec/oci_image/media_types.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"

namespace cooper::registry {
namespace {

using fetch::Event;
using fetch::Request;

constexpr const char* kOtherBytesHint =
    "something between here and the registry changes what is sent, or the registry does: try again, or from elsewhere";

constexpr const char* kEncodingHint =
    "ask who runs the registry, or the cache or proxy before it, to send manifests and blobs as they are stored, or "
    "pull from another place";

constexpr std::array<std::string_view, 4> kManifestTypes = {oci_image::kMediaTypeIndex, oci_image::kMediaTypeManifest,
                                                            oci_image::kMediaTypeDockerList,
                                                            oci_image::kMediaTypeDockerManifest};

// Empty when there is none.
std::string content_encoding(const HttpHead& head) {
  std::string encoding = to_lower(head.header("content-encoding"));
  return encoding == "identity" ? std::string() : encoding;
}

std::string describe_encoding(const std::string& encoding) {
  return "is sent with Content-Encoding " + quoted(fetch::for_people(encoding, 40)) + ", though nobody asked for one";
}

// A manifest as it was before something on the way compressed it. There are servers that say so of what they have not
// compressed; no manifest begins as gzip does.
Status decode_manifest(std::string& bytes, const std::string& encoding, std::size_t max_bytes) {
  if (encoding.empty() || trim(bytes).starts_with('{')) return {};
  if (encoding != "gzip" && encoding != "x-gzip")
    return Error(Errc::kUnsupported, describe_encoding(encoding)).with_hint(kEncodingHint);
  codec::MemorySource compressed(bytes);
  codec::GzipReader reader(compressed);
  // One byte more than it may have tells that it is too large.
  std::string plain(max_bytes + 1, '\0');
  const auto size = codec::read_full(reader, plain);
  if (!size.ok())
    return Error(Errc::kCorrupt, describe_encoding(encoding) + ", and cannot be decoded: " + size.error().message())
        .with_hint(kEncodingHint);
  if (*size > max_bytes) return Error(Errc::kLimit, "is larger than " + format_bytes(max_bytes));
  plain.resize(*size);
  bytes = std::move(plain);
  return {};
}

// Bytes of a blob as they come, from whatever connection. What was received before a connection broke is kept.
class BlobSink final : public BodySink {
 public:
  // `had` of its first bytes are there.
  BlobSink(const Digest& digest, std::uint64_t size, std::uint64_t had, BorrowedFd pipe)
      : digest_(digest), size_(size), had_(had), pipe_(pipe), hasher_(digest), received_(had) {}

  Status begin(const HttpHead& head) override {
    skip_ = 0;
    encoding_ = content_encoding(head);
    const std::string length = head.header("content-length");
    const auto bytes = parse_number<std::uint64_t>(length);
    std::uint64_t expected = size_;
    if (head.status == 206) {
      if (!head.header("content-range").starts_with("bytes " + std::to_string(received_) + "-"))
        return Error(Errc::kCorrupt, "the registry answers with another part than it was asked for");
      expected = size_ - received_;
    } else {
      // From the beginning again: what is known already is passed over.
      skip_ = received_;
    }
    if (bytes && *bytes != expected)
      return wrong_size("says that it has " + std::to_string(*bytes + (expected == size_ ? 0 : received_)));
    return {};
  }
  Status write(std::string_view bytes) override {
    const std::size_t known = std::min<std::uint64_t>(skip_, bytes.size());
    skip_ -= known;
    bytes.remove_prefix(known);
    if (bytes.empty()) return {};
    if (received_ + bytes.size() > size_) return wrong_size("sends more than " + std::to_string(size_));
    hasher_.update(bytes);
    received_ += bytes.size();
    progress_ = true;
    return sys::write_all(pipe_, bytes);
  }

  std::uint64_t received() const { return received_; }
  bool untouched() const { return received_ == had_; }
  bool complete() const { return received_ == size_; }
  // Of the last answer; empty when it is sent as it is. Blobs are not decoded: some servers say of what is stored
  // compressed that they have compressed it, and a part of what they have cannot be taken up.
  const std::string& encoding() const { return encoding_; }
  Error too_short() const { return wrong_size("sends only " + std::to_string(received_)); }
  // Since it was asked last.
  bool made_progress() { return std::exchange(progress_, false); }
  Status check() {
    // Who has the beginning checks the whole.
    if (had_ != 0) return {};
    const Digest actual = hasher_.finish();
    if (actual == digest_) return {};
    return wrong("is corrupt: its digest is " + actual.str());
  }

 private:
  Error wrong(const std::string& how) const {
    if (encoding_.empty()) return Error(Errc::kCorrupt, how).with_hint(kOtherBytesHint);
    return Error(Errc::kCorrupt, describe_encoding(encoding_) + ", and " + how).with_hint(kEncodingHint);
  }
  Error wrong_size(const std::string& what) const {
    return wrong("is corrupt: the registry " + what + " bytes, the manifest says " + std::to_string(size_));
  }
  const Digest& digest_;
  std::uint64_t size_;
  std::uint64_t had_;
  BorrowedFd pipe_;
  codec::Hasher hasher_;
  std::uint64_t received_;
  std::uint64_t skip_ = 0;
  bool progress_ = false;
  std::string encoding_;
};

// A document is not waited for longer when somebody else has it. A blob is: a mirror may have to fetch it itself before
// its first byte can come.
constexpr unsigned kLittleSilenceS = 10;

class Transfer {
 public:
  Transfer(const fetch::Setup& setup, const Request& request, BorrowedFd pipe, const Report& report)
      : setup_(setup), request_(request), pipe_(pipe), report_(report) {
    if (auto digest = Digest::parse(request.reference); digest.ok()) digest_.emplace(std::move(*digest));
    if (request.kind == Request::Kind::kBlob) blob_.emplace(*digest_, request.bytes, request.had_bytes, pipe);
  }

  // The host whose bytes, or the first of them, have another digest; else empty.
  const std::string& wrong() const { return wrong_; }
  // From one registry. Nothing more is tried when `final` is set.
  Status run(Line& line, Patience patience, bool& final);
  Event done(const Line& line) const {
    return {.id = request_.id,
            .kind = Event::Kind::kDone,
            .bytes = blob_ ? blob_->received() : manifest_bytes_,
            .present = present_,
            .media_type = media_type_,
            .endpoint = line.registry.endpoint().host};
  }

 private:
  HttpRequest request_for(const Registry& registry, Patience patience) const;
  std::size_t max_document_bytes() const {
    return std::min<std::uint64_t>(request_.bytes, oci_image::kMaxDocumentBytes);
  }
  Status finish_blob(bool& final);
  Status finish_manifest(std::string& bytes, const HttpHead& head, bool& final);
  Status finish_digest(const HttpHead& head, bool& final);
  Status finish_signature(const std::string& bytes, bool& final);

  const fetch::Setup& setup_;
  const Request& request_;
  BorrowedFd pipe_;
  const Report& report_;
  std::optional<Digest> digest_;
  std::optional<BlobSink> blob_;
  std::string first_;  // the host whose bytes came first
  std::string wrong_;
  std::string media_type_;
  std::uint64_t manifest_bytes_ = 0;
  bool present_ = false;  // the signature
};

HttpRequest Transfer::request_for(const Registry& registry, Patience patience) const {
  HttpRequest out;
  out.authorization = registry.authorization();
  if (blob_) {
    out.url = blob_url(registry.scheme(), registry.endpoint(), request_.reference);
    out.from_byte = blob_->received();
    return out;
  }
  out.time_limit_s = kDocumentTimeLimitS;
  if (patience == Patience::kLittle) out.max_silence_s = std::min(kLittleSilenceS, setup_.stall_timeout_s);
  if (request_.kind == Request::Kind::kSignature) {
    out.url = signature_url(*setup_.lookaside, *digest_, request_.number);
    return out;
  }
  out.url = manifest_url(registry.scheme(), registry.endpoint(), request_.reference);
  if (request_.kind == Request::Kind::kDigest) out.method = Method::kHead;
  for (const std::string_view type : kManifestTypes) out.headers.push_back("Accept: " + std::string(type));
  return out;
}

Status Transfer::finish_blob(bool& final) {
  final = true;
  Status right = blob_->check();
  if (!right.ok()) wrong_ = first_;
  return right;
}

Status Transfer::finish_manifest(std::string& bytes, const HttpHead& head, bool& final) {
  RETURN_IF_ERROR(decode_manifest(bytes, content_encoding(head), max_document_bytes()));
  std::optional<Digest> expected = digest_;
  if (!expected) {
    if (auto said = Digest::parse(head.header("docker-content-digest")); said.ok()) expected.emplace(std::move(*said));
  }
  if (expected) {
    codec::Hasher hasher(*expected);
    hasher.update(bytes);
    const Digest actual = hasher.finish();
    if (actual != *expected)
      return Error(Errc::kCorrupt, "is corrupt: its digest is " + actual.str() + ", not " + expected->str())
          .with_hint(kOtherBytesHint);
  }
  final = true;
  media_type_ = head.header("content-type");
  manifest_bytes_ = bytes.size();
  return sys::write_all(pipe_, bytes);
}

// Nothing of an answer that does not tell.
Status Transfer::finish_digest(const HttpHead& head, bool& final) {
  final = true;
  const auto digest = Digest::parse(head.header("docker-content-digest"));
  if (!digest.ok() || head.status < 200 || head.status >= 300) return {};
  manifest_bytes_ = digest->str().size();
  return sys::write_all(pipe_, digest->str());
}

// Of that nobody but who checks it knows whether it is right.
Status Transfer::finish_signature(const std::string& bytes, bool& final) {
  final = true;
  present_ = true;
  manifest_bytes_ = bytes.size();
  return sys::write_all(pipe_, bytes);
}

// An answer to what was asked, which may be that there is none. Others are about who asks, or when.
bool is_about_it(const HttpResult& result) {
  const long status = result.head.status;
  return result.trouble == Trouble::kNone && status != 401 && status != 403 && status != 408 && status != 429 &&
         status < 500;
}

// A failure that is not about what was asked for: other things would fare no better.
bool is_of_the_whole(const HttpResult& result) {
  return result.trouble == Trouble::kNone ? !is_about_it(result) : result.trouble != Trouble::kSink;
}

// What a tag names need not be told: some registries, and caches before them, fail every HEAD. Who asks for the
// manifest then gets it, or is told why not. Not so with answers about who asks and how often, and where nobody answers
// in time.
bool is_left_to_get(const HttpResult& result) {
  if (result.trouble == Trouble::kBroken) return !result.silence;
  return result.trouble == Trouble::kNone && result.head.status != 401 && result.head.status != 429;
}

Status Transfer::run(Line& line, Patience patience, bool& final) {
  const bool signature = request_.kind == Request::Kind::kSignature;
  Attempts attempts(setup_, request_.id, report_, patience);
  // What came from others does not depend on how this one is spoken to.
  const std::uint64_t before = blob_ ? blob_->received() : 0;
  while (true) {
    const HttpRequest request = request_for(line.registry, patience);
    MemorySink memory(max_document_bytes());
    BodySink& sink = blob_ ? static_cast<BodySink&>(*blob_) : memory;
    HttpResult result = line.client.run(request, sink);
    if (request_.kind == Request::Kind::kDigest && is_left_to_get(result)) return finish_digest(result.head, final);
    if (first_.empty() && blob_ && !blob_->untouched()) first_ = line.registry.endpoint().host;
    if (result.trouble == Trouble::kNone && result.head.status >= 200 && result.head.status < 300) {
      if (signature) return finish_signature(memory.bytes(), final);
      if (!blob_) return finish_manifest(memory.bytes(), result.head, final);
      if (blob_->complete()) return finish_blob(final);
      if (!blob_->encoding().empty()) return blob_->too_short();
      result.trouble = Trouble::kBroken;
      result.message = "the answer ended after " + std::to_string(blob_->received()) + " of " +
                       std::to_string(request_.bytes) + " bytes";
    }
    if (signature && result.trouble == Trouble::kNone && result.head.status == 404) return {};
    if (blob_ && blob_->made_progress()) attempts.made_progress();
    // Wrong bytes are one registry's; a pipe that nobody reads is the end.
    if (result.trouble == Trouble::kSink) final = result.sink.error().errno_value() != 0;
    const bool of_the_whole = is_of_the_whole(result);
    Status next = attempts.after(line, result, request.authorization, !blob_ || blob_->received() == before);
    if (!next.ok() && of_the_whole) line.registry.set_aside(next.error().message());
    RETURN_IF_ERROR(std::move(next));
  }
}

std::string name_of(const Request& request) {
  if (request.kind == Request::Kind::kSignature)
    return "signature " + std::to_string(request.number) + " of manifest " + request.reference;
  return (request.kind == Request::Kind::kBlob ? "blob " : "manifest ") + request.reference;
}

}  // namespace

Event run_transfer(const fetch::Setup& setup, std::vector<Line>& lines, const Request& request, BorrowedFd pipe,
                   const Report& report) {
  Transfer transfer(setup, request, pipe, report);
  std::string before;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool last = i + 1 == lines.size();
    if (const std::string why = lines[i].registry.set_aside_because(); !last && !why.empty()) {
      before += " (before that: " + why + ")";
      continue;
    }
    bool final = false;
    Status status = transfer.run(lines[i], last ? Patience::kAll : Patience::kLittle, final);
    if (status.ok()) return transfer.done(lines[i]);
    const Error& error = status.error();
    if (!final && !last) {
      before += " (before that, " + name_of(request) + ": " + error.message() + ")";
      continue;
    }
    return {.id = request.id,
            .kind = Event::Kind::kFailed,
            .endpoint = transfer.wrong(),
            .message = name_of(request) + ": " + error.message() + before,
            .hint = error.hint(),
            .code = error.code()};
  }
  return {.id = request.id,
          .kind = Event::Kind::kFailed,
          .message = "there is no registry to ask",
          .code = Errc::kInternal};
}

}  // namespace cooper::registry
