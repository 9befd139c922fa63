#include "codec/protobuf.h"

#include <gtest/gtest.h>

namespace cooper::codec::protobuf {
namespace {

using namespace std::string_literals;

TEST(Protobuf, WritesWhatTheSpecificationShows) {
  EXPECT_EQ(Writer().number(1, 150).take(), "\x08\x96\x01"s);
  EXPECT_EQ(Writer().bytes(2, "testing").take(), "\x12\x07testing"s);
  EXPECT_EQ(Writer().bytes(3, Writer().number(1, 150).text()).take(), "\x1a\x03\x08\x96\x01"s);
  EXPECT_EQ(Writer().number(1, 0).take(), "\x08\x00"s);
  EXPECT_EQ(Writer().number(1, -1).take(), "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s);
  EXPECT_EQ(Writer().number(44, 1).take(), "\xe0\x02\x01"s);  // the key takes two bytes
}

TEST(Protobuf, ReadsWhatItWrites) {
  const std::string text = Writer().number(1, -7).bytes(64, "").bytes(2, "a\0b"s).number(3, 1).take();
  Reader reader(text);
  auto field = reader.next();
  EXPECT_EQ((*field)->number, 1U);
  EXPECT_EQ(*(*field)->int32(), -7);
  field = reader.next();
  EXPECT_EQ((*field)->number, 64U);
  EXPECT_EQ(*(*field)->text(), "");
  field = reader.next();
  EXPECT_EQ(*(*field)->text(), "a\0b"s);
  field = reader.next();
  EXPECT_TRUE(*(*field)->boolean());
  field = reader.next();
  ASSERT_TRUE(field.ok());
  EXPECT_FALSE(*field);
}

TEST(Protobuf, PassesOverFixedNumbers) {
  const std::string text = "\x0d\x01\x02\x00\x00\x11\x01\x00\x00\x00\x00\x00\x00\x80"s;
  Reader reader(text);
  auto field = reader.next();
  EXPECT_EQ((*field)->kind, Field::Kind::kFixed32);
  EXPECT_EQ((*field)->value, 0x201U);
  EXPECT_FALSE((*field)->int32().ok());
  field = reader.next();
  EXPECT_EQ((*field)->kind, Field::Kind::kFixed64);
  EXPECT_EQ((*field)->value, 0x8000000000000001U);
}

TEST(Protobuf, RefusesDamage) {
  for (const std::string& text : {
           "\x08"s,                                                          // no number
           "\x08\x96"s,                                                      // half a number
           "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"s,                  // 65 bits
           "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"s,              // eleven bytes
           "\x12\x07test"s,                                                  // short
           "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,                  // longer than memory
           "\x0d\x01\x02"s,                                                  // half a fixed one
           "\x11\x01\x02"s, "\x0b"s, "\x0c"s, "\x0e"s, "\x0f"s, "\x00\x01"s  // groups, unknown kinds, field 0
       }) {
    Reader reader(text);
    const auto field = reader.next();
    ASSERT_FALSE(field.ok()) << text;
    EXPECT_EQ(field.error().code(), Errc::kCorrupt);
  }
}

TEST(Protobuf, ChecksKindAndRange) {
  const std::string text = Writer().number(1, std::int64_t{1} << 31).bytes(2, "x").take();
  Reader reader(text);
  auto field = reader.next();
  EXPECT_FALSE((*field)->int32().ok());
  EXPECT_FALSE((*field)->text().ok());
  field = reader.next();
  EXPECT_FALSE((*field)->int32().ok());
  EXPECT_FALSE((*field)->boolean().ok());
}

}  // namespace
}  // namespace cooper::codec::protobuf
