#include "policy/claim.h"

#include "base/strings.h"
#include "codec/digest.h"
#include "codec/json.h"
#include "policy/strict.h"

namespace cooper::policy {
namespace {

using codec::json::Cursor;
using oci_image::Reference;
using Match = SignedIdentity::Match;

// Whoever signs may add what he likes, but these two have a meaning.
Status check_optional(const Cursor& at, ClaimKind kind) {
  // cosign writes null for none.
  if (kind == ClaimKind::kSigstore && at.value().is_null()) return {};
  return each_member_once(at, [&](std::string_view name, const Cursor& value) -> Status {
    if (name == "creator") {
      ASSIGN_OR_RETURN(const std::string creator, value.string());
      (void)creator;
    }
    if (name == "timestamp" && !value.value().as_int64()) return value.error("is not a whole number");
    return {};
  });
}

Result<Claim> read_claim(const Cursor& root, ClaimKind kind) {
  RETURN_IF_ERROR(read_exactly(root, {{{"critical", nullptr}, {"optional", nullptr}}}));
  RETURN_IF_ERROR(root.for_each_member([&](std::string_view name, const Cursor& value) -> Status {
    return name == "optional" ? check_optional(value, kind) : Status();
  }));
  ASSIGN_OR_RETURN(const Cursor critical, root.require("critical"));
  std::string type;
  RETURN_IF_ERROR(read_exactly(critical, {{{"type", &type}, {"image", nullptr}, {"identity", nullptr}}}));
  const std::string_view wanted =
      kind == ClaimKind::kSigstore ? "cosign container image signature" : "atomic container signature";
  if (type != wanted) return critical.error("type is " + quoted(type) + ", not " + quoted(wanted));
  std::string digest;
  ASSIGN_OR_RETURN(const Cursor image, critical.require("image"));
  RETURN_IF_ERROR(read_exactly(image, {{{"docker-manifest-digest", &digest}}}));
  ASSIGN_OR_RETURN(Digest parsed, Digest::parse(digest));
  Claim out{.manifest_digest = std::move(parsed), .reference = {}};
  ASSIGN_OR_RETURN(const Cursor identity, critical.require("identity"));
  RETURN_IF_ERROR(read_exactly(identity, {{{"docker-reference", &out.reference}}}));
  return out;
}

Result<Reference> full_reference(std::string_view text) {
  ASSIGN_OR_RETURN(Reference reference, oci_image::parse_reference(text));
  return oci_image::qualify(std::move(reference), oci_image::kDockerHub);
}

bool same_repository(const Reference& a, const Reference& b) {
  return a.registry == b.registry && a.repository == b.repository;
}

bool has_tag_or_digest(const Reference& reference) {
  return !reference.tag.empty() || reference.digest.has_value();
}

// A name without tag and digest is pulled as "latest".
Reference as_pulled(Reference reference) {
  if (!has_tag_or_digest(reference)) reference.tag = oci_image::kDefaultTag;
  return reference;
}

// Of a name with tag and digest the tag is enough: the digest has been compared with the manifest's.
bool exact(const Reference& image, const Reference& signed_one) {
  Reference name = image;
  if (!name.tag.empty() && !signed_one.digest) name.digest.reset();
  return name == signed_one;
}

bool repo_digest_or_exact(const Reference& image, const Reference& signed_one) {
  if (!has_tag_or_digest(signed_one)) return false;
  return image.tag.empty() ? same_repository(image, signed_one) : exact(image, signed_one);
}

// The name under another prefix, where it has the first one.
std::optional<Reference> remapped(const Reference& image, const SignedIdentity& identity) {
  const std::string name = image.registry + "/" + image.repository;
  const bool inside = name == identity.prefix || name.starts_with(identity.prefix + "/");
  if (!inside) return image;
  const std::string mapped = identity.signed_prefix + name.substr(identity.prefix.size());
  auto out = oci_image::parse_reference(mapped);
  // A prefix that is a host alone, without a repository behind it, is no name.
  if (!out.ok() || out->registry.empty() || out->registry + "/" + out->repository != mapped) return std::nullopt;
  out->tag = image.tag;
  out->digest = image.digest;
  return std::move(*out);
}

}  // namespace

Result<Claim> parse_claim(std::string text, ClaimKind kind) {
  if (text.size() > kMaxClaimBytes) return Error(Errc::kLimit, "what is signed is larger than 1 MiB");
  auto document = codec::json::Document::parse(std::move(text), "what is signed");
  if (!document.ok()) return std::move(document).error().with_code(Errc::kCorrupt);
  auto claim = read_claim(Cursor(document->root(), "what is signed"), kind);
  if (!claim.ok()) return std::move(claim).error().with_code(Errc::kCorrupt);
  return claim;
}

bool identity_accepts(const SignedIdentity& identity, const std::optional<Reference>& image,
                      std::string_view signed_reference) {
  const auto signed_one = full_reference(signed_reference);
  if (!signed_one.ok()) return false;
  if (identity.match == Match::kExactReference || identity.match == Match::kExactRepository) {
    const auto wanted = full_reference(identity.reference);
    if (!wanted.ok()) return false;
    return identity.match == Match::kExactReference ? *wanted == *signed_one && has_tag_or_digest(*wanted)
                                                    : same_repository(*wanted, *signed_one);
  }
  if (!image) return false;
  const Reference pulled = as_pulled(*image);
  switch (identity.match) {
    case Match::kMatchExact:
      return exact(pulled, *signed_one);
    case Match::kMatchRepoDigestOrExact:
      return repo_digest_or_exact(pulled, *signed_one);
    case Match::kMatchRepository:
      return same_repository(pulled, *signed_one);
    case Match::kRemapIdentity: {
      const auto mapped = remapped(pulled, identity);
      return mapped && repo_digest_or_exact(*mapped, *signed_one);
    }
    default:
      return false;
  }
}

Status check_claim(const Claim& claim, const SignedIdentity& identity, const std::optional<Reference>& image,
                   std::string_view manifest_bytes) {
  codec::Hasher hasher(claim.manifest_digest);
  hasher.update(manifest_bytes);
  if (hasher.finish() != claim.manifest_digest)
    return Error(Errc::kPermission, "it is for another manifest, " + claim.manifest_digest.str());
  if (identity_accepts(identity, image, claim.reference)) return {};
  Error error(Errc::kPermission, "it is for another image, " + quoted(claim.reference));
  // cosign signs names without tags.
  const auto signed_one = full_reference(claim.reference);
  if (!image || !signed_one.ok() || has_tag_or_digest(*signed_one) || !same_repository(as_pulled(*image), *signed_one))
    return error;
  return std::move(error).with_hint(
      R"(a name without a tag is that of its repository, as cosign signs: "signedIdentity": {"type": "matchRepository"})"
      " in the policy takes it");
}

}  // namespace cooper::policy
