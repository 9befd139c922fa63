#include "policy/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::policy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = Requirement::Kind;
using Match = SignedIdentity::Match;

oci_image::Reference reference(std::string_view text) {
  return oci_image::qualify(*oci_image::parse_reference(text), oci_image::kDockerHub);
}

std::string why(std::string_view text) {
  const auto policy = parse_policy(std::string(text), "policy.json");
  return policy.ok() ? "" : policy.error().message();
}

// The requirement in place of "default".
std::string why_requirement(const std::string& text) {
  return why(R"({"default":[)" + text + "]}");
}

Requirement parse_one(const std::string& text) {
  return parse_policy(R"({"default":[)" + text + "]}", "policy.json")->standard.front();
}

TEST(ParseTest, ARequirementOfEachKind) {
  EXPECT_EQ(parse_one(R"({"type":"insecureAcceptAnything"})").kind, Kind::kAccept);
  EXPECT_EQ(parse_one(R"({"type":"reject"})").kind, Kind::kReject);
  const Requirement gpg = parse_one(R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/k.gpg"})");
  EXPECT_EQ(gpg.kind, Kind::kSignedBy);
  EXPECT_THAT(gpg.key_paths, ElementsAre("/k.gpg"));
  EXPECT_EQ(gpg.identity, SignedIdentity());
  EXPECT_EQ(to_string(gpg.identity.match), "matchRepoDigestOrExact");
  const Requirement several = parse_one(R"({"type":"signedBy","keyType":"GPGKeys","keyPaths":["/a","/b"]})");
  EXPECT_THAT(several.key_paths, ElementsAre("/a", "/b"));
  const Requirement sigstore =
      parse_one(R"({"type":"sigstoreSigned","keyData":"aGV\nsbG8=","signedIdentity":{"type":"matchRepository"}})");
  EXPECT_EQ(sigstore.kind, Kind::kSigstoreSigned);
  EXPECT_THAT(sigstore.key_data, ElementsAre("hello"));
  EXPECT_EQ(sigstore.identity.match, Match::kMatchRepository);
}

TEST(ParseTest, AnIdentityOfEachKind) {
  const auto identity = [](const std::string& text) {
    return parse_one(R"({"type":"sigstoreSigned","keyPath":"/k","signedIdentity":)" + text + "}").identity;
  };
  EXPECT_EQ(identity(R"({"type":"matchExact"})").match, Match::kMatchExact);
  EXPECT_EQ(identity(R"({"type":"exactReference","dockerReference":"h/a:1"})").reference, "h/a:1");
  EXPECT_EQ(identity(R"({"type":"exactRepository","dockerRepository":"h/a"})").match, Match::kExactRepository);
  const SignedIdentity remap =
      identity(R"({"type":"remapIdentity","prefix":"h:5/a","signedPrefix":"docker.io/library"})");
  EXPECT_EQ(remap.prefix, "h:5/a");
  EXPECT_EQ(remap.signed_prefix, "docker.io/library");
}

TEST(ParseTest, WhatCannotBeMetIsKept) {
  for (
      const char* text : {
          R"({"type":"signedBy","keyType":"X509Certificates","keyPath":"/k"})",
          R"({"type":"signedBy","keyType":"signedByGPGKeys","keyPath":"/k"})",
          R"({"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}})",
          R"({"type":"sigstoreSigned","fulcio":{"caPath":"/ca","oidcIssuer":"i","subjectEmail":"e"},"rekorPublicKeyPath":"/r"})",
          R"({"type":"sigstoreSigned","keyPath":"/k","rekorPublicKeyPath":"/r"})",
          R"({"type":"sigstoreSigned","keyPath":"/k","rekorPublicKeyPaths":["/r"]})",
          R"({"type":"sigstoreSigned","keyPath":"/k","rekorPublicKeyData":"YQ=="})",
          R"({"type":"sigstoreSigned","keyPath":"/k","rekorPublicKeyDatas":["YQ=="]})",
          R"({"type":"sigstoreSigned","pki":{"caRootsPath":"/ca"}})",
      }) {
    const Requirement requirement = parse_one(text);
    EXPECT_EQ(requirement.kind, Kind::kUnsupported) << text;
    EXPECT_THAT(describe(requirement), HasSubstr("not supported"));
  }
}

TEST(ParseTest, OthersMakeTheFileInvalid) {
  EXPECT_THAT(why(""), HasSubstr("policy.json"));
  EXPECT_THAT(why("{}"), HasSubstr("\"default\" is missing"));
  EXPECT_THAT(why(R"({"default":[]})"), HasSubstr("/default: must not be empty"));
  EXPECT_THAT(why(R"({"default":null})"), HasSubstr("array"));
  EXPECT_THAT(why(R"({"default":[{"type":"reject"}],"extra":1})"), HasSubstr("unknown member 'extra'"));
  EXPECT_THAT(why(R"({"default":[{"type":"reject"}],"default":[{"type":"insecureAcceptAnything"}]})"),
              HasSubstr("there twice"));
  EXPECT_THAT(why(R"({"default":[{"type":"reject"}],"transports":{"docker":{"a":[]}}})"),
              HasSubstr("/transports/docker/a"));
  EXPECT_THAT(
      why(R"({"default":[{"type":"reject"}],"transports":{"docker":{"a":[{"type":"reject"}],"a":[{"type":"reject"}]}}})"),
      HasSubstr("there twice"));
  EXPECT_THAT(why_requirement("{}"), HasSubstr("'type'"));
  EXPECT_THAT(why_requirement(R"({"type":"accept"})"), HasSubstr("unknown type 'accept'"));
  EXPECT_THAT(why_requirement(R"({"type":"reject","why":"x"})"), HasSubstr("unknown member 'why'"));
  EXPECT_THAT(why_requirement(R"({"type":"reject","type":"reject"})"), HasSubstr("there twice"));
  for (
      const char* text : {
          R"({"type":"signedBy","keyType":"GPGKeys"})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/a","keyData":"YQ=="})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPath":""})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPaths":[]})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyData":"?"})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyDatas":["YQ=="]})",
          R"({"type":"signedBy","keyType":"gpgkeys","keyPath":"/a"})",
          R"({"type":"signedBy","keyPath":"/a"})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/a","signedIdentity":{}})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/a","signedIdentity":{"type":"matchAll"}})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/a","signedIdentity":{"type":"matchExact","x":1}})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/a","signedIdentity":{"type":"exactReference"}})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/a","signedIdentity":{"type":"exactReference","dockerReference":"h/a"}})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/a","signedIdentity":{"type":"exactRepository","dockerRepository":"A b"}})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/a","signedIdentity":{"type":"remapIdentity","prefix":"","signedPrefix":"h"}})",
          R"({"type":"signedBy","keyType":"GPGKeys","keyPath":"/a","signedIdentity":{"type":"remapIdentity","prefix":"h/a@b","signedPrefix":"h"}})",
          R"({"type":"sigstoreSigned"})",
          R"({"type":"sigstoreSigned","keyPath":"/a","fulcio":{}})",
          R"({"type":"sigstoreSigned","keyPath":"/a","keyType":"GPGKeys"})",
      }) {
    EXPECT_NE(why_requirement(text), "") << text;
  }
}

TEST(ParseTest, ScopesThatArePathsArePlain) {
  const auto scope = [](const std::string& transport, const std::string& text) {
    return why(R"({"default":[{"type":"reject"}],"transports":{")" + transport + R"(":{")" + text +
               R"(":[{"type":"reject"}]}}})");
  };
  for (const char* transport : {"dir", "oci", "oci-archive"}) {
    EXPECT_EQ(scope(transport, ""), "");
    EXPECT_EQ(scope(transport, "/srv/images"), "");
    for (const char* text : {"/", "srv", "/a/", "/a//b", "/a/../b", "/a/./b"})
      EXPECT_NE(scope(transport, text), "") << text;
  }
  EXPECT_EQ(scope("docker-archive", ""), "");
  EXPECT_NE(scope("docker-archive", "/a"), "");
  EXPECT_EQ(scope("docker", "*.example.com"), "");
  EXPECT_EQ(scope("of-tomorrow", "anything"), "");
}

TEST(RuleTest, ScopesOfAName) {
  EXPECT_THAT(registry_subject(reference("a.b.example:5000/team/app:1")).scopes,
              ElementsAre("a.b.example:5000/team/app:1", "a.b.example:5000/team/app", "a.b.example:5000/team",
                          "a.b.example:5000", "*.b.example", "*.example"));
  EXPECT_THAT(registry_subject(reference("busybox")).scopes,
              ElementsAre("docker.io/library/busybox:latest", "docker.io/library/busybox", "docker.io/library",
                          "docker.io", "*.io"));
  EXPECT_THAT(registry_subject(reference("localhost:5000/x")).scopes,
              ElementsAre("localhost:5000/x:latest", "localhost:5000/x", "localhost:5000"));
  const std::string digest = "sha256:" + std::string(64, 'a');
  EXPECT_THAT(registry_subject(reference("localhost/x@" + digest)).scopes,
              ElementsAre("localhost/x@" + digest, "localhost/x", "localhost"));
}

TEST(RuleTest, HostsAreTheSameInCapitals) {
  const auto policy = parse_policy(
      R"({"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{"Q.IO:5000/Team":[{"type":"reject"}]}}})",
      "policy");
  ASSERT_TRUE(policy.ok());
  EXPECT_EQ(policy->transports.at("docker").begin()->first, "q.io:5000/Team");
  EXPECT_EQ(registry_subject(reference("Q.io:5000/a:1")).scopes.back(), "*.io");
  EXPECT_EQ(registry_subject(reference("Q.io:5000/a:1")).scopes.front(), "q.io:5000/a:1");
  EXPECT_NE(why(R"({"default":[{"type":"reject"}],"transports":{"docker":{
                "q.io":[{"type":"reject"}],"Q.io":[{"type":"insecureAcceptAnything"}]}}})"),
            "");
}

TEST(RuleTest, ScopesOfAPath) {
  EXPECT_THAT(path_subject("oci", "/srv/images/a").scopes, ElementsAre("/srv/images/a", "/srv/images", "/srv"));
  EXPECT_THAT(path_subject("oci-archive", "").scopes, ElementsAre());
}

constexpr std::string_view kPolicy = R"({
  "default": [{"type": "reject"}],
  "transports": {
    "docker": {
      "": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/default"}],
      "quay.io": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/quay"}],
      "quay.io/team": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/team"}],
      "quay.io/team/app": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/app"}],
      "quay.io/team/app:1": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/tag"}],
      "*.example.com": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/wild"}],
      "*.in.example.com": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/narrow"}]
    },
    "oci": {"/srv": [{"type": "insecureAcceptAnything"}]}
  }
})";

TEST(RuleTest, TheNarrowestScopeHolds) {
  const Policy policy = *parse_policy(std::string(kPolicy), "policy.json");
  const auto key = [&](std::string_view name) {
    return find_rule(policy, registry_subject(reference(name))).requirements->front().key_paths.front();
  };
  EXPECT_EQ(key("quay.io/team/app:1"), "/tag");
  EXPECT_EQ(key("quay.io/team/app:2"), "/app");
  EXPECT_EQ(key("quay.io/team/app@sha256:" + std::string(64, '0')), "/app");
  EXPECT_EQ(key("quay.io/team/other"), "/team");
  EXPECT_EQ(key("quay.io/teammate/app"), "/quay");
  EXPECT_EQ(key("quay.io:444/team/app"), "/default");
  EXPECT_EQ(key("busybox"), "/default");
  EXPECT_EQ(key("r.example.com/x"), "/wild");
  EXPECT_EQ(key("r.example.com:5000/x"), "/wild");
  EXPECT_EQ(key("a.in.example.com/x"), "/narrow");
  EXPECT_EQ(key("example.com/x"), "/default");
}

TEST(RuleTest, TransportsAndTheirDefaults) {
  const Policy policy = *parse_policy(std::string(kPolicy), "policy.json");
  const auto place = [&](const Subject& subject) { return find_rule(policy, subject).place; };
  EXPECT_EQ(place(path_subject("oci", "/srv/images/a")), "oci: /srv");
  EXPECT_EQ(place(path_subject("oci", "/srvx")), "default");
  EXPECT_EQ(place(path_subject("docker-archive", "/srv/a.tar")), "default");
  EXPECT_EQ(place(registry_subject(reference("busybox"))), "docker: default");
  EXPECT_EQ(place(registry_subject(reference("quay.io/x"))), "docker: quay.io");
}

}  // namespace
}  // namespace cooper::policy
