#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <isa-l/crc.h>

#include <algorithm>
#include <string>

#include "inflate/gunzip.h"
#include "inflate/internal/packed.h"

namespace cooper::inflate {
namespace {

using ::testing::HasSubstr;

// In small blocks: whatever is in a header, a trailer or a block lies across a border once.
class Slowly final : public codec::BlockSource {
 public:
  Slowly(std::string_view bytes, std::size_t block) : left_(bytes), block_(block) {}
  Result<std::string_view> next() override {
    const std::string_view out = left_.substr(0, block_);
    left_.remove_prefix(out.size());
    return out;
  }

 private:
  std::string_view left_;
  std::size_t block_;
};

Result<std::string> unpacked(std::string_view bytes, std::size_t block = 70'000, std::size_t piece = 100'000) {
  Slowly source(bytes, block);
  TextPieces out(piece);
  RETURN_IF_ERROR(gunzip(source, out));
  EXPECT_TRUE(out.all_full_but_the_last());
  return out.text;
}

void refused(std::string_view bytes, std::string_view why) {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{70'000}}) {
    const auto out = unpacked(bytes, piece);
    ASSERT_FALSE(out.ok()) << why;
    EXPECT_EQ(out.error().code(), Errc::kCorrupt);
    EXPECT_THAT(out.error().message(), HasSubstr(std::string(why)));
  }
}

TEST(GunzipTest, WhatWasPackedComesBack) {
  const std::string text = numbers(20'000);
  EXPECT_EQ(unpacked(packed(text)).value_or("?"), text);
  EXPECT_EQ(unpacked(packed(text), 1).value_or("?"), text);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, text.size(), text.size() + 1})
    EXPECT_EQ(unpacked(packed(text), 70'000, piece).value_or("?"), text);
  EXPECT_EQ(unpacked(packed("")).value_or("?"), "");
  EXPECT_EQ(unpacked(packed(std::string(1'500'000, 'a'))).value_or("?").size(), 1'500'000U);
}

TEST(GunzipTest, MembersInARow) {
  const std::string both = packed("one ") + packed("") + packed("two");
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, both.size()})
    EXPECT_EQ(unpacked(both, piece).value_or("?"), "one two");
}

TEST(GunzipTest, PaddingIsFineAndNothingElse) {
  EXPECT_EQ(unpacked(packed("x") + std::string(5000, '\0')).value_or("?"), "x");
  refused(packed("x") + "y", "followed by other bytes");
  refused(packed("x") + std::string("\0", 1) + packed("y"), "followed by other bytes");
}

TEST(GunzipTest, OptionalPartsOfTheHeader) {
  const std::string plain = packed("with a name");
  // Extra field, name, comment.
  const std::string extra = std::string("\x2c\x01", 2) + std::string(300, 'x');
  std::string head = plain.substr(0, 10);
  head[3] = 0x04 | 0x08 | 0x10;
  const std::string whole = head + extra + std::string("file\0", 5) + std::string("note\0", 5) + plain.substr(10);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{100}, whole.size()}) {
    EXPECT_EQ(unpacked(whole, piece).value_or("?"), "with a name");
    EXPECT_EQ(unpacked(whole + whole, piece).value_or("?"), "with a namewith a name");
  }
  for (std::size_t size = 1; size < whole.size(); ++size) refused(whole.substr(0, size), "truncated");
}

TEST(GunzipTest, ChecksumOfTheHeader) {
  const std::string plain = packed("with a sum");
  std::string head = plain.substr(0, 10);
  head[3] = 0x02;
  const std::uint32_t sum = ::crc32_gzip_refl(0, reinterpret_cast<const unsigned char*>(head.data()),
                                              static_cast<std::uint64_t>(head.size()));
  const std::string right =
      head + static_cast<char>(sum & 0xff) + static_cast<char>(sum >> 8 & 0xff) + plain.substr(10);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{11}, right.size()})
    EXPECT_EQ(unpacked(right, piece).value_or("?"), "with a sum");
  std::string wrong = right;
  wrong[11] ^= 1;
  refused(wrong, "wrong checksum of a header");
  wrong[3] = 0x20;
  refused(wrong, "no known kind");
}

TEST(GunzipTest, EveryTruncationIsRefused) {
  const std::string whole = packed("a few words, and a few words, and then some");
  for (std::size_t size = 0; size < whole.size(); ++size) refused(whole.substr(0, size), "truncated");
}

TEST(GunzipTest, WrongBytesAreRefused) {
  std::string sum = packed("some text");
  sum[sum.size() - 8] ^= 1;
  refused(sum, "corrupt");
  std::string length = packed("some text");
  length[length.size() - 1] ^= 1;
  refused(length, "corrupt");
  std::string method = packed("some text");
  method[2] = 9;
  refused(method, "corrupt");
  refused("no gzip at all, this is", "corrupt");
  std::string block = packed("some text");
  block[10] = 0x07;  // a last block of the kind that does not exist
  refused(block, "corrupt");
}

}  // namespace
}  // namespace cooper::inflate
