#include "policy/claim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/digest.h"

namespace cooper::policy {
namespace {

using ::testing::HasSubstr;
using Match = SignedIdentity::Match;

const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string claim(const std::string& type, const std::string& digest, const std::string& name,
                  const std::string& optional = R"({"creator":"me","timestamp":17,"more":[1]})") {
  return R"({"critical":{"type":")" + type + R"(","image":{"docker-manifest-digest":")" + digest +
         R"("},"identity":{"docker-reference":")" + name + R"("}},"optional":)" + optional + "}";
}

TEST(ClaimTest, BothKinds) {
  const auto simple = parse_claim(claim("atomic container signature", kDigest, "h/a:1"), ClaimKind::kSimpleSigning);
  ASSERT_TRUE(simple.ok());
  EXPECT_EQ(simple->manifest_digest.str(), kDigest);
  EXPECT_EQ(simple->reference, "h/a:1");
  const std::string cosign = "cosign container image signature";
  EXPECT_TRUE(parse_claim(claim(cosign, kDigest, "h/a", "null"), ClaimKind::kSigstore).ok());
  EXPECT_FALSE(parse_claim(claim(cosign, kDigest, "h/a"), ClaimKind::kSimpleSigning).ok());
  EXPECT_FALSE(parse_claim(claim("atomic container signature", kDigest, "h/a"), ClaimKind::kSigstore).ok());
}

TEST(ClaimTest, NothingIsGuessedAt) {
  const std::string type = "atomic container signature";
  const auto refused = [](std::string text) {
    const auto parsed = parse_claim(std::move(text), ClaimKind::kSimpleSigning);
    return !parsed.ok() && parsed.error().code() == Errc::kCorrupt;
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("{}"));
  EXPECT_TRUE(refused(claim(type, kDigest, "h/a", "null")));
  EXPECT_TRUE(refused(claim(type, kDigest, "h/a", R"({"timestamp":1.5})")));
  EXPECT_TRUE(refused(claim(type, kDigest, "h/a", R"({"creator":1})")));
  EXPECT_TRUE(refused(claim(type, kDigest, "h/a", R"({"creator":"a","creator":"b"})")));
  EXPECT_TRUE(refused(claim(type, kDigest, R"(h/a","more":")")));
  EXPECT_TRUE(refused(claim(type, kDigest, R"(h/a","docker-reference":"h/b)")));
  const std::string good = claim(type, kDigest, "h/a");
  EXPECT_TRUE(refused(good.substr(0, good.size() - 1) + R"(,"more":1})"));
  EXPECT_TRUE(refused(good + " x"));
  EXPECT_TRUE(refused(R"({"critical":{"type":"atomic container signature","image":{"docker-manifest-digest":")" +
                      kDigest + R"("}},"optional":{}})"));
  EXPECT_EQ(parse_claim(claim(type, "sha256:short", "h/a"), ClaimKind::kSimpleSigning).error().code(), Errc::kCorrupt);
}

struct Case {
  SignedIdentity identity;
  std::string image;
  std::string signed_one;
  bool accepted;
};

TEST(IdentityTest, RulesOfTheManual) {
  const std::string by_digest = "@" + kDigest;
  const SignedIdentity exact{.match = Match::kMatchExact};
  const SignedIdentity standard;
  const SignedIdentity repository{.match = Match::kMatchRepository};
  const SignedIdentity reference{.match = Match::kExactReference, .reference = "vendor.example/app:1"};
  const SignedIdentity one_repository{.match = Match::kExactRepository, .reference = "vendor.example/app"};
  const SignedIdentity remap{
      .match = Match::kRemapIdentity, .prefix = "mirror:5000/v", .signed_prefix = "vendor.example"};
  const SignedIdentity to_library{
      .match = Match::kRemapIdentity, .prefix = "mirror:5000", .signed_prefix = "docker.io/library"};
  const std::vector<Case> cases = {
      {exact, "h.io/a:1", "h.io/a:1", true},
      {exact, "h.io/a:1", "h.io/a:2", false},
      {exact, "h.io/a", "h.io/a:latest", true},
      {exact, "h.io/a:1", "h.io/a", false},
      {exact, "busybox", "docker.io/library/busybox:latest", true},
      {exact, "h.io/a" + by_digest, "h.io/a:1", false},
      {exact, "h.io/a" + by_digest, "h.io/a" + by_digest, true},
      {exact, "h.io/a:1" + by_digest, "h.io/a:1", true},
      {exact, "h.io/a:1" + by_digest, "h.io/a:2", false},
      {exact, "h.io/a:1" + by_digest, "h.io/a" + by_digest, false},
      {standard, "h.io/a:1", "h.io/a:1", true},
      {standard, "h.io/a:1", "h.io/a:2", false},
      {standard, "h.io/a:1", "h.io/b:1", false},
      {standard, "h.io/a:1", "x.io/a:1", false},
      {standard, "h.io/a:1", "h.io/a", false},
      {standard, "h.io/a" + by_digest, "h.io/a:7", true},
      {standard, "h.io/a" + by_digest, "h.io/b:7", false},
      {standard, "h.io/a" + by_digest, "h.io/a", false},
      {standard, "h.io/a:1" + by_digest, "h.io/a:1", true},
      {standard, "h.io/a:1" + by_digest, "h.io/a:2", false},
      {repository, "h.io/a:1", "h.io/a:2", true},
      {repository, "h.io/a:1", "h.io/a", true},
      {repository, "h.io/a:1", "h.io/a/b:1", false},
      {reference, "mirror/x:9", "vendor.example/app:1", true},
      {reference, "vendor.example/app:1", "vendor.example/app:2", false},
      {reference, "vendor.example/app:1", "vendor.example/app", false},
      {one_repository, "mirror/x:9", "vendor.example/app:2", true},
      {one_repository, "mirror/x:9", "vendor.example/other:2", false},
      {remap, "mirror:5000/v/app:1", "vendor.example/app:1", true},
      {remap, "mirror:5000/v/app:1", "vendor.example/app:2", false},
      {remap, "mirror:5000/v/app:1", "mirror:5000/v/app:1", false},
      {remap, "mirror:5000/v/app" + by_digest, "vendor.example/app:2", true},
      {remap, "mirror:5000/vv/app:1", "vendor.example/v/app:1", false},
      {remap, "mirror:5000/vv/app:1", "mirror:5000/vv/app:1", true},
      {remap, "mirror:5000/v:1", "vendor.example:1", false},
      {to_library, "mirror:5000/busybox:1", "busybox:1", true},
      {to_library, "mirror:5001/busybox:1", "busybox:1", false},
      {standard, "h.io/a:1", "not a name!", false},
  };
  for (const Case& one : cases) {
    const auto image = oci_image::qualify(*oci_image::parse_reference(one.image), oci_image::kDockerHub);
    EXPECT_EQ(identity_accepts(one.identity, image, one.signed_one), one.accepted)
        << to_string(one.identity.match) << ": " << one.image << " signed as " << one.signed_one;
  }
}

TEST(IdentityTest, ImagesWithoutANameNeedExactOnes) {
  EXPECT_FALSE(identity_accepts({.match = Match::kMatchRepository}, std::nullopt, "h.io/a:1"));
  EXPECT_TRUE(identity_accepts({.match = Match::kExactReference, .reference = "h.io/a:1"}, std::nullopt, "h.io/a:1"));
}

TEST(ClaimTest, IsAboutTheseBytes) {
  const auto image = oci_image::parse_reference("h.io/a:1");
  for (const auto algorithm : {codec::Hasher::Algorithm::kSha256, codec::Hasher::Algorithm::kSha512}) {
    const Claim claim{.manifest_digest = codec::digest_of("manifest", algorithm), .reference = "h.io/a:1"};
    EXPECT_TRUE(check_claim(claim, {}, *image, "manifest").ok());
    EXPECT_THAT(check_claim(claim, {}, *image, "manifest2").error().message(), HasSubstr("another manifest"));
  }
  const Claim other{.manifest_digest = codec::digest_of("manifest"), .reference = "h.io/b:1"};
  EXPECT_THAT(check_claim(other, {}, *image, "manifest").error().message(), HasSubstr("another image, 'h.io/b:1'"));
  EXPECT_EQ(check_claim(other, {}, *image, "manifest").error().hint(), "");
}

TEST(ClaimTest, ASignedNameWithoutATagSaysWhatWouldTakeIt) {
  const auto image = oci_image::parse_reference("h.io/a:1");
  const Claim claim{.manifest_digest = codec::digest_of("manifest"), .reference = "h.io/a"};
  EXPECT_THAT(check_claim(claim, {}, *image, "manifest").error().hint(), HasSubstr("matchRepository"));
  EXPECT_TRUE(check_claim(claim, {.match = Match::kMatchRepository}, *image, "manifest").ok());
}

}  // namespace
}  // namespace cooper::policy
