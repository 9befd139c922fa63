// Which images are taken: policy.json as containers-policy.json(5) has it. Reading is strict, as there: a member that
// is unknown, missing or there twice makes the whole file invalid. What is valid there and not done here stays in the
// policy as a requirement that nothing meets.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/oci_image/reference.h"
#include "spec/oci_image/types.h"

namespace cooper::policy {

inline constexpr std::size_t kMaxPolicyBytes = std::size_t{4} << 20;

// Which name a signature must be for.
struct SignedIdentity {
  enum class Match {
    kMatchExact,
    kMatchRepoDigestOrExact,
    kMatchRepository,
    kExactReference,
    kExactRepository,
    kRemapIdentity
  };
  Match match = Match::kMatchRepoDigestOrExact;
  std::string reference = {};  // of exactReference and exactRepository
  std::string prefix = {}, signed_prefix = {};
  bool operator==(const SignedIdentity&) const = default;
};
std::string_view to_string(SignedIdentity::Match match);

struct Requirement {
  enum class Kind { kAccept, kReject, kSignedBy, kSigstoreSigned, kUnsupported };
  Kind kind = Kind::kReject;
  std::string type;                         // as the file has it: "signedBy"
  std::vector<std::string> key_paths = {};  // of the kinds that want a signature: one of both
  std::vector<std::string> key_data = {};   // decoded
  SignedIdentity identity = {};
  std::string reason = {};  // kUnsupported: what is not supported
  bool operator==(const Requirement&) const = default;
};
// All of them must be met; never empty.
using Requirements = std::vector<Requirement>;

struct Policy {
  Requirements standard;  // "default"
  // By transport and scope; the scope "" is the transport's default.
  std::map<std::string, std::map<std::string, Requirements>> transports;
};

// `what` names the text in errors.
Result<Policy> parse_policy(std::string text, std::string_view what);

// What a policy is asked about.
struct Subject {
  std::string transport;            // "docker"
  std::vector<std::string> scopes;  // that it is in, the narrowest first
};
// A scope of registries as subjects have it: the host in small letters.
std::string registry_scope(std::string_view scope);
// An image of a registry; the reference has its registry.
Subject registry_subject(const oci_image::Reference& reference);
// A file or directory, by its absolute path without links; empty: one that has no path.
Subject path_subject(std::string_view transport, std::string_view path);

struct Rule {
  const Requirements* requirements = nullptr;  // of the policy, which must outlive it
  std::string place;                           // for people: "docker: quay.io/team", "docker: default", "default"
};
// The narrowest that fits.
Rule find_rule(const Policy& policy, const Subject& subject);

// "signedBy: keys of '/a.gpg', identity matchRepository"
std::string describe(const Requirement& requirement);

}  // namespace cooper::policy
