#include "policy/gate.h"

#include <algorithm>

#include "base/strings.h"
#include "codec/base64.h"
#include "codec/digest.h"
#include "fetch/verify.h"
#include "io/file.h"
#include "spec/oci_image/parse.h"
#include "sys/file.h"
#include "trust/keys.h"
#include "trust/signature.h"

namespace cooper::policy {
namespace {

constexpr std::size_t kMaxMessageBytes = trust::kMaxSignatureBytes;
constexpr std::string_view kSigstoreLayer = "application/vnd.dev.cosign.simplesigning.v1+json";
constexpr const char* kSigstoreAnnotation = "dev.cosignproject.cosign/signature";
// Of one image together; a payload has some hundred bytes.
constexpr std::uint64_t kMaxAttachedBytes = std::uint64_t{4} << 20;
// Of the distribution specification: no registry has a longer one.
constexpr std::size_t kMaxTagBytes = 128;
constexpr std::string_view kFileScheme = "file://";

class RegistrySignatures final : public Signatures {
 public:
  RegistrySignatures(fetch::Client& client, Places places, const Digest& manifest)
      : client_(client), places_(std::move(places)), manifest_(manifest) {}

  Result<std::optional<std::string>> message(std::uint32_t number) override {
    // Several requirements ask for the same ones.
    while (messages_.size() < number) {
      ASSIGN_OR_RETURN(auto next, fetch_message(static_cast<std::uint32_t>(messages_.size()) + 1));
      if (!next) return std::optional<std::string>();
      messages_.push_back(std::move(*next));
    }
    return std::optional(messages_[number - 1]);
  }
  Result<std::vector<Attachment>> attachments() override;
  std::string messages_place() const override {
    if (places_.lookaside.empty()) return "nowhere, registries.d names no lookaside for this image";
    return quoted(places_.lookaside + "@" + std::string(manifest_.algorithm()) + "=" + std::string(manifest_.hex()) +
                  "/signature-1");
  }
  std::string attachments_place() const override {
    if (!places_.sigstore_attachments)
      return "nowhere, registries.d does not say use-sigstore-attachments for this image";
    return "tag " + quoted(tag()) + " beside the image";
  }

 private:
  std::string tag() const { return std::string(manifest_.algorithm()) + "-" + std::string(manifest_.hex()) + ".sig"; }
  Result<std::optional<std::string>> fetch_message(std::uint32_t number);

  fetch::Client& client_;
  Places places_;
  const Digest& manifest_;
  std::vector<std::string> messages_;
};

Result<std::optional<std::string>> RegistrySignatures::fetch_message(std::uint32_t number) {
  if (places_.lookaside.empty()) return std::optional<std::string>();
  if (!places_.lookaside.starts_with(kFileScheme)) return client_.signature(manifest_, number, kMaxMessageBytes);
  const std::string path = places_.lookaside.substr(kFileScheme.size()) + "@" + std::string(manifest_.algorithm()) +
                           "=" + std::string(manifest_.hex()) + "/signature-" + std::to_string(number);
  auto bytes = io::read_regular_file(path, kMaxMessageBytes);
  if (bytes.ok()) return std::optional(std::move(*bytes));
  if (bytes.error().code() == Errc::kNotFound) return std::optional<std::string>();
  return std::move(bytes).error();
}

Result<std::vector<Attachment>> RegistrySignatures::attachments() {
  std::vector<Attachment> out;
  if (!places_.sigstore_attachments || tag().size() > kMaxTagBytes) return out;
  auto document = client_.manifest(tag(), oci_image::kMaxDocumentBytes);
  if (!document.ok() && document.error().code() == Errc::kNotFound) return out;
  if (!document.ok()) return std::move(document).error().with("signatures");
  ASSIGN_OR_RETURN(const auto manifest, oci_image::parse_manifest(std::move(document->bytes), "signatures " + tag()));
  std::uint64_t left_bytes = kMaxAttachedBytes;
  for (const oci_image::Descriptor& layer : manifest.layers) {
    const auto annotation = layer.annotations.find(kSigstoreAnnotation);
    if (layer.media_type != kSigstoreLayer || annotation == layer.annotations.end()) continue;
    auto signature = codec::base64_decode(annotation->second);
    if (!signature || layer.size_bytes > std::min<std::uint64_t>(kMaxClaimBytes, left_bytes)) continue;
    left_bytes -= layer.size_bytes;
    ASSIGN_OR_RETURN(auto payload, client_.document(layer.digest, layer.size_bytes));
    RETURN_IF_ERROR(codec::check_digest(payload.bytes, layer.digest, "a signature of the image"));
    out.push_back({.payload = std::move(payload.bytes), .signature = std::move(*signature)});
    if (out.size() == kMaxSignatures) break;
  }
  return out;
}

class Programs final : public Cryptography {
 public:
  Programs(const GateOptions& options, BorrowedFd cancel) : options_(options), cancel_(cancel) {}

  Result<std::string> open(std::string_view message, const std::vector<std::string>& keys,
                           const std::vector<std::string>& names) override {
    std::vector<trust::Key> parsed;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      auto some = trust::parse_keys(keys[i], names[i]);
      // Not a verdict on the signature.
      if (!some.ok()) return Error(Errc::kSystem, some.error().message());
      parsed.insert(parsed.end(), std::make_move_iterator(some->begin()), std::make_move_iterator(some->end()));
    }
    ASSIGN_OR_RETURN(
        trust::SignedMessage opened,
        trust::verify_inline(message, parsed, kMaxClaimBytes, {.program = options_.gpgv_program, .cancel = cancel_}));
    return std::move(opened.content);
  }
  Status verify(std::string_view key, std::string_view payload, std::string_view signature) override {
    if (options_.fetch_program.empty())
      return Error(Errc::kNotFound, "cannot find 'cooper-fetch', which checks signatures");
    return fetch::verify(options_.fetch_program, {.key = key, .payload = payload, .signature = signature});
  }

 private:
  const GateOptions& options_;
  BorrowedFd cancel_;
};

Result<std::optional<std::string>> read_if_there(const std::string& path) {
  auto text = io::read_regular_file(path, kMaxPolicyBytes);
  if (text.ok()) return std::optional(std::move(*text));
  if (text.error().code() == Errc::kNotFound) return std::optional<std::string>();
  return std::move(text).error();
}

}  // namespace

Result<Gate> Gate::open(GateOptions options) {
  Gate out;
  std::optional<std::string> text;
  if (!options.file.empty()) {
    ASSIGN_OR_RETURN(text, io::read_regular_file(options.file, kMaxPolicyBytes));
    out.file_ = options.file;
  }
  for (std::size_t i = 0; i < options.files.size() && !text; ++i) {
    ASSIGN_OR_RETURN(text, read_if_there(options.files[i]));
    if (text) out.file_ = options.files[i];
  }
  if (text) {
    ASSIGN_OR_RETURN(out.policy_, parse_policy(std::move(*text), out.file_));
  }
  out.options_ = std::move(options);
  return out;
}

std::optional<Rule> Gate::rule(const Subject& subject) const {
  if (!policy_) return std::nullopt;
  return find_rule(*policy_, subject);
}

Result<Places> Gate::places(const oci_image::Reference& reference) const {
  PlacesConfig config;
  for (const std::string& directory : options_.directories) {
    if (!sys::fstatat(sys::kCwd, directory, 0).ok()) continue;
    ASSIGN_OR_RETURN(config, read_places(directory));
    break;
  }
  return find_places(config, reference, options_.standard_lookaside);
}

Error Gate::refuse(Error why, const Rule& rule) const {
  if (why.code() != Errc::kPermission) return why;
  Error out(Errc::kPermission, "refused by policy " + quoted(file_) + " (" + rule.place + "): " + why.message());
  return std::move(out).with_hint(why.hint().empty() ? "cooper image policy shows the rules" : why.hint());
}

Result<bool> Gate::enter(const Subject& subject, bool has_signatures) const {
  const auto found = rule(subject);
  if (!found) return false;
  auto needed = needs_signatures(*found->requirements, has_signatures);
  if (!needed.ok()) return refuse(std::move(needed).error(), *found);
  return needed;
}

Status Gate::admit(const oci_image::Reference& reference, std::string_view manifest_bytes, const Digest& manifest,
                   fetch::Client& client, BorrowedFd cancel) const {
  const auto found = rule(registry_subject(reference));
  if (!found) return {};
  ASSIGN_OR_RETURN(Places where, places(reference));
  RegistrySignatures signatures(client, std::move(where), manifest);
  Programs programs(options_, cancel);
  Status admitted = check_image(*found->requirements, {reference, manifest_bytes}, signatures, programs);
  if (!admitted.ok()) return refuse(std::move(admitted).error(), *found);
  return {};
}

}  // namespace cooper::policy
