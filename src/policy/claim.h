// What a signature says: this manifest is that image (container-signature(5)).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/ids.h"
#include "policy/policy.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::policy {

inline constexpr std::size_t kMaxClaimBytes = std::size_t{1} << 20;

struct Claim {
  Digest manifest_digest;
  std::string reference;  // as it is signed
};
enum class ClaimKind { kSimpleSigning, kSigstore };
// Of bytes whose signature is good. Errc::kCorrupt for anything that is not exactly a claim of that kind.
Result<Claim> parse_claim(std::string text, ClaimKind kind);

// Whether a claim about `signed_reference` is one about the image; `image` has its registry, and is nothing for an
// image that has no such name.
bool identity_accepts(const SignedIdentity& identity, const std::optional<oci_image::Reference>& image,
                      std::string_view signed_reference);

// Ok when the claim is about these bytes, and about an image that the requirement means.
Status check_claim(const Claim& claim, const SignedIdentity& identity, const std::optional<oci_image::Reference>& image,
                   std::string_view manifest_bytes);

}  // namespace cooper::policy
