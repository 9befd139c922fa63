#include <algorithm>
#include <array>
#include <functional>
#include <set>

#include "base/chars.h"
#include "base/strings.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "policy/policy.h"
#include "policy/strict.h"

namespace cooper::policy {
namespace {

using codec::json::Cursor;
using Match = SignedIdentity::Match;
using Kind = Requirement::Kind;

constexpr std::array<std::pair<Match, std::string_view>, 6> kMatches = {
    {{Match::kMatchExact, "matchExact"},
     {Match::kMatchRepoDigestOrExact, "matchRepoDigestOrExact"},
     {Match::kMatchRepository, "matchRepository"},
     {Match::kExactReference, "exactReference"},
     {Match::kExactRepository, "exactRepository"},
     {Match::kRemapIdentity, "remapIdentity"}}};

// Valid values of keyType that containers/image does not implement either.
constexpr std::array<std::string_view, 3> kOtherKeyTypes = {"signedByGPGKeys", "X509Certificates", "signedByX509CAs"};

// Transports whose scopes are paths.
constexpr std::array<std::string_view, 4> kPathTransports = {"dir", "oci", "oci-archive", "sif"};
// Transports that have no scopes but "".
constexpr std::array<std::string_view, 2> kScopelessTransports = {"docker-archive", "tarball"};

template <std::size_t n>
bool is_one_of(const std::array<std::string_view, n>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

Error unknown(const Cursor& at, std::string_view name) {
  return at.error("unknown member " + quoted(name));
}

Result<std::string> type_of(const Cursor& at) {
  RETURN_IF_ERROR(at.expect_object());
  ASSIGN_OR_RETURN(const Cursor type, at.require("type"));
  return type.string();
}

Status read_base64(const Cursor& at, std::vector<std::string>& out) {
  ASSIGN_OR_RETURN(std::string text, at.string());
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r'; });
  auto decoded = codec::base64_decode(text);
  if (!decoded) return at.error("is not base64");
  out.push_back(std::move(*decoded));
  return {};
}

// host[:port][/namespace...], lower case but for the host.
bool is_prefix(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool fine = !parts[i].empty() && std::ranges::all_of(parts[i], [&](char c) {
      return is_lower_alnum(c) || c == '.' || c == '-' || c == '_' ||
             (i == 0 && (is_upper(c) || c == ':' || c == '[' || c == ']'));
    });
    if (!fine) return false;
  }
  return true;
}

Status check_identity(const SignedIdentity& identity, const Cursor& at) {
  switch (identity.match) {
    case Match::kExactReference:
    case Match::kExactRepository: {
      const auto reference = oci_image::parse_reference(identity.reference);
      if (!reference.ok()) return at.error("bad reference: " + reference.error().message());
      if (identity.match == Match::kExactReference && reference->tag.empty() && !reference->digest)
        return at.error("dockerReference " + quoted(identity.reference) + " has neither a tag nor a digest");
      return {};
    }
    case Match::kRemapIdentity:
      for (const std::string* prefix : {&identity.prefix, &identity.signed_prefix}) {
        if (!is_prefix(*prefix)) return at.error("bad prefix " + quoted(*prefix));
      }
      return {};
    default:
      return {};
  }
}

Result<SignedIdentity> parse_identity(const Cursor& at) {
  ASSIGN_OR_RETURN(const std::string type, type_of(at));
  const auto found = std::ranges::find(kMatches, type, &std::pair<Match, std::string_view>::second);
  if (found == kMatches.end()) return at.error("unknown type " + quoted(type));
  SignedIdentity out{.match = found->first};
  std::vector<Member> members = {{"type", nullptr}};
  if (out.match == Match::kExactReference) members.push_back({"dockerReference", &out.reference});
  if (out.match == Match::kExactRepository) members.push_back({"dockerRepository", &out.reference});
  if (out.match == Match::kRemapIdentity) {
    members.push_back({"prefix", &out.prefix});
    members.push_back({"signedPrefix", &out.signed_prefix});
  }
  RETURN_IF_ERROR(read_exactly(at, members));
  RETURN_IF_ERROR(check_identity(out, at));
  return out;
}

// keyPath, keyPaths, keyData, keyDatas; false when it is none of them.
Result<bool> read_key(std::string_view name, const Cursor& at, Requirement& out, int& sources) {
  if (name == "keyPath") {
    ASSIGN_OR_RETURN(std::string path, at.string());
    if (path.empty()) return at.error("is empty");
    out.key_paths.push_back(std::move(path));
  } else if (name == "keyPaths") {
    ASSIGN_OR_RETURN(out.key_paths, at.strings());
    if (out.key_paths.empty()) return at.error("has no entries");
  } else if (name == "keyData") {
    RETURN_IF_ERROR(read_base64(at, out.key_data));
  } else if (name == "keyDatas") {
    RETURN_IF_ERROR(at.for_each([&](const Cursor& one) { return read_base64(one, out.key_data); }));
    if (out.key_data.empty()) return at.error("has no entries");
  } else {
    return false;
  }
  ++sources;
  return true;
}

Status check_sources(const Cursor& at, int sources, std::string_view names) {
  if (sources == 1) return {};
  return at.error("must have exactly one of " + std::string(names));
}

void make_unsupported(Requirement& out, std::string reason) {
  out.kind = Kind::kUnsupported;
  out.reason = std::move(reason);
}

Status parse_signed_by(const Cursor& at, Requirement& out) {
  out.kind = Kind::kSignedBy;
  int sources = 0;
  std::string key_type;
  RETURN_IF_ERROR(each_member_once(at, [&](std::string_view name, const Cursor& value) -> Status {
    if (name == "type") return {};
    if (name == "keyType") {
      ASSIGN_OR_RETURN(key_type, value.string());
      return {};
    }
    if (name == "signedIdentity") {
      ASSIGN_OR_RETURN(out.identity, parse_identity(value));
      return {};
    }
    if (name == "keyDatas") return unknown(at, name);
    ASSIGN_OR_RETURN(const bool key, read_key(name, value, out, sources));
    return key ? Status() : unknown(at, name);
  }));
  RETURN_IF_ERROR(check_sources(at, sources, "keyPath, keyPaths and keyData"));
  if (is_one_of(kOtherKeyTypes, key_type)) {
    make_unsupported(out, "keyType " + quoted(key_type));
  } else if (key_type != "GPGKeys") {
    return at.error("unknown keyType " + quoted(key_type));
  }
  return {};
}

Status parse_sigstore_signed(const Cursor& at, Requirement& out) {
  out.kind = Kind::kSigstoreSigned;
  int sources = 0;
  std::string reason;
  RETURN_IF_ERROR(each_member_once(at, [&](std::string_view name, const Cursor& value) -> Status {
    if (name == "type") return {};
    if (name == "signedIdentity") {
      ASSIGN_OR_RETURN(out.identity, parse_identity(value));
      return {};
    }
    if (name == "fulcio" || name == "pki") {
      ++sources;
      reason = "certificates (" + quoted(name) + ")";
      return value.expect_object();
    }
    if (name == "rekorPublicKeyPath" || name == "rekorPublicKeyData" || name == "rekorPublicKeyPaths" ||
        name == "rekorPublicKeyDatas") {
      if (reason.empty()) reason = "the transparency log (" + quoted(name) + ")";
      return {};
    }
    ASSIGN_OR_RETURN(const bool key, read_key(name, value, out, sources));
    return key ? Status() : unknown(at, name);
  }));
  RETURN_IF_ERROR(check_sources(at, sources, "keyPath, keyPaths, keyData, keyDatas, fulcio and pki"));
  if (!reason.empty()) make_unsupported(out, std::move(reason));
  return {};
}

Result<Requirement> parse_requirement(const Cursor& at) {
  Requirement out;
  ASSIGN_OR_RETURN(out.type, type_of(at));
  if (out.type == "insecureAcceptAnything" || out.type == "reject") {
    out.kind = out.type == "reject" ? Kind::kReject : Kind::kAccept;
    RETURN_IF_ERROR(read_exactly(at, {{{"type", nullptr}}}));
  } else if (out.type == "signedBy") {
    RETURN_IF_ERROR(parse_signed_by(at, out));
  } else if (out.type == "sigstoreSigned") {
    RETURN_IF_ERROR(parse_sigstore_signed(at, out));
  } else if (out.type == "signedBaseLayer") {
    RETURN_IF_ERROR(each_member_once(at, [&](std::string_view name, const Cursor& value) -> Status {
      if (name == "type") return {};
      if (name != "baseLayerIdentity") return unknown(at, name);
      ASSIGN_OR_RETURN(out.identity, parse_identity(value));
      return {};
    }));
    make_unsupported(out, "signedBaseLayer");
  } else {
    return at.error("unknown type " + quoted(out.type));
  }
  return out;
}

Result<Requirements> parse_requirements(const Cursor& at) {
  Requirements out;
  RETURN_IF_ERROR(at.for_each([&](const Cursor& one) -> Status {
    ASSIGN_OR_RETURN(Requirement requirement, parse_requirement(one));
    out.push_back(std::move(requirement));
    return {};
  }));
  if (out.empty()) return at.error("must not be empty");
  return out;
}

// Absolute, and in the one way it can be written.
bool is_plain_path(std::string_view path) {
  if (!path.starts_with('/') || path.size() == 1) return false;
  const std::vector<std::string_view> parts = split(path.substr(1), '/');
  return std::ranges::none_of(parts, [](std::string_view part) { return part.empty() || part == "." || part == ".."; });
}

Status check_scope(const std::string& transport, std::string_view scope, const Cursor& at) {
  if (scope.empty()) return {};
  if (is_one_of(kScopelessTransports, transport))
    return at.error("transport " + quoted(transport) + " has no scope but \"\"");
  if (is_one_of(kPathTransports, transport) && !is_plain_path(scope)) {
    return at.error("scope " + quoted(scope) +
                    " must be an absolute path without '.', '..' and double slashes; for all of them it is \"\"");
  }
  return {};
}

Status parse_transports(const Cursor& at, Policy& out) {
  return each_member_once(at, [&](std::string_view name, const Cursor& scopes) -> Status {
    const std::string transport(name);
    auto& place = out.transports[transport];
    return each_member_once(scopes, [&](std::string_view scope, const Cursor& value) -> Status {
      RETURN_IF_ERROR(check_scope(transport, scope, value));
      ASSIGN_OR_RETURN(Requirements requirements, parse_requirements(value));
      const bool added =
          place.emplace(transport == "docker" ? registry_scope(scope) : std::string(scope), std::move(requirements))
              .second;
      if (!added) return value.error("the same scope as another in small letters");
      return {};
    });
  });
}

}  // namespace

std::string_view to_string(Match match) {
  return std::ranges::find(kMatches, match, &std::pair<Match, std::string_view>::first)->second;
}

Result<Policy> parse_policy(std::string text, std::string_view what) {
  ASSIGN_OR_RETURN(const codec::json::Document document, codec::json::Document::parse(std::move(text), what));
  const Cursor root(document.root(), what);
  Policy out;
  RETURN_IF_ERROR(each_member_once(root, [&](std::string_view name, const Cursor& value) -> Status {
    if (name == "transports") return parse_transports(value, out);
    if (name != "default") return unknown(root, name);
    ASSIGN_OR_RETURN(out.standard, parse_requirements(value));
    return {};
  }));
  if (out.standard.empty()) return root.error("\"default\" is missing");
  return out;
}

}  // namespace cooper::policy
