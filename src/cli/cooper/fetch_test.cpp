#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/cooper/aci_fetch.h"
#include "cli/cooper/insecure_options.h"
#include "cli/cooper/key_review.h"

namespace cooper::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(FetchWordsTest, WhatANameMeans) {
  for (const char* name : {"example.com/app", "example.com/app:1.0", "example.com/app.aci",
                           "example.com/app,version=1.0,arch=amd64", "example.com", "localhost/app"})
    EXPECT_EQ(classify_image_word(name), ImageWord::kName) << name;
  for (const char* url : {"https://example.com/app.aci", "http://example.com/app.aci"})
    EXPECT_EQ(classify_image_word(url), ImageWord::kAddress) << url;
  for (const char* file :
       {"/nowhere/app.aci", "./app.aci", "../x", "file:///nowhere/app.aci", "nosuch.aci", "no/such.aci"})
    EXPECT_EQ(classify_image_word(file), ImageWord::kFile) << file;
  for (const char* name : {"busybox", "library/busybox:1", "docker://example.com/app", "docker:busybox",
                           "localhost:5000/app", "example.com:5000/app:1", "Example.com/app",
                           "example.com/app@sha256:0000000000000000000000000000000000000000000000000000000000000000"})
    EXPECT_EQ(classify_image_word(name), ImageWord::kRegistry) << name;
  EXPECT_EQ(file_of("file:///a"), "/a");
  EXPECT_EQ(file_of("/a"), "/a");
}

TEST(InsecureOptionsTest, Words) {
  const auto none = parse_insecure_options("none");
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->image || none->tls || none->http || none->pubkey);
  const auto some = parse_insecure_options("image, http");
  ASSERT_TRUE(some.ok());
  EXPECT_TRUE(some->image && some->http && !some->tls && !some->pubkey);
  for (const char* word : {"all", "all-fetch", "tls,none,http,image,pubkey"}) {
    const auto all = parse_insecure_options(word);
    ASSERT_TRUE(all.ok()) << word;
    EXPECT_TRUE(all->image && all->tls && all->http && all->pubkey) << word;
  }
  for (const char* word : {"", "images", "image,", "capabilities"})
    EXPECT_FALSE(parse_insecure_options(word).ok()) << word;
}

TEST(InsecureOptionsTest, WordsOfARun) {
  const auto run = [](const char* text) { return parse_insecure_options(text, Doing::kRun); };
  const auto some = run("seccomp,image,ondisk");
  ASSERT_TRUE(some.ok());
  EXPECT_TRUE(some->seccomp && some->image && !some->paths && !some->capabilities && !some->tls);
  const auto of_run = run("all-run");
  EXPECT_TRUE(of_run->seccomp && of_run->paths && of_run->capabilities && !of_run->image);
  const auto all = run("all");
  EXPECT_TRUE(all->seccomp && all->paths && all->capabilities && all->image && all->tls && all->http && all->pubkey);
  EXPECT_THAT(run("seccom").error().hint(), HasSubstr("all-run"));
  EXPECT_FALSE(parse_insecure_options("all")->seccomp);
  for (const char* word : {"capabilities", "paths", "seccomp", "all-run"})
    EXPECT_THAT(parse_insecure_options(word).error().message(), HasSubstr("for what is run")) << word;
}

TEST(KeyReviewTest, WithoutATerminal) {
  const auto key = [](char digit) { return trust::Key{.fingerprint = std::string(40, digit)}; };
  const auto review = [&](std::vector<trust::Key> keys, const KeyReview& how) {
    return review_keys(std::move(keys), "the file", how);
  };
  EXPECT_TRUE(review({key('a')}, {.skip = true}).ok());
  EXPECT_FALSE(review({key('a'), key('b')}, {.skip = true}).ok());
  const auto named = review({key('a'), key('b')}, {.fingerprints = {std::string(16, 'b')}});
  ASSERT_TRUE(named.ok());
  ASSERT_EQ(named->size(), 1U);
  EXPECT_EQ(named->front().fingerprint, std::string(40, 'b'));
  EXPECT_FALSE(review({key('a')}, {.fingerprints = {std::string(40, 'c')}, .skip = true}).ok());
}

TEST(KeyReviewTest, WhatStrangersWriteIsShownHarmless) {
  trust::Key key{.fingerprint = std::string(40, 'a'), .user_ids = {"\x1b[2J Alice\nfingerprint 0000"}};
  EXPECT_THAT(describe_key(key), Not(HasSubstr("\x1b")));
  EXPECT_THAT(describe_key(key), Not(HasSubstr("\nfingerprint 0000")));
  key.user_ids.assign(1000, "x");
  EXPECT_THAT(describe_key(key), HasSubstr("984 more"));
}

}  // namespace
}  // namespace cooper::cli
