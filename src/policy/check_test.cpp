#include "policy/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/digest.h"
#include "policy/places.h"

namespace cooper::policy {
namespace {

using ::testing::HasSubstr;
using Kind = Requirement::Kind;

constexpr std::string_view kManifest = "manifest";

std::string claim(std::string_view type, std::string_view name, std::string_view manifest = kManifest) {
  return R"({"critical":{"type":")" + std::string(type) + R"(","image":{"docker-manifest-digest":")" +
         codec::digest_of(manifest).str() + R"("},"identity":{"docker-reference":")" + std::string(name) +
         R"("}},"optional":{}})";
}

class Held final : public Signatures {
 public:
  std::vector<std::string> messages;
  std::vector<Attachment> attached;
  std::size_t asked = 0;

  Result<std::optional<std::string>> message(std::uint32_t number) override {
    ++asked;
    if (number > messages.size()) return std::optional<std::string>();
    return std::optional(messages[number - 1]);
  }
  Result<std::vector<Attachment>> attachments() override {
    ++asked;
    return attached;
  }
  std::string messages_place() const override { return "here"; }
  std::string attachments_place() const override { return "there"; }
};

// "key|content": signed by that key.
class Pretended final : public Cryptography {
 public:
  Result<std::string> open(std::string_view message, const std::vector<std::string>& keys,
                           const std::vector<std::string>&) override {
    const std::size_t bar = message.find('|');
    for (const std::string& key : keys) {
      if (message.substr(0, bar) == key) return std::string(message.substr(bar + 1));
    }
    return Error(broken ? Errc::kSystem : Errc::kPermission, "another key");
  }
  Status verify(std::string_view key, std::string_view, std::string_view signature) override {
    if (key == "no key") return Error(Errc::kInvalidArgument, "is no key");
    if (key == signature) return {};
    return Error(Errc::kPermission, "not by this key");
  }
  bool broken = false;
};

Requirement wants(Kind kind, std::vector<std::string> keys) {
  return {.kind = kind, .type = kind == Kind::kSignedBy ? "signedBy" : "sigstoreSigned", .key_data = std::move(keys)};
}

class CheckTest : public ::testing::Test {
 protected:
  Status check(const Requirements& requirements) {
    return check_image(requirements, {*oci_image::parse_reference("h.io/a:1"), kManifest}, held, cryptography);
  }
  const std::string good = claim("atomic container signature", "h.io/a:1");
  const std::string cosign = claim("cosign container image signature", "h.io/a:1");
  Held held;
  Pretended cryptography;
};

TEST_F(CheckTest, OneGoodSignatureIsEnough) {
  held.messages = {"bob|" + good, "alice|" + good};
  EXPECT_TRUE(check({wants(Kind::kSignedBy, {"alice"})}).ok());
  EXPECT_TRUE(check({wants(Kind::kSignedBy, {"carol", "bob"})}).ok());
}

TEST_F(CheckTest, EveryRequirementMustBeMet) {
  held.messages = {"bob|" + good, "alice|" + good};
  EXPECT_TRUE(check({wants(Kind::kSignedBy, {"alice"}), wants(Kind::kSignedBy, {"bob"})}).ok());
  EXPECT_FALSE(check({wants(Kind::kSignedBy, {"alice"}), wants(Kind::kSignedBy, {"carol"})}).ok());
  EXPECT_FALSE(check({wants(Kind::kSignedBy, {"alice"}), wants(Kind::kSigstoreSigned, {"alice"})}).ok());
}

TEST_F(CheckTest, OtherSignaturesAreNone) {
  const auto why = [&](std::string message) {
    held.messages = {std::move(message)};
    const Status status = check({wants(Kind::kSignedBy, {"alice"})});
    EXPECT_EQ(status.error().code(), Errc::kPermission);
    return status.error().message();
  };
  EXPECT_THAT(why("bob|" + good), HasSubstr("signature 1: another key"));
  EXPECT_THAT(why("alice|" + claim("atomic container signature", "h.io/b:1")), HasSubstr("another image"));
  EXPECT_THAT(why("alice|" + claim("atomic container signature", "h.io/a:1", "x")), HasSubstr("another manifest"));
  EXPECT_THAT(why("alice|" + cosign), HasSubstr("type is"));
  EXPECT_THAT(why("alice|garbage"), HasSubstr("what is signed"));
  held.messages.clear();
  const Status none = check({wants(Kind::kSignedBy, {"alice"})});
  EXPECT_THAT(none.error().message(), HasSubstr("there is none"));
  EXPECT_THAT(none.error().hint(), HasSubstr("here"));
}

TEST_F(CheckTest, AttachmentsOfSigstore) {
  held.attached = {{cosign, "bob"}, {cosign, "alice"}};
  EXPECT_TRUE(check({wants(Kind::kSigstoreSigned, {"alice"})}).ok());
  EXPECT_TRUE(check({wants(Kind::kSigstoreSigned, {"carol", "alice"})}).ok());
  EXPECT_THAT(check({wants(Kind::kSigstoreSigned, {"carol"})}).error().message(), HasSubstr("not by this key"));
  EXPECT_EQ(check({wants(Kind::kSigstoreSigned, {"no key"})}).error().code(), Errc::kSystem);
  held.attached = {{good, "alice"}};
  EXPECT_THAT(check({wants(Kind::kSigstoreSigned, {"alice"})}).error().message(), HasSubstr("type is"));
}

TEST_F(CheckTest, TroubleIsNoVerdict) {
  cryptography.broken = true;
  held.messages = {"bob|" + good, "alice|" + good};
  EXPECT_EQ(check({wants(Kind::kSignedBy, {"alice"})}).error().code(), Errc::kSystem);
}

TEST_F(CheckTest, NothingIsAskedForWithoutNeed) {
  const Requirement accept{.kind = Kind::kAccept, .type = "insecureAcceptAnything"};
  const Requirement reject{.kind = Kind::kReject, .type = "reject"};
  EXPECT_TRUE(check({accept}).ok());
  EXPECT_FALSE(check({accept, reject}).ok());
  EXPECT_FALSE(check({wants(Kind::kSignedBy, {"alice"}), reject}).ok());
  const auto unsupported =
      check({{.kind = Kind::kUnsupported, .type = "sigstoreSigned", .reason = "certificates ('fulcio')"}});
  ASSERT_FALSE(unsupported.ok());
  EXPECT_THAT(unsupported.error().message(), HasSubstr("sigstoreSigned with certificates ('fulcio'), which is not"));
  EXPECT_THAT(unsupported.error().hint(), HasSubstr("keyPath, keyPaths, keyData, keyDatas"));
  EXPECT_EQ(held.asked, 0U);
  EXPECT_FALSE(*needs_signatures({accept}, true));
  EXPECT_TRUE(*needs_signatures({accept, wants(Kind::kSignedBy, {})}, true));
  EXPECT_FALSE(needs_signatures({wants(Kind::kSignedBy, {})}, false).ok());
}

TEST_F(CheckTest, ThereIsAnEnd) {
  held.messages.assign(10'000, "bob|" + good);
  const Status status = check({wants(Kind::kSignedBy, {"alice"})});
  EXPECT_EQ(held.asked, kMaxSignatures);
  EXPECT_LT(status.error().message().size(), 1000U);
}

PlacesConfig config_of(std::initializer_list<std::string_view> files) {
  PlacesConfig out;
  int number = 0;
  for (const std::string_view text : files) EXPECT_TRUE(add_places(out, text, std::to_string(++number)).ok()) << text;
  return out;
}

Places places_of(const PlacesConfig& config, std::string_view name) {
  const auto reference = oci_image::qualify(*oci_image::parse_reference(name), oci_image::kDockerHub);
  return *find_places(config, reference, "file:///standard");
}

TEST(PlacesTest, TheNarrowestSectionThatSays) {
  const PlacesConfig config =
      config_of({"docker:\n  r.io:\n    lookaside: https://s.r.io/\n    use-sigstore-attachments: true\n"
                 "  r.io/team:\n    lookaside: file:///team\n",
                 "default-docker:\n  sigstore: http://old.io\n  sigstore-staging: file:///x\n"
                 "docker:\n  r.io/team/app:1: {use-sigstore-attachments: false}\n"});
  EXPECT_EQ(places_of(config, "r.io/a/b").lookaside, "https://s.r.io/a/b");
  EXPECT_TRUE(places_of(config, "r.io/a/b").sigstore_attachments);
  EXPECT_EQ(places_of(config, "r.io/team/app:1").lookaside, "file:///team/team/app");
  EXPECT_FALSE(places_of(config, "r.io/team/app:1").sigstore_attachments);
  EXPECT_TRUE(places_of(config, "r.io/team/app:2").sigstore_attachments);
  EXPECT_EQ(places_of(config, "busybox").lookaside, "http://old.io/library/busybox");
  EXPECT_FALSE(places_of(config, "busybox").sigstore_attachments);
}

TEST(PlacesTest, WithoutConfiguration) {
  EXPECT_EQ(places_of({}, "busybox").lookaside, "file:///standard/library/busybox");
  const PlacesConfig quiet = config_of({"docker:\n  docker.io:\n    use-sigstore-attachments: true\n"});
  EXPECT_EQ(places_of(quiet, "busybox").lookaside, "");
  EXPECT_EQ(places_of(quiet, "r.io/x").lookaside, "file:///standard/x");
  EXPECT_EQ(places_of(config_of({"", "# nothing\n", "docker:\n", "default-docker: {}\n"}), "r.io/x").lookaside, "");
}

TEST(PlacesTest, WrongFiles) {
  PlacesConfig config =
      config_of({"default-docker:\n  lookaside: file:///a\ndocker:\n  r.io:\n    lookaside: file:///a\n"});
  for (const char* text :
       {"default-docker:\n  lookaside: file:///b\n", "docker:\n  r.io:\n    lookaside: file:///b\n", "- a\n",
        "docker: text\n", "docker:\n  x.io: text\n", "docker:\n  x.io:\n    lookaside: ftp://a\n",
        "docker:\n  x.io:\n    lookaside: [a]\n", "docker:\n  x.io:\n    lookaside: file://relative\n",
        "docker:\n  x.io:\n    use-sigstore-attachments: perhaps\n", "docker: {\n"}) {
    const Status status = add_places(config, text, "two.yaml");
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_THAT(status.error().message(), HasSubstr("two.yaml: line ")) << text;
  }
}

}  // namespace
}  // namespace cooper::policy
