#include "image/internal/partial.h"

#include <gtest/gtest.h>

#include "image/download.h"
#include "image/internal/paths.h"
#include "image/internal/staging.h"
#include "image/internal/test_fixture.h"

namespace cooper::image {
namespace {

constexpr std::int64_t kEver = INT64_MAX;

class PartialTest : public ::testing::Test {
 protected:
  std::optional<Partial> open(std::uint64_t size = 6) {
    auto partial = Partial::open(store_, digest_, size);
    EXPECT_TRUE(partial.ok());
    return std::move(*partial);
  }
  void leave(std::string_view bytes) {
    const auto partial = open();
    ASSERT_TRUE(partial);
    ASSERT_TRUE(sys::write_all(partial->file(), bytes).ok());
  }
  bool is_there() const { return sys::fstatat(store_, partial_path(digest_)).ok(); }

  ScratchDir scratch_;
  UniqueFd store_ = *open_store_directory(scratch_ / "store");
  Digest digest_ = codec::digest_of("abcdef");
};

TEST_F(PartialTest, WhatWasWrittenIsGoneOnWith) {
  leave("abc");
  const auto partial = open();
  ASSERT_TRUE(partial);
  EXPECT_EQ(partial->had_bytes(), 3U);
  ASSERT_TRUE(sys::write_all(partial->file(), "def").ok());
  std::string text(6, '\0');
  EXPECT_EQ(*sys::pread(partial->file(), text, 0), 6U);
  EXPECT_EQ(text, "abcdef");
}

TEST_F(PartialTest, OneAtATime) {
  auto first = open();
  EXPECT_FALSE(open());
  ASSERT_TRUE(sys::write_all(first->file(), "a").ok());
  EXPECT_EQ(*remove_old_partials(store_, kEver, false), 0U) << "somebody writes it";
  ASSERT_EQ(list_partials(store_)->size(), 1U);
  EXPECT_TRUE(list_partials(store_)->front().in_use);
  // A duplicate keeps the lock.
  UniqueFd copy = *sys::dup_cloexec(first->file());
  first.reset();
  EXPECT_FALSE(open());
  copy.reset();
  EXPECT_TRUE(open());
}

TEST_F(PartialTest, DownloadsKeepWhatTheirServerSaid) {
  const auto open = [&](const char* key, bool of_this_boot = false) {
    return Download::open(store_, key, 100, of_this_boot);
  };
  const auto leave = [&](const char* validator) {
    auto download = open("https://h/a");
    ASSERT_TRUE(download.ok());
    ASSERT_TRUE(download->note(validator).ok());
    ASSERT_TRUE(sys::write_all(download->file(), "abcdef").ok());
  };
  leave("");
  EXPECT_TRUE(list_partials(store_)->empty()) << "nobody could go on with it";
  leave("\"one\"");
  {
    auto other = open("https://h/b");
    EXPECT_EQ(other->had_bytes(), 0U);
    auto download = open("https://h/a", true);
    EXPECT_EQ(download->had_bytes(), 5U) << "there is always something to ask for";
    EXPECT_EQ(download->validator(), "\"one\"");
    auto second = open("https://h/a");
    ASSERT_TRUE(second.ok()) << "one of its own while the first is open";
    EXPECT_EQ(second->had_bytes(), 0U);
  }
  const std::string note = partial_path(codec::digest_of("https://h/a")) + kPartialNote;
  ASSERT_TRUE(io::write_file_atomic(store_, note, "\"one\"\nanother boot\n", 0600).ok());
  EXPECT_EQ(open("https://h/a", true)->had_bytes(), 0U);
  leave("\"one\"");
  ASSERT_TRUE(sys::fstatat(store_, note).ok());
  ASSERT_TRUE(remove_old_partials(store_, kEver, false).ok());
  EXPECT_FALSE(sys::fstatat(store_, note).ok());
}

TEST_F(PartialTest, EmptyOnesAreNotLeft) {
  leave("");
  EXPECT_FALSE(is_there());
}

TEST_F(PartialTest, WhatCannotBeOfTheBlobIsNotUsed) {
  leave("abc");
  EXPECT_EQ(open(2)->had_bytes(), 0U) << "larger than the blob";
  leave("abc");
  ASSERT_TRUE(sys::linkat(store_, partial_path(digest_), store_, blob_path(digest_)).ok());
  EXPECT_EQ(open()->had_bytes(), 0U) << "a blob of the store is not written to";
  EXPECT_TRUE(sys::fstatat(store_, blob_path(digest_)).ok());
}

TEST_F(PartialTest, StoresOfBeforeHaveNoPlaceForThem) {
  ASSERT_TRUE(sys::unlinkat(store_, kPartialDir, AT_REMOVEDIR).ok());
  EXPECT_TRUE(list_partials(store_)->empty());
  EXPECT_EQ(*remove_old_partials(store_, kEver, false), 0U);
  leave("abc");
  EXPECT_TRUE(is_there());
}

TEST_F(PartialTest, OldOnesGo) {
  leave("abc");
  EXPECT_EQ(*remove_old_partials(store_, partials_old_before_unix_ms(), false), 0U);
  EXPECT_GT(*remove_old_partials(store_, kEver, true), 0U);
  EXPECT_TRUE(is_there()) << "a dry run";
  const struct timespec day_and_more = {.tv_sec = ::time(nullptr) - 25 * 3600, .tv_nsec = 0};
  const struct timespec times[2] = {day_and_more, day_and_more};
  ASSERT_TRUE(sys::futimens(*sys::openat(store_, partial_path(digest_), O_RDONLY), times).ok());
  EXPECT_GT(*remove_old_partials(store_, partials_old_before_unix_ms(), false), 0U);
  EXPECT_FALSE(is_there());
}

TEST_F(PartialTest, StagingKeepsThemUntilAllIsDone) {
  {
    auto staging = *Staging::create(store_);
    const auto blob = staging.resumable_blob(digest_, 6);
    ASSERT_TRUE(blob.ok());
    ASSERT_TRUE(sys::write_all(blob->file, "abcdef").ok());
    ASSERT_TRUE(staging.keep_blob(blob->number, digest_).ok());
  }
  EXPECT_TRUE(is_there());
  auto staging = *Staging::create(store_);
  const auto blob = staging.resumable_blob(digest_, 6);
  ASSERT_TRUE(blob.ok());
  EXPECT_EQ(blob->had_bytes, 6U);
  const auto other = staging.resumable_blob(digest_, 6);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other->had_bytes, 0U) << "it is taken: this one is its own";
  ASSERT_TRUE(staging.keep_blob(blob->number, digest_).ok());
  std::vector<Image> none;
  ASSERT_TRUE(staging.commit(none).ok());
  EXPECT_FALSE(is_there());
}

}  // namespace
}  // namespace cooper::image
