#include "codec/json.h"

#include <gtest/gtest.h>

namespace cooper::codec::json {
namespace {

TEST(Json, ReadsTypedMembers) {
  auto doc = Document::parse(R"({"a":{"b":[1,"x",true,null,18446744073709551615]},"n":null,"d":1e3})", "t");
  ASSERT_TRUE(doc.ok());
  const Cursor root(doc->root(), "t");
  const auto a = root.get("a");
  const auto b = a->get("b");
  EXPECT_EQ(*b->at(0).integer<int>(), 1);
  EXPECT_EQ(*b->at(1).string(), "x");
  EXPECT_EQ(*b->at(4).integer<std::uint64_t>(), UINT64_MAX);
  EXPECT_FALSE(root.get("n"));
  EXPECT_EQ(*root.get("d")->integer<int>(), 1000);
}

TEST(Json, ErrorsNameThePointer) {
  auto doc = Document::parse(R"({"a/b":[{"c":"x"}]})", "config.json");
  const Cursor root(doc->root(), "config.json");
  const auto array = root.get("a/b");
  const Cursor element = array->at(0);
  EXPECT_EQ(element.get("c")->integer<int>().error().message(),
            "config.json: /a~1b/0/c: must be a number, not a string");
  EXPECT_EQ(root.require("z").error().message(), "config.json: required member 'z' is missing");
}

TEST(Json, RefusesHostileText) {
  EXPECT_FALSE(Document::parse("{\"a\":1} x", "t").ok());
  EXPECT_FALSE(Document::parse("", "t").ok());
  EXPECT_FALSE(Document::parse("{\"a\xf3", "t").ok());  // ends inside a sequence: read past the end once
  EXPECT_FALSE(Document::parse("{\"a\":\"\xff\"}", "t").ok());
  EXPECT_FALSE(Document::parse(std::string("{\"a\":1\0}", 8), "t").ok());
  EXPECT_EQ(Document::parse(std::string(100000, '['), "t").error().code(), Errc::kLimit);
  std::string many = "[\"a,:[\"";
  for (std::size_t i = 2; i < kMaxValues; ++i) many += ",0";
  EXPECT_TRUE(Document::parse(many + "]", "t").ok());
  EXPECT_EQ(Document::parse(many + ",0]", "t").error().code(), Errc::kLimit);
  auto nul = Document::parse(R"(["a\u0000b"])", "t");
  ASSERT_TRUE(nul.ok());
  EXPECT_FALSE(Cursor(nul->root(), "t").at(0).string().ok());
  EXPECT_FALSE(Cursor(Document::parse("[4294967296]", "t")->root(), "t").at(0).integer<std::uint32_t>().ok());
}

TEST(Json, SyntaxErrorsSayWhere) {
  EXPECT_NE(Document::parse("{\n  \"a\": ]", "t").error().message().find("line 2, column 8"), std::string::npos);
}

TEST(Json, WriterEscapesAndIndents) {
  Writer w(Writer::Style::kPretty);
  w.begin_object()
      .field("a", "q\"\n\x01\xff")
      .key("b")
      .begin_array()
      .number(1)
      .boolean(false)
      .end_array()
      .key("c")
      .begin_object()
      .end_object()
      .end_object();
  EXPECT_EQ(w.take(),
            "{\n  \"a\": \"q\\\"\\n\\u0001\xef\xbf\xbd\",\n  \"b\": [\n    1,\n    false\n  ],\n  \"c\": {}\n}");
  Writer controls;
  controls.begin_array().string("\xc2\x9b\xc2\x80\xc2\x9f\xc2\xa0\x7f").end_array();
  EXPECT_EQ(controls.take(), "[\"\\u009b\\u0080\\u009f\xc2\xa0\\u007f\"]");
  Writer compact;
  compact.begin_array().null().number(1.5).end_array();
  EXPECT_EQ(compact.take(), "[null,1.5]");
}

TEST(Json, LastDuplicateWins) {
  auto doc = Document::parse(R"({"a":1,"a":2})", "t");
  EXPECT_EQ(*Cursor(doc->root(), "t").get("a")->integer<int>(), 2);
}

}  // namespace
}  // namespace cooper::codec::json
