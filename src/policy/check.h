// Whether an image meets its requirements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ids.h"
#include "policy/claim.h"
#include "policy/policy.h"

namespace cooper::policy {

inline constexpr std::size_t kMaxSignatures = 64;  // of one image and kind; those behind are not looked at

// A signature of cosign's kind: a layer of the image sha256-<hex>.sig.
struct Attachment {
  std::string payload;
  std::string signature;  // decoded
};

// The signatures of one image. What is returned is not checked yet.
class Signatures {
 public:
  virtual ~Signatures() = default;
  // A signed OpenPGP message, by its number from 1; none: there are no more.
  virtual Result<std::optional<std::string>> message(std::uint32_t number) = 0;
  virtual Result<std::vector<Attachment>> attachments() = 0;
  // Where they are looked for: "'https://...'", "no place is configured"
  virtual std::string messages_place() const = 0;
  virtual std::string attachments_place() const = 0;
};

// The cryptography, which other programs do.
class Cryptography {
 public:
  virtual ~Cryptography() = default;
  // The content of a message that is signed by one of these keys (files of OpenPGP keys, `names` for errors).
  virtual Result<std::string> open(std::string_view message, const std::vector<std::string>& keys,
                                   const std::vector<std::string>& names) = 0;
  // Ok when the signature is by this key (PEM).
  virtual Status verify(std::string_view key, std::string_view payload, std::string_view signature) = 0;
};

struct Candidate {
  std::optional<oci_image::Reference> reference;  // with its registry; none: the image has no such name
  std::string_view manifest_bytes;
};

// Whether there is anything to check: false when all are accepted as they come. Errc::kPermission, before anything is
// asked for, when one of them can never be met. `has_signatures` says whether the transport has such.
Result<bool> needs_signatures(const Requirements& requirements, bool has_signatures);
// Errc::kPermission says which requirement is not met, and why.
Status check_image(const Requirements& requirements, const Candidate& image, Signatures& signatures,
                   Cryptography& cryptography);

}  // namespace cooper::policy
