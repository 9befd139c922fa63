#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/strings.h"
#include "io/file.h"
#include "sys/file.h"
#include "trust/armor.h"
#include "trust/internal/gpgv_status.h"
#include "trust/internal/test_keys.h"
#include "trust/signature.h"
#include "trust/store.h"

namespace cooper::trust {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): the keys
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

Key key_of(std::string_view text) {
  auto keys = parse_keys(text, "k");
  EXPECT_TRUE(keys.ok()) << (keys.ok() ? "" : keys.error().message());
  return keys->front();
}

TEST(ArmorTest, ThereAndBack) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{200}}) {
    const std::string bytes(size, '\xd0');
    const auto again = dearmor(armor(bytes, "PUBLIC KEY BLOCK"), "x");
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(*again, bytes);
  }
  EXPECT_EQ(*dearmor("\x99 binary", "x"), "\x99 binary");
  EXPECT_EQ(*dearmor("", "x"), "");
}

TEST(ArmorTest, WhatIsBroken) {
  const std::string good = armor("abcdef", "SIGNATURE");
  const auto broken = [](const std::string& text) {
    const auto bytes = dearmor(text, "the file");
    return bytes.ok() ? std::string("taken") : bytes.error().message();
  };
  EXPECT_THAT(broken(good.substr(0, good.find("-----END"))), HasSubstr("no end"));
  std::string other = good;
  other.replace(other.find("YWJj"), 4, "YWJk");
  EXPECT_THAT(broken(other), HasSubstr("checksum"));
  other.replace(other.find("YWJk"), 4, "Y*Jk");
  EXPECT_THAT(broken(other), HasSubstr("base64"));
  EXPECT_THAT(broken("-----BEGIN PGP SIGNED MESSAGE-----\n"), HasSubstr("clear text"));
  EXPECT_EQ(*dearmor("Comment before\r\n" + good + "\nand behind\n" + good, "x"), "abcdefabcdef");
}

TEST(KeysTest, FingerprintsAndOwners) {
  const Key alice = key_of(kAlice);
  EXPECT_EQ(alice.fingerprint, kAliceFingerprint);
  EXPECT_EQ(alice.created_unix_s, 1577836800);
  EXPECT_THAT(alice.user_ids, ElementsAre("Alice Test <alice@example.com>"));
  const auto both = parse_keys(std::string(kAlice).append(kBobExpired).append(kAlice), "k");
  ASSERT_TRUE(both.ok()) << both.error().message();
  ASSERT_THAT(*both, SizeIs(2));
  EXPECT_EQ(both->back().fingerprint, kBobFingerprint);
  // A key of a file of several stands for itself.
  EXPECT_EQ(key_of(both->back().packets).fingerprint, kBobFingerprint);
}

TEST(KeysTest, WhatIsNoPublicKey) {
  const auto code = [](std::string_view text) { return parse_keys(text, "k").error().code(); };
  EXPECT_EQ(code("-----BEGIN PGP PRIVATE KEY BLOCK-----\n"), Errc::kPermission);
  // The body of a secret key begins as that of the public one does.
  std::string secret = key_of(kAlice).packets;
  secret[0] = static_cast<char>(0x80 | 5 << 2);
  EXPECT_EQ(code(secret), Errc::kPermission);
  EXPECT_EQ(code(armor(secret, "PUBLIC KEY BLOCK")), Errc::kPermission) << "in a false skin";
  EXPECT_EQ(code(key_of(kAlice).packets + secret), Errc::kPermission) << "behind a public one";
  EXPECT_EQ(code("a text"), Errc::kCorrupt);
  EXPECT_EQ(code(""), Errc::kInvalidArgument);
  EXPECT_EQ(code(key_of(kAlice).packets.substr(0, 40)), Errc::kCorrupt);
  EXPECT_EQ(code(kByAlice), Errc::kCorrupt) << "a signature";
  EXPECT_EQ(code(std::string(kMaxKeyFileBytes + 1, 'x')), Errc::kLimit);
  std::string later = key_of(kAlice).packets;
  later[2] = 6;
  EXPECT_EQ(code(later), Errc::kUnsupported);
}

TEST(KeysTest, WrittenFingerprints) {
  EXPECT_EQ(*parse_fingerprint("5E18 C265 EC86 34BA 6030  55C9 2406 A3B5 29AA 5A73"), kAliceFingerprint);
  EXPECT_EQ(*parse_fingerprint("0x2406A3B529AA5A73"), "2406a3b529aa5a73");
  EXPECT_FALSE(parse_fingerprint("29AA5A73").ok()) << "anybody makes a key with the same short number";
  EXPECT_FALSE(parse_fingerprint(std::string(40, 'g')).ok());
  EXPECT_EQ(print_fingerprint("5e18c265ec"), "5E18 C265 EC");
}

std::string valid(std::string_view fingerprint, std::string_view digest = "8", std::string_view kind = "00") {
  const std::string name(fingerprint);
  return "[GNUPG:] VALIDSIG " + name + " 2020-01-01 1577836800 0 4 0 22 " + std::string(digest) + " " +
         std::string(kind) + " " + name + "\n";
}
const std::string kGoodAlice = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 2406A3B529AA5A73 Alice Test\n";

TEST(GpgvStatusTest, GoodOnes) {
  const std::vector<Key> keys = {key_of(kAlice)};
  const auto good = read_status(kGoodAlice + valid("5E18C265EC8634BA603055C92406A3B529AA5A73"), keys);
  ASSERT_TRUE(good.ok()) << good.error().message();
  ASSERT_THAT(*good, SizeIs(1));
  EXPECT_EQ(good->front().fingerprint, kAliceFingerprint);
  EXPECT_EQ(good->front().key_id(), "2406a3b529aa5a73");
  EXPECT_EQ(good->front().user_id, "Alice Test");
  EXPECT_EQ(good->front().made_unix_s, 1577836800);
  EXPECT_EQ(good->front().expires_unix_s, 0);
}

TEST(GpgvStatusTest, WhatIsNotEnough) {
  const std::vector<Key> keys = {key_of(kAlice)};
  const std::string by_alice = valid(kAliceFingerprint);
  const auto code = [&](const std::string& text) {
    const auto read = read_status(text, keys);
    return read.ok() ? std::string("good") : std::string(to_string(read.error().code()));
  };
  const std::string corrupt(to_string(Errc::kCorrupt));
  const std::string refused(to_string(Errc::kPermission));
  const std::string none(to_string(Errc::kInvalidArgument));
  const std::string start = "[GNUPG:] NEWSIG\n";
  EXPECT_EQ(code(""), none);
  EXPECT_EQ(code("[GNUPG:] NODATA 1\n"), none);
  EXPECT_EQ(code(kGoodAlice), refused) << "no VALIDSIG";
  EXPECT_EQ(code(start + by_alice), refused) << "no GOODSIG";
  EXPECT_EQ(code(by_alice + kGoodAlice), refused) << "of another signature";
  EXPECT_EQ(code(kGoodAlice + valid(kBobFingerprint)), refused) << "a key that was not given";
  EXPECT_EQ(code(kGoodAlice + valid(kAliceFingerprint, "2")), refused) << "SHA-1";
  EXPECT_EQ(code(kGoodAlice + valid(kAliceFingerprint, "8", "10")), refused) << "about a key";
  EXPECT_EQ(code(start + "[GNUPG:] EXPKEYSIG 2406A3B529AA5A73 Alice\n" + by_alice), refused);
  EXPECT_EQ(code(start + "[GNUPG:] REVKEYSIG 2406A3B529AA5A73 Alice\n" + by_alice), refused);
  EXPECT_EQ(code(start + "[GNUPG:] EXPSIG 2406A3B529AA5A73 Alice\n" + by_alice), refused);
  EXPECT_EQ(code(start + "[GNUPG:] BADSIG 2406A3B529AA5A73 Alice\n"), corrupt);
  EXPECT_EQ(code(kGoodAlice + by_alice + start + "[GNUPG:] BADSIG 2406A3B529AA5A73 Alice\n"), corrupt);
  EXPECT_EQ(code(kGoodAlice + by_alice + start + "[GNUPG:] ERRSIG 29918EBFFDEFF8FD 22 8 00 1577836800 9 " +
                 std::string(kBobFingerprint) + "\n"),
            "good")
      << "one of an unknown key beside it";
  // gpgv escapes line feeds of user ids; blanks it does not.
  EXPECT_EQ(code(start + "[GNUPG:] ERRSIG 2406A3B529AA5A73 22 8 00 1 9 -\n[GNUPG:] NOTATION_DATA GOODSIG VALIDSIG\n"),
            refused);
}

TEST(SignatureTest, WholeRoundThroughGpgv) {
  const std::vector<Key> keys = {key_of(kAlice), key_of(kBobExpired)};
  const UniqueFd data = std::move(*sys::memfd_create("data", MFD_CLOEXEC));
  ASSERT_TRUE(sys::write_all(data, kData).ok());
  const auto good = verify_detached(data, kByAlice, keys);
  ASSERT_TRUE(good.ok()) << good.error().message();
  EXPECT_EQ(good->front().fingerprint, kAliceFingerprint);
  EXPECT_EQ(good->front().user_id, "Alice Test <alice@example.com>");
  const auto expired = verify_detached(data, kByBob, keys);
  ASSERT_FALSE(expired.ok());
  EXPECT_THAT(expired.error().message(), HasSubstr("has expired"));
  const auto unknown = verify_detached(data, kByAlice, std::span(keys).subspan(1));
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message(), HasSubstr("not trusted"));
  ASSERT_TRUE(sys::write_all(data, "more").ok());
  const auto changed = verify_detached(data, kByAlice, keys);
  ASSERT_FALSE(changed.ok());
  EXPECT_EQ(changed.error().code(), Errc::kCorrupt);
  EXPECT_EQ(verify_detached(data, "garbage", keys).error().code(), Errc::kInvalidArgument);

  const auto message = verify_inline(kMessageByAlice, keys, 100);
  ASSERT_TRUE(message.ok()) << message.error().message();
  EXPECT_EQ(message->content, kData);
  EXPECT_EQ(verify_inline(kMessageByAlice, keys, 3).error().code(), Errc::kLimit);
  EXPECT_EQ(verify_detached(data, kByAlice, keys, {.program = "/nonexistent/gpgv"}).error().code(), Errc::kNotFound);
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    COOPER_ASSERT(::mkdtemp(path_.data()) != nullptr);
    store_.emplace(TrustDirectories{.local = path_ + "/local", .vendor = path_ + "/vendor"});
  }
  void TearDown() override { (void)!io::remove_tree(sys::kCwd, path_).ok(); }
  void vendor(const std::string& place, std::string_view text) const {
    ASSERT_TRUE(io::make_directories(path_ + "/vendor/" + place).ok());
    ASSERT_TRUE(io::write_file_atomic(path_ + "/vendor/" + place + "/" + std::string(kAliceFingerprint), text).ok());
  }
  std::size_t keys_for(std::string_view name) const {
    const auto keys = store_->keys_for(name);
    EXPECT_TRUE(keys.ok()) << (keys.ok() ? "" : keys.error().message());
    return keys.ok() ? keys->size() : 99;
  }
  std::string path_ = "/tmp/cooper-trust-test-XXXXXX";
  std::optional<KeyStore> store_;
};

TEST_F(StoreTest, PrefixesEndAtParts) {
  EXPECT_EQ(keys_for("example.com/a"), 0U);
  EXPECT_EQ(*store_->add(key_of(kAlice), "example.com/team"), KeyStore::Added::kNew);
  EXPECT_EQ(*store_->add(key_of(kAlice), "example.com/team"), KeyStore::Added::kThere);
  EXPECT_EQ(keys_for("example.com/team"), 1U);
  EXPECT_EQ(keys_for("example.com/team/app/x"), 1U);
  EXPECT_EQ(keys_for("example.com/teammate"), 0U);
  EXPECT_EQ(keys_for("example.com"), 0U);
  EXPECT_EQ(*store_->add(key_of(kBobExpired), ""), KeyStore::Added::kNew);
  EXPECT_EQ(keys_for("example.com/team"), 2U);
  EXPECT_EQ(keys_for("other.example/x"), 1U);
  EXPECT_FALSE(store_->keys_for("../x").ok());
}

TEST_F(StoreTest, RemovalTakesEmptyPartsAlong) {
  ASSERT_TRUE(store_->add(key_of(kAlice), "example.com/a/b").ok());
  ASSERT_TRUE(store_->add(key_of(kAlice), "example.com").ok());
  EXPECT_THAT(*store_->remove("ffffffffffffffff", std::nullopt), SizeIs(0));
  EXPECT_THAT(*store_->remove(kAliceFingerprint.substr(24), "example.com/a/b"), SizeIs(1));
  EXPECT_FALSE(sys::fstatat(sys::kCwd, path_ + "/local/prefix.d/example.com/a").ok());
  EXPECT_EQ(keys_for("example.com/a/b"), 1U);
  EXPECT_THAT(*store_->remove(kAliceFingerprint, std::nullopt), SizeIs(1));
  EXPECT_EQ(keys_for("example.com/a/b"), 0U);
}

TEST_F(StoreTest, AnEmptyFileMasksTheVendorsKey) {
  vendor("root.d", kAlice);
  EXPECT_EQ(keys_for("a.example/x"), 1U);
  const auto removed = store_->remove(kAliceFingerprint, std::nullopt);
  ASSERT_THAT(*removed, SizeIs(1));
  EXPECT_TRUE(removed->front().masked);
  EXPECT_EQ(keys_for("a.example/x"), 0U);
  ASSERT_THAT(*store_->list(), SizeIs(1));
  EXPECT_TRUE(store_->list()->front().masked);
  EXPECT_EQ(*store_->add(key_of(kAlice), ""), KeyStore::Added::kNew);
  EXPECT_EQ(keys_for("a.example/x"), 1U);
  EXPECT_FALSE(store_->list()->front().vendor);
}

TEST_F(StoreTest, AUsersDirectoryStandsBeforeTheOthers) {
  vendor("root.d", kAlice);
  const TrustDirectories directories{
      .local = path_ + "/user", .administrator = path_ + "/local", .vendor = path_ + "/vendor"};
  KeyStore user(directories);
  ASSERT_EQ(*store_->add(key_of(kBobExpired), "a.example"), KeyStore::Added::kNew);
  EXPECT_THAT(*user.keys_for("a.example/x"), SizeIs(2));
  EXPECT_THAT(*user.keys_for("b.example/x"), SizeIs(1));
  // The administrator masks the vendor's key, for users as well.
  ASSERT_THAT(*store_->remove(kAliceFingerprint, std::nullopt), SizeIs(1));
  EXPECT_THAT(*user.keys_for("b.example/x"), SizeIs(0));
  ASSERT_EQ(*user.add(key_of(kAlice), ""), KeyStore::Added::kNew);
  EXPECT_THAT(*user.keys_for("b.example/x"), SizeIs(1));
  EXPECT_EQ(keys_for("b.example/x"), 0U) << "the user's keys are nobody else's";
  // The user masks the administrator's.
  const auto removed = user.remove(key_of(kBobExpired).fingerprint, std::nullopt);
  ASSERT_THAT(*removed, SizeIs(1));
  EXPECT_TRUE(removed->front().masked);
  EXPECT_THAT(*user.keys_for("a.example/x"), SizeIs(1));
  EXPECT_EQ(keys_for("a.example/x"), 1U);
}

TEST_F(StoreTest, AFileThatIsNotWhatItsNameSaysIsNoKey) {
  vendor("prefix.d/a.example", kBobExpired);
  EXPECT_EQ(store_->keys_for("a.example/x").error().code(), Errc::kCorrupt);
  EXPECT_EQ(keys_for("b.example/x"), 0U) << "of no matter there";
  vendor("prefix.d/a.example", std::string(kAlice).append(kBobExpired));
  EXPECT_EQ(store_->keys_for("a.example/x").error().code(), Errc::kCorrupt);
}

TEST(PrefixTest, Grammar) {
  for (const char* good : {"a", "example.com", "example.com/a-b/c_d~e", "1/2"}) EXPECT_TRUE(check_prefix(good).ok());
  for (const char* bad : {"", "/", "a/", "/a", "a//b", "a/../b", "..", "a.", "A", "a b", "https://a", "a\n", "a/.b"})
    EXPECT_FALSE(check_prefix(bad).ok()) << bad;
  EXPECT_FALSE(check_prefix(std::string(256, 'a')).ok());
}

}  // namespace
}  // namespace cooper::trust
