#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "dbus/address.h"
#include "dbus/internal/wire.h"
#include "dbus/message.h"
#include "dbus/systemd.h"

namespace cooper::dbus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::string_literals;
using namespace std::string_view_literals;

Message hello() {
  Message out;
  out.serial = 1;
  out.destination = "org.freedesktop.DBus";
  out.path = "/org/freedesktop/DBus";
  out.interface = "org.freedesktop.DBus";
  out.member = "Hello";
  return out;
}

Message with(std::vector<Value> body) {
  Message out = hello();
  out.body = std::move(body);
  return out;
}

TEST(Message, HelloOnTheWire) {
  const auto bytes = write_message(hello());
  ASSERT_TRUE(bytes.ok()) << bytes.error().message();
  // The bytes of the specification's example, fields in the order of their codes.
  const auto expected =
      "l\1\0\1\0\0\0\0\1\0\0\0\x6d\0\0\0"
      "\1\1o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0"
      "\2\1s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0"
      "\3\1s\0\5\0\0\0Hello\0\0\0"
      "\6\1s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0"sv;
  EXPECT_EQ(*bytes, expected);
  EXPECT_EQ(*message_length(std::string_view(*bytes).substr(0, kFixedHeaderBytes)), bytes->size());
}

TEST(Message, EveryTypeSurvives) {
  const Message message =
      with({Value::string("säge"),
            {"y", std::uint64_t{200}},
            Value::boolean(true),
            {"n", static_cast<std::uint64_t>(std::int64_t{-2})},
            {"q", std::uint64_t{65535}},
            Value::i32(-7),
            Value::u32(7),
            {"x", static_cast<std::uint64_t>(INT64_MIN)},
            Value::u64(UINT64_MAX),
            {"d", 1.5},
            Value::object_path("/a/b_1"),
            {"g", std::string("a(sv)")},
            Value::bytes({1, 2, 3}),
            Value::array("(sa(sv))", {}),
            Value::array("(sv)", {Value::structure({Value::string("k"), Value::variant(Value::strings({"a", ""}))})}),
            Value::array("{su}", {{"{su}", std::vector<Value>{Value::string("k"), Value::u32(1)}}}),
            Value::variant(Value::variant(Value::boolean(false)))});
  const auto bytes = write_message(message);
  ASSERT_TRUE(bytes.ok()) << bytes.error().message();
  const auto back = read_message(*bytes);
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(back->body, message.body);
  EXPECT_EQ(back->member, "Hello");
}

TEST(Message, BigEndianIsRead) {
  const auto bytes =
      "B\2\1\1\0\0\0\4\0\0\0\2\0\0\0\x0f"
      "\5\1u\0\0\0\0\x09"
      "\x08\1g\0\1u\0\0"
      "\0\1\0\2"sv;
  const auto message = read_message(bytes);
  ASSERT_TRUE(message.ok()) << message.error().message();
  EXPECT_EQ(message->reply_serial, 9U);
  EXPECT_THAT(message->body, ElementsAre(Value::u32(65538)));
}

TEST(Message, NothingTruncatedOrChangedIsTakenBlindly) {
  const auto bytes = write_message(with({Value::strings({"one", "two"}), Value::variant(Value::u64(5))}));
  ASSERT_TRUE(bytes.ok());
  for (std::size_t n = 0; n < bytes->size(); ++n)
    EXPECT_FALSE(read_message(std::string_view(*bytes).substr(0, n)).ok()) << n;
  EXPECT_FALSE(read_message(*bytes + "x").ok());
  std::string padded = *bytes;
  padded[padded.size() - 9] = 'x';  // between the variant's signature and its number
  EXPECT_EQ(read_message(padded).error().code(), Errc::kCorrupt);
}

TEST(Message, HugeLengthsAreRefusedBeforeAnythingIsAllocated) {
  EXPECT_EQ(message_length("l\1\0\1\xff\xff\xff\x7f\1\0\0\0\0\0\0\0"sv).error().code(), Errc::kLimit);
  EXPECT_EQ(message_length("l\1\0\1\0\0\0\0\1\0\0\0\xff\xff\xff\xff"sv).error().code(), Errc::kLimit);
  EXPECT_EQ(message_length("l\1\0\2\0\0\0\0\1\0\0\0\0\0\0\0"sv).error().code(), Errc::kCorrupt);
  EXPECT_EQ(message_length("x\1\0\1\0\0\0\0\1\0\0\0\0\0\0\0"sv).error().code(), Errc::kCorrupt);
}

TEST(Message, WhatCannotBeSentIsRefused) {
  EXPECT_FALSE(write_message(with({Value::string("a\0b"s)})).ok());
  EXPECT_FALSE(write_message(with({Value::string("\xff")})).ok());
  EXPECT_FALSE(write_message(with({Value::object_path("a")})).ok());
  EXPECT_FALSE(write_message(with({{"y", std::uint64_t{256}}})).ok());
  EXPECT_FALSE(write_message(with({{"i", std::uint64_t{1} << 40}})).ok());
  EXPECT_FALSE(write_message(with({{"b", std::uint64_t{2}}})).ok());
  EXPECT_FALSE(write_message(with({{"z", std::uint64_t{2}}})).ok());
  EXPECT_FALSE(write_message(with({Value::array("s", {Value::u32(1)})})).ok());
  Value deep = Value::u32(1);
  for (int i = 0; i < 40; ++i) deep = Value::variant(std::move(deep));
  EXPECT_FALSE(write_message(with({deep})).ok());
  Message nameless = hello();
  nameless.member.clear();
  EXPECT_FALSE(write_message(nameless).ok());
}

TEST(Signature, CompleteTypes) {
  EXPECT_EQ(complete_type_length("a{sv}u"), 5U);
  EXPECT_EQ(complete_type_length("(s(iu))s"), 7U);
  for (const auto bad : {"", "()", "a", "(s", "{sv}", "a{vs}", "a{s}", "a{sss}", "z", ")"})
    EXPECT_EQ(complete_type_length(bad), 0U) << bad;
  EXPECT_EQ(complete_type_length(std::string(200, 'a') + "s"), 0U);
  EXPECT_TRUE(is_signature("ssa(sv)a(sa(sv))"));
  EXPECT_FALSE(is_signature("s("));
}

TEST(Names, Rules) {
  EXPECT_TRUE(wire::is_bus_name(":1.42"));
  EXPECT_TRUE(wire::is_bus_name("org.a-b.c"));
  EXPECT_FALSE(wire::is_bus_name("org"));
  EXPECT_TRUE(wire::is_interface("org.freedesktop.systemd1.Manager"));
  EXPECT_FALSE(wire::is_interface("org..x"));
  EXPECT_FALSE(wire::is_interface("1.x"));
  EXPECT_TRUE(is_object_path("/"));
  EXPECT_FALSE(is_object_path("/a//b"));
  EXPECT_FALSE(is_object_path("/a/"));
  EXPECT_FALSE(is_object_path("/a-b"));
}

std::string again(std::string_view text) {
  const auto value = parse_text(text);
  return value.ok() ? value->type + " " + print_text(*value) : "error: " + value.error().message();
}

TEST(Text, Values) {
  EXPECT_EQ(again("'inactive-or-failed'"), "s 'inactive-or-failed'");
  EXPECT_EQ(again(" \"it's\" "), "s 'it\\'s'");
  EXPECT_EQ(again("'\\n\\u00e4\\\\'"), "s '\\u000aä\\\\'");
  EXPECT_EQ(again("true"), "b true");
  EXPECT_EQ(again("5"), "i 5");
  EXPECT_EQ(again("-0x10"), "i -16");
  EXPECT_EQ(again("1.5"), "d 1.5");
  EXPECT_EQ(again("uint64 10000000"), "t uint64 10000000");
  EXPECT_EQ(again("@t 18446744073709551615"), "t uint64 18446744073709551615");
  EXPECT_EQ(again("int64 -9223372036854775808"), "x int64 -9223372036854775808");
  EXPECT_EQ(again("@as []"), "as @as []");
  EXPECT_EQ(again("['a.service', 'b.service']"), "as ['a.service', 'b.service']");
  EXPECT_EQ(again("@au [1, 2]"), "au [uint32 1, uint32 2]");
  EXPECT_EQ(again("[('/dev/null', 'rw')]"), "a(ss) [('/dev/null', 'rw')]");
  EXPECT_EQ(again("@(tb) (1, false)"), "(tb) (uint64 1, false)");
  EXPECT_EQ(again("{'a': <1>, 'b': <'x'>}"), "a{sv} {'a': <1>, 'b': <'x'>}");
  EXPECT_EQ(again("@a{sv} {}"), "a{sv} @a{sv} {}");
  EXPECT_EQ(again("b'a\\001'"), "ay [byte 97, byte 1, byte 0]");
  EXPECT_EQ(again("objectpath '/a'"), "o objectpath '/a'");
  EXPECT_EQ(again("<<true>>"), "v <<true>>");
}

TEST(Text, Mistakes) {
  for (const auto bad :
       {"",     "abc", "'abc",    "[1, 'a']", "[]",       "{}", "()", "uint32 -1",      "byte 256",   "5 6", "@i 'a'",
        "@z 1", "<1",  "'\\u12'", "[1,]",     "{<1>: 2}", "1e", "0x", "objectpath 'x'", "2147483648", "@s"})
    EXPECT_EQ(parse_text(bad).error().code(), Errc::kInvalidArgument) << bad;
  for (const std::string_view nul : {std::string_view("'\0'", 3), std::string_view("'\\\0'", 4)})
    EXPECT_THAT(parse_text(nul).error().message(), HasSubstr("NUL"));
  EXPECT_FALSE(parse_text(std::string(5000, '<') + "1" + std::string(5000, '>')).ok());
  EXPECT_THAT(parse_text("uint32 99999999999").error().message(), HasSubstr("byte"));
}

TEST(Address, Lists) {
  EXPECT_THAT(*parse_addresses("unix:path=/run/user/0/bus"), ElementsAre("/run/user/0/bus"));
  EXPECT_THAT(*parse_addresses("tcp:host=x;unix:path=/a%20b,guid=1;unix:abstract=/x,guid=2;"),
              ElementsAre("/a b", "@/x"));
  EXPECT_EQ(parse_addresses("tcp:host=localhost,port=1").error().code(), Errc::kUnsupported);
  EXPECT_EQ(parse_addresses("unix:tmpdir=/tmp").error().code(), Errc::kUnsupported);
  for (const auto bad : {"", "unix", "unix:path", "unix:path=/a%2", "unix:path=/a%zz", "unix:path=%00"})
    EXPECT_EQ(parse_addresses(bad).error().code(), Errc::kInvalidArgument) << bad;
}

TEST(Address, OfTheEnvironment) {
  ::setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x", 1);
  ::setenv("XDG_RUNTIME_DIR", "/run/u", 1);
  const auto places = endpoints(Bus::kUser);
  ASSERT_TRUE(places.ok());
  ASSERT_EQ(places->size(), 3U);
  EXPECT_EQ((*places)[0].socket, "/x");
  EXPECT_EQ((*places)[1].socket, "/run/u/bus");
  EXPECT_EQ((*places)[2].socket, "/run/u/systemd/private");
  EXPECT_TRUE((*places)[2].direct);
  ::unsetenv("DBUS_SESSION_BUS_ADDRESS");
  ::unsetenv("XDG_RUNTIME_DIR");
}

TEST(Systemd, Names) {
  EXPECT_EQ(unit_path("coop-a.scope"), "/org/freedesktop/systemd1/unit/coop_2da_2escope");
  EXPECT_EQ(unit_path("0a.slice"), "/org/freedesktop/systemd1/unit/_30a_2eslice");
  EXPECT_EQ(parse_version("252.22-1~deb12u1"), 252);
  EXPECT_EQ(parse_version("v255"), 255);
  EXPECT_EQ(parse_version("x"), 0);
}

}  // namespace
}  // namespace cooper::dbus
