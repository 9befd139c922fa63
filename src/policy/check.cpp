#include "policy/check.h"

#include <functional>

#include "base/strings.h"
#include "io/file.h"

namespace cooper::policy {
namespace {

constexpr std::size_t kMaxKeyFileBytes = std::size_t{1} << 20;

struct Keys {
  std::vector<std::string> bytes;
  std::vector<std::string> names;
};

Result<Keys> read_keys(const Requirement& requirement) {
  Keys out;
  for (const std::string& path : requirement.key_paths) {
    auto bytes = io::read_regular_file(path, kMaxKeyFileBytes);
    if (!bytes.ok()) return std::move(bytes).error().with("keys of the policy");
    out.bytes.push_back(std::move(*bytes));
    out.names.push_back(quoted(path));
  }
  for (const std::string& data : requirement.key_data) {
    out.bytes.push_back(data);
    out.names.emplace_back("the keys in the policy");
  }
  return out;
}

// Trouble of ours, or of who holds the signatures, is not a verdict on one.
bool is_verdict(const Error& error) {
  return error.code() == Errc::kPermission || error.code() == Errc::kCorrupt ||
         error.code() == Errc::kInvalidArgument || error.code() == Errc::kUnsupported || error.code() == Errc::kLimit;
}

// Why none of several signatures will do.
class Rejections {
 public:
  void add(std::size_t number, const Error& error) {
    if (count_ < kShown)
      text_ += (count_ == 0 ? "" : "; ") + ("signature " + std::to_string(number)) + ": " + error.message();
    if (count_ == kShown) text_ += "; and so on";
    ++count_;
  }
  Error error(const Requirement& requirement, const std::string& place) const {
    if (count_ == 0) {
      return Error(Errc::kPermission, "a signature is required (" + requirement.type + "), and there is none")
          .with_hint("looked for: " + place);
    }
    return Error(Errc::kPermission, "no signature meets what is required (" + describe(requirement) + "): " + text_);
  }

 private:
  static constexpr std::size_t kShown = 3;
  std::size_t count_ = 0;
  std::string text_;
};

Status check_message(const std::string& message, const Requirement& requirement, const Keys& keys,
                     const Candidate& image, Cryptography& cryptography) {
  ASSIGN_OR_RETURN(std::string content, cryptography.open(message, keys.bytes, keys.names));
  ASSIGN_OR_RETURN(const Claim claim, parse_claim(std::move(content), ClaimKind::kSimpleSigning));
  return check_claim(claim, requirement.identity, image.reference, image.manifest_bytes);
}

Status check_signed_by(const Requirement& requirement, const Candidate& image, Signatures& signatures,
                       Cryptography& cryptography) {
  ASSIGN_OR_RETURN(const Keys keys, read_keys(requirement));
  Rejections rejections;
  for (std::uint32_t number = 1; number <= kMaxSignatures; ++number) {
    ASSIGN_OR_RETURN(const auto message, signatures.message(number));
    if (!message) break;
    Status good = check_message(*message, requirement, keys, image, cryptography);
    if (good.ok()) return {};
    if (!is_verdict(good.error())) return good;
    rejections.add(number, good.error());
  }
  return rejections.error(requirement, signatures.messages_place());
}

Status verify_by_any(const Attachment& attachment, const Keys& keys, Cryptography& cryptography) {
  Error why(Errc::kPermission, "there is no key");
  for (std::size_t i = 0; i < keys.bytes.size(); ++i) {
    Status good = cryptography.verify(keys.bytes[i], attachment.payload, attachment.signature);
    if (good.ok()) return {};
    // No verdict on the signature.
    if (good.error().code() == Errc::kInvalidArgument)
      return Error(Errc::kSystem, keys.names[i] + ": " + good.error().message());
    if (!is_verdict(good.error())) return good;
    why = std::move(good).error();
  }
  return why;
}

Status check_attachment(const Attachment& attachment, const Requirement& requirement, const Keys& keys,
                        const Candidate& image, Cryptography& cryptography) {
  RETURN_IF_ERROR(verify_by_any(attachment, keys, cryptography));
  ASSIGN_OR_RETURN(const Claim claim, parse_claim(attachment.payload, ClaimKind::kSigstore));
  return check_claim(claim, requirement.identity, image.reference, image.manifest_bytes);
}

Status check_sigstore_signed(const Requirement& requirement, const Candidate& image, Signatures& signatures,
                             Cryptography& cryptography) {
  ASSIGN_OR_RETURN(const Keys keys, read_keys(requirement));
  ASSIGN_OR_RETURN(const auto attachments, signatures.attachments());
  Rejections rejections;
  for (std::size_t i = 0; i < attachments.size(); ++i) {
    Status good = check_attachment(attachments[i], requirement, keys, image, cryptography);
    if (good.ok()) return {};
    if (!is_verdict(good.error())) return good;
    rejections.add(i + 1, good.error());
  }
  return rejections.error(requirement, signatures.attachments_place());
}

}  // namespace

Result<bool> needs_signatures(const Requirements& requirements, bool has_signatures) {
  bool needed = false;
  for (const Requirement& requirement : requirements) {
    switch (requirement.kind) {
      case Requirement::Kind::kAccept:
        continue;
      case Requirement::Kind::kReject:
        return Error(Errc::kPermission, "no such image is taken (reject)");
      case Requirement::Kind::kUnsupported:
        return Error(Errc::kPermission,
                     "it requires " + requirement.type + " with " + requirement.reason + ", which is not supported")
            .with_hint(
                "signatures are checked by keys alone: require the signer's key (keyPath, keyPaths, keyData, "
                "keyDatas), "
                "or let skopeo check and copy the image into an archive, and load that");
      case Requirement::Kind::kSignedBy:
      case Requirement::Kind::kSigstoreSigned:
        if (!has_signatures)
          return Error(Errc::kPermission,
                       "a signature is required (" + requirement.type + "), and archives and directories have none");
        needed = true;
    }
  }
  return needed;
}

Status check_image(const Requirements& requirements, const Candidate& image, Signatures& signatures,
                   Cryptography& cryptography) {
  ASSIGN_OR_RETURN(const bool needed, needs_signatures(requirements, true));
  if (!needed) return {};
  for (const Requirement& requirement : requirements) {
    if (requirement.kind == Requirement::Kind::kSignedBy)
      RETURN_IF_ERROR(check_signed_by(requirement, image, signatures, cryptography));
    if (requirement.kind == Requirement::Kind::kSigstoreSigned)
      RETURN_IF_ERROR(check_sigstore_signed(requirement, image, signatures, cryptography));
  }
  return {};
}

}  // namespace cooper::policy
