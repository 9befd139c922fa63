#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/base64.h"
#include "registry/backoff.h"
#include "registry/challenge.h"
#include "registry/proxy.h"
#include "registry/registry.h"
#include "registry/upload.h"
#include "registry/url.h"
#include "registry/verify.h"

namespace cooper::registry {
namespace {

using ::testing::HasSubstr;

TEST(UrlTest, ErrorsAreShort) {
  EXPECT_LT(parse_url("gopher://" + std::string(90'000, 'A')).error().message().size(), 400U);
}

TEST(UrlTest, ReferencesBecomeUrls) {
  const fetch::Endpoint endpoint{.host = "localhost:5000", .repository = "a/b"};
  EXPECT_EQ(manifest_url("http", endpoint, "1.0"), "http://localhost:5000/v2/a/b/manifests/1.0");
  EXPECT_EQ(blob_url("https", endpoint, "sha256:00"), "https://localhost:5000/v2/a/b/blobs/sha256:00");
}

TEST(UrlTest, SignaturesLieBesideTheName) {
  const auto manifest = Digest::parse("sha256:" + std::string(64, 'a'));
  EXPECT_EQ(signature_url({.url = "https://s.example/library/busybox"}, *manifest, 2),
            "https://s.example/library/busybox@sha256=" + std::string(64, 'a') + "/signature-2");
}

TEST(UrlTest, PartsAreFound) {
  const auto url = parse_url("HTTPS://Registry.Example:8443/a?b=c#d");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(url->origin(), "https://registry.example:8443");
  EXPECT_EQ(url->path, "/a?b=c");
  EXPECT_EQ(parse_url("http://[::1]:80/x")->str(), "http://[::1]/x");
  EXPECT_EQ(parse_url("http://h?q")->str(), "http://h/?q");
}

TEST(UrlTest, OthersAreRefused) {
  for (const char* text : {"", "x", "ftp://h/", "file:///etc/shadow", "http://", "http://user@h/", "http://h:0/",
                           "http://h:x/", "http://h/a b", "http://h/\r\nX: y", "http://h\\x/", "https://h:99999/"}) {
    EXPECT_FALSE(parse_url(text).ok()) << text;
  }
}

TEST(UrlTest, RedirectsAreResolved) {
  const Url base = *parse_url("https://h:5000/v2/a/blobs/x?old");
  EXPECT_EQ(resolve_url(base, "/y")->str(), "https://h:5000/y");
  EXPECT_EQ(resolve_url(base, "y?z")->str(), "https://h:5000/v2/a/blobs/y?z");
  EXPECT_EQ(resolve_url(base, "?z=http://x/")->str(), "https://h:5000/v2/a/blobs/x?z=http://x/");
  EXPECT_EQ(resolve_url(base, "//other/y")->str(), "https://other/y");
  EXPECT_EQ(resolve_url(base, "http://other/y")->str(), "http://other/y");
  EXPECT_FALSE(resolve_url(base, "").ok());
  EXPECT_FALSE(resolve_url(base, "file:///etc/shadow").ok());
}

TEST(UrlTest, OriginsDifferBySchemeHostAndPort) {
  const auto same = [](const char* a, const char* b) { return same_origin(*parse_url(a), *parse_url(b)); };
  EXPECT_TRUE(same("https://h/", "https://H:443/x"));
  EXPECT_FALSE(same("https://h/", "http://h/"));
  EXPECT_FALSE(same("https://h/", "https://h:444/"));
  EXPECT_FALSE(same("https://h/", "https://h.other/"));
}

TEST(ChallengeTest, BearerWithParameters) {
  const auto found = parse_challenges(
      R"(Bearer realm="https://auth.example/token",service="registry \"x\"", scope="repository:a:pull,push")");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].scheme, "bearer");
  EXPECT_EQ(found[0].parameter("realm"), "https://auth.example/token");
  EXPECT_EQ(found[0].parameter("service"), "registry \"x\"");
  EXPECT_EQ(found[0].parameter("scope"), "repository:a:pull,push");
}

TEST(ChallengeTest, SeveralInOneHeader) {
  const auto found = parse_challenges("Negotiate, Basic realm=\"a, b\", Bearer Realm=x , service = y");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].scheme, "negotiate");
  EXPECT_EQ(found[1].parameter("realm"), "a, b");
  EXPECT_EQ(found[2].parameter("service"), "y");
}

TEST(ChallengeTest, BrokenOnesEndTheList) {
  EXPECT_TRUE(parse_challenges("").empty());
  EXPECT_TRUE(parse_challenges("\"x\"").empty());
  EXPECT_TRUE(parse_challenges("Bearer realm=\"open").empty());
  EXPECT_EQ(parse_challenges("Basic, Bearer realm=\"open").size(), 1U);
}

TEST(ChallengeTest, TokenUrls) {
  const Challenge challenge{.scheme = "bearer", .parameters = {{"realm", "https://a/t"}, {"service", "r s"}}};
  EXPECT_EQ(token_url(challenge, "x/y", Access::kPull, ""),
            "https://a/t?service=r%20s&scope=repository%3Ax%2Fy%3Apull");
  EXPECT_THAT(token_url(challenge, "x", Access::kPull, "me&you"), HasSubstr("&account=me%26you"));
}

TEST(ChallengeTest, TokensForAPushAllowIt) {
  const auto scope = [](const std::string& said) {
    return scope_of({.scheme = "bearer", .parameters = {{"scope", said}}}, "a/b", Access::kPush);
  };
  EXPECT_EQ(scope(""), "repository:a/b:pull,push");
  EXPECT_EQ(scope("repository:a/b:pull"), "repository:a/b:pull,push");
  EXPECT_EQ(scope("repository:a/b:pull,push  repository:other:pull"), "repository:a/b:pull,push repository:other:pull");
  EXPECT_EQ(scope("repository:a/bc:pull"), "repository:a/b:pull,push repository:a/bc:pull");
  const Challenge both{.scheme = "bearer",
                       .parameters = {{"realm", "https://a/t?x"}, {"scope", "repository:b:pull repository:c:pull"}}};
  EXPECT_EQ(token_url(both, "b", Access::kPull, ""),
            "https://a/t?x&scope=repository%3Ab%3Apull&scope=repository%3Ac%3Apull");
}

TEST(ChallengeTest, Tokens) {
  EXPECT_EQ(*parse_token(R"({"token":"a"})", "t"), "a");
  EXPECT_EQ(*parse_token(R"({"access_token":"b","expires_in":5})", "t"), "b");
  EXPECT_FALSE(parse_token(R"({"token":""})", "t").ok());
  EXPECT_FALSE(parse_token(R"({"token":"a\r\nX-Evil: b"})", "t").ok());
  EXPECT_FALSE(parse_token("[]", "t").ok());
}

TEST(UploadTest, HowFarItHasCome) {
  EXPECT_EQ(parse_taken("0-9", 100), 10U);
  EXPECT_EQ(parse_taken("bytes=0-9", 100), 10U);
  EXPECT_EQ(parse_taken(" bytes 0-99 ", 100), 100U);
  for (const char* text : {"", "0-0", "0-100", "5-9", "0--1", "0-x", "-9", "9", "0-18446744073709551615",
                           "bytes=", "0-99999999999999999999999"}) {
    EXPECT_EQ(parse_taken(text, 100), std::nullopt) << text;
  }
  EXPECT_EQ(parse_taken("0-0", 1), std::nullopt);
  EXPECT_EQ(parse_taken("0-1", 0), std::nullopt);
}

TEST(UploadTest, Urls) {
  const fetch::Endpoint endpoint{.host = "h:1", .repository = "a/b"};
  const std::string url = uploads_url("https", endpoint);
  EXPECT_EQ(url, "https://h:1/v2/a/b/blobs/uploads/");
  EXPECT_EQ(with_parameter(with_parameter(url, "mount", "sha256:0"), "from", "c/d"),
            url + "?mount=sha256%3A0&from=c%2Fd");
  EXPECT_EQ(with_parameter("https://h/u?state=x%3D", "digest", "d"), "https://h/u?state=x%3D&digest=d");
}

TEST(RegistryTest, PlainHttpForAllWhoTriedTlsAtOnce) {
  const fetch::Endpoint endpoint{.host = "localhost:1", .repository = "a", .plain_http = true};
  Registry registry(endpoint, Access::kPush);
  EXPECT_EQ(registry.scheme(), "https");
  EXPECT_TRUE(registry.fall_back_to_http("https://localhost:1/v2/"));
  EXPECT_TRUE(registry.fall_back_to_http("https://localhost:1/v2/")) << "somebody else was told a moment before";
  EXPECT_EQ(registry.scheme(), "http");
  EXPECT_FALSE(registry.fall_back_to_http("http://localhost:1/v2/"));
  const fetch::Endpoint strict{.host = "h", .repository = "a"};
  EXPECT_FALSE(Registry(strict, Access::kPull).fall_back_to_http("https://h/v2/"));
}

TEST(BackoffTest, RetryAfter) {
  EXPECT_EQ(parse_retry_after("17", 0), 17U);
  EXPECT_EQ(parse_retry_after("Tue, 14 Nov 2023 22:13:30 GMT", 1'700'000'000), 10U);
  EXPECT_EQ(parse_retry_after("Tue, 14 Nov 2023 22:13:10 GMT", 1'700'000'000), 0U);
  EXPECT_EQ(parse_retry_after("soon", 0), std::nullopt);
  EXPECT_EQ(parse_retry_after("", 0), std::nullopt);
  EXPECT_EQ(parse_retry_after("-1", 0), std::nullopt);
}

TEST(BackoffTest, DatesOfHttp) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  for (const char* bad : {"", "Sun, 06 Nov 1994 08:49:37", "Sunday, 06-Nov-94 08:49:37 GMT", "784111777"})
    EXPECT_EQ(parse_http_date(bad), std::nullopt) << bad;
}

TEST(BackoffTest, MaxAge) {
  EXPECT_EQ(parse_max_age(""), 0U);
  EXPECT_EQ(parse_max_age("max-age=60"), 60U);
  EXPECT_EQ(parse_max_age("Public , MAX-AGE=60"), 60U);
  EXPECT_EQ(parse_max_age("max-age=99999999"), fetch::kMaxAgeS);
  for (const char* text : {"max-age=99999999999999999999", "max-age=-1", "max-age=", "max-age=60, no-store", "no-cache",
                           "no-cache=\"x\", max-age=60", "s-maxage=60"})
    EXPECT_EQ(parse_max_age(text), 0U) << text;
}

TEST(BackoffTest, PausesDoubleAndEnd) {
  Backoff backoff(5, 0.5);
  EXPECT_EQ(backoff.next(), 500U);
  EXPECT_EQ(backoff.next(), 1000U);
  EXPECT_EQ(backoff.next(), 2000U);
  EXPECT_EQ(backoff.next(), 4000U);
  EXPECT_EQ(backoff.next(), std::nullopt);
}

TEST(BackoffTest, APauseThatIsGivenIsExact) {
  Backoff backoff(3, 0.5, 70);
  EXPECT_EQ(backoff.next(), 70U);
  EXPECT_EQ(backoff.next(), 70U);
  EXPECT_EQ(backoff.next(), std::nullopt);
}

TEST(BackoffTest, ProgressBeginsAnewButNotForEver) {
  Backoff backoff(2, 0);
  unsigned tries = 0;
  while (backoff.next()) {
    backoff.made_progress();
    ASSERT_LT(++tries, 1000U);
  }
  EXPECT_GT(tries, 10U);
}

bool direct(std::string_view url, std::string_view exceptions) {
  return is_direct(*parse_url(url), exceptions);
}

TEST(ProxyTest, NotForThisMachine) {
  for (const char* url :
       {"http://localhost:5000/", "https://LOCALHOST/", "http://a.localhost/", "http://127.0.0.1/",
        "http://127.3.4.5:80/", "http://[::1]:5000/", "http://[0:0::1]/", "http://[::ffff:127.0.0.1]/"})
    EXPECT_TRUE(direct(url, "")) << url;
  for (const char* url : {"http://r.example/", "http://localhost.example/", "http://128.0.0.1/", "http://[::2]/"})
    EXPECT_FALSE(direct(url, "")) << url;
}

TEST(ProxyTest, DomainsThatAreExcepted) {
  EXPECT_TRUE(direct("https://r.example/", "r.example"));
  EXPECT_TRUE(direct("https://a.r.example/", "x, R.Example"));
  EXPECT_TRUE(direct("https://a.r.example/", "x r.example."));
  EXPECT_FALSE(direct("https://ar.example/", "r.example"));
  EXPECT_FALSE(direct("https://r.example.org/", "r.example"));
  for (const char* below : {".r.example", "*.r.example"}) {
    EXPECT_TRUE(direct("https://a.b.r.example/", below)) << below;
    EXPECT_FALSE(direct("https://r.example/", below)) << below;
    EXPECT_FALSE(direct("https://ar.example/", below)) << below;
  }
  EXPECT_TRUE(direct("https://anything.example/", "*"));
  EXPECT_TRUE(direct("https://anything.example/", "x,*"));
  for (const char* nothing : {"", ",", " , ", ".", "*.", ":443", "/", "example/8"})
    EXPECT_FALSE(direct("https://r.example/", nothing)) << nothing;
}

TEST(ProxyTest, PortsThatAreExcepted) {
  EXPECT_TRUE(direct("https://r.example:5000/", "r.example:5000"));
  EXPECT_FALSE(direct("https://r.example/", "r.example:5000"));
  EXPECT_TRUE(direct("https://r.example/", "r.example:443"));
  EXPECT_FALSE(direct("http://r.example/", "r.example:443"));
  EXPECT_TRUE(direct("http://a.r.example/", "*.r.example:80"));
  EXPECT_TRUE(direct("http://192.0.2.7:5000/", "192.0.2.7:5000"));
  EXPECT_FALSE(direct("http://192.0.2.7/", "192.0.2.7:5000"));
  EXPECT_TRUE(direct("http://[2001:db8::7]:5000/", "[2001:db8::7]:5000"));
  EXPECT_FALSE(direct("http://[2001:db8::7]/", "[2001:db8::7]:5000"));
}

TEST(ProxyTest, AddressesThatAreExcepted) {
  EXPECT_TRUE(direct("http://192.0.2.7/", "192.0.2.7"));
  EXPECT_FALSE(direct("http://192.0.2.70/", "192.0.2.7"));
  EXPECT_TRUE(direct("http://192.0.2.7/", "192.0.2.0/24"));
  EXPECT_FALSE(direct("http://192.0.3.7/", "192.0.2.0/24"));
  EXPECT_TRUE(direct("http://192.0.3.7/", "192.0.2.0/23"));
  EXPECT_FALSE(direct("http://192.0.4.7/", "192.0.2.0/23"));
  EXPECT_TRUE(direct("http://192.0.4.7/", "0.0.0.0/0"));
  EXPECT_TRUE(direct("http://192.0.2.7/", "192.0.2.7/32"));
  EXPECT_FALSE(direct("http://192.0.2.7/", "192.0.2.7/33"));
  EXPECT_TRUE(direct("http://[2001:db8::7]/", "2001:DB8:0::7"));
  EXPECT_TRUE(direct("http://[2001:db8:5::7]/", "2001:db8::/32"));
  EXPECT_FALSE(direct("http://[2001:db9::7]/", "2001:db8::/32"));
  EXPECT_FALSE(direct("http://192.0.2.7/", "::/0"));
  EXPECT_FALSE(direct("http://r.example/", "0.0.0.0/0"));
}

TEST(AnswerTest, WordsOfTheRegistry) {
  EXPECT_EQ(describe_answer(404, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})"),
            "404 Not Found: manifest unknown (MANIFEST_UNKNOWN)");
  EXPECT_EQ(describe_answer(500, "<html>"), "500 Internal Server Error");
  EXPECT_EQ(describe_answer(418, R"({"errors":[{"message":"a\u001b[2Jb"}]})"), "418: a\\x1b[2Jb");
  EXPECT_EQ(describe_answer(500, R"({"errors":[7]})"), "500 Internal Server Error");
}

// Of "hello", by openssl.
struct Vector {
  std::string_view key;
  std::string_view signature;
};
constexpr Vector kEcdsa = {
    R"(-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFRBh4NFg66mirMKRdbRj+l7QIZsr
dsjTA1ZhmjErLohuShZsjahZjgqvQ/fSKkCnGAhcRcDQIFl8wgT8VAACRg==
-----END PUBLIC KEY-----
)",
    "MEUCIHgSzmEPjPYZwm1k7n9lzafVJc3EmhzJ5EYLZROvMUeTAiEAwDj2AlgMAjofKuOJo76umfn/z9AZIR1gIg+U4OuiG+c="};
constexpr Vector kEd25519 = {
    R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAO1iYtFz+hXr/jT9RIaAeEvqRhautFYCFquB2VPBDfXk=
-----END PUBLIC KEY-----
)",
    "3FWiCBQMX4Tnzx/X2ubrSETi9qkcF9T6//MJdQOIW8Ut0wc2PPdlkz07G/xMHGNOCpZaTrVMUzN6xLjTRhWkDA=="};
constexpr Vector kRsa = {
    R"(-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA08p4woAOvQJKXVy0t52b
OctrAxxG4IuS8A7tvOuOBH6Jd9XoxOIQ39hmtgZG0fu8cL77iwiUF0siG11NhR3W
tqgtjopzX3B4wiSxUGUKhljrBLjnqlAFlcbVd4xgC5lGVKBK3TJmiAvEBKP4rTI3
ad+GW0tnDr9MR5m+6AkCLaF9q9OkG9XbLUY7vqOl5/E4lbOxgkJkfHjOL8g7MHY5
ATKzM7nK1sX3ooA+cjtOsrlH0bO39B6Wupgp4C6XGbDrQYmTuDPxfR3k6ivPorZu
oQMyUJxSZF4F/IuEV/rMGl08dSU6LAF4okqaDgQD9EDa3yzHDzHBxWtVJ9fJo4mH
HwIDAQAB
-----END PUBLIC KEY-----
)",
    "qCCwP/rpE/4AmxDxmyNoEy9+sbQKSWiNSvu9qfD4MgIB7A5osXKh4q+738GlyYXgw70x0RvFblndl9cFzXE02iL7HcrGCaggrpH8"
    "tY/wdZ7P0IYHYdUD7xHlNpPD3ILLHo/w+D5DDHqD3MgsjeBiOwT43hAdeB2NzC+6SReuAjcgRbRO7rlrgZ8bHawuaKFspNOr/mgr"
    "1lQOnD0Dwi7j5ndhwlCkJ1XPkwh6KvK5yHl/UH7rXzgH/sCnaTG91TixGe1M2aISmo7H8iWOcBRVr1fA51tpPMo5cCv+/K81Hqva"
    "j4YltJYLrAJjzeGXg37NVvPjhHhlHFhChEtjU7jPUA=="};
constexpr std::string_view kShortRsaKey = R"(-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDYHEw9zw0bd+rfLPG3GdF2lmW3
ciYwF8wlqav9R4ncqqcCJ4FkcofbGYVvmPOa2fJb4LQcds4w1ieLUW1wpzdJcCGO
A0gMpoHBG2JaGh9ox8pH7qXjwm/lX2MuMflM34+Qc0Pj0vVxomvSamUqXUqFQOdZ
+ZC34S+UFNEzTgd3PwIDAQAB
-----END PUBLIC KEY-----
)";

Status verify_vector(std::string_view key, std::string_view signature, std::string_view payload) {
  return check_signature({.key = key, .payload = payload, .signature = *codec::base64_decode(signature)});
}

TEST(VerifyTest, SignaturesOfEachAlgorithm) {
  for (const Vector& one : {kEcdsa, kEd25519, kRsa}) {
    EXPECT_TRUE(verify_vector(one.key, one.signature, "hello").ok()) << one.key;
    EXPECT_EQ(verify_vector(one.key, one.signature, "hello2").error().code(), Errc::kPermission);
    EXPECT_EQ(verify_vector(one.key, one.signature, "").error().code(), Errc::kPermission);
    EXPECT_EQ(check_signature({.key = one.key, .payload = "hello", .signature = ""}).error().code(), Errc::kPermission);
    EXPECT_EQ(check_signature({.key = one.key, .payload = "hello", .signature = "x"}).error().code(),
              Errc::kPermission);
  }
  EXPECT_EQ(verify_vector(kEcdsa.key, kRsa.signature, "hello").error().code(), Errc::kPermission);
}

TEST(VerifyTest, WhatIsNoKey) {
  for (const std::string_view key :
       {std::string_view(""), std::string_view("key"), kShortRsaKey,
        std::string_view("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")}) {
    EXPECT_EQ(verify_vector(key, kEcdsa.signature, "hello").error().code(), Errc::kInvalidArgument) << key;
  }
}

}  // namespace
}  // namespace cooper::registry
