#include "cli/cooper/format_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace cooper::cli {
namespace {

using codec::json::Document;
using ::testing::HasSubstr;

constexpr std::array<TemplateField, 4> kFields = {{{"ID", "IMAGE ID"}, {"Tag"}, {"Config"}, {"List"}}};
constexpr const char* kRecord =
    R"({"ID":"abc","Tag":"1\u001b","List":["a","b"],"Config":{"Env":["A=b"],"Labels":{"x.y":"z","a":"b"},"n":null,"Set":{"a":{}}}})";

std::string print(const std::string& text) {
  const auto parsed = FormatTemplate::parse(text, kFields);
  if (!parsed.ok()) return "error: " + parsed.error().message();
  return parsed->line(Document::parse(kRecord, "record")->root());
}

TEST(FormatTemplateTest, WhatPeopleWrite) {
  EXPECT_EQ(print("{{.ID}}"), "abc");
  EXPECT_EQ(print("{{ .Id }}"), "abc");
  EXPECT_EQ(print(R"(a {{.ID}}\t{{"\n"}}b)"), "a abc\t\nb");
  EXPECT_EQ(print("{{.List}} {{json .List}} {{index .List 1}}"), R"([a b] ["a","b"] b)");
  EXPECT_EQ(print("{{.Config.Labels}}"), "map[a:b x.y:z]");
  EXPECT_EQ(print(R"({{index .Config.Labels "x.y"}})"), "z");
  EXPECT_EQ(print(R"({{index .Config.Labels "X.Y"}}{{index .Config.Labels "none"}}{{index . "ID"}})"), "abc");
  EXPECT_EQ(print("{{json .Config.Env}}"), R"(["A=b"])");
  EXPECT_EQ(print("{{.Config.n}} {{.Config.more}} {{index .List 2}}"), "<no value> <no value> <no value>");
  EXPECT_EQ(print("{{json .}}"), std::string(kRecord));
  EXPECT_EQ(print("{{.Tag}}").find('\x1b'), std::string::npos);
  EXPECT_EQ(print("{{.Config.Set}} {{.Config.Set.a}}"), "map[a:{}] map[]");
  EXPECT_EQ(print("no field"), "no field");
  EXPECT_EQ(print(""), "");
}

TEST(FormatTemplateTest, WhatIsNotUnderstood) {
  for (const char* text : {"{{range .List}}x{{end}}",
                           "{{if .ID}}",
                           "{{.ID | upper}}",
                           "{{.ID",
                           "{{}}",
                           "{{ID}}",
                           "{{len .List}}",
                           "{{.ID..}}",
                           "{{.ID.}}",
                           "{{..}}",
                           "{{.ID}",
                           "{{.ID }x}}",
                           "{{{.ID}}}",
                           "{{index .List -1}}",
                           "{{index .List 99999999999999999999}}",
                           "{{index .List}}",
                           "{{index .List x}}",
                           "{{- .ID -}}",
                           "{{json}}",
                           "{{json ID}}",
                           "{{\"x}}"}) {
    EXPECT_THAT(print(text), HasSubstr("error: --format")) << text;
  }
  const auto unknown = FormatTemplate::parse("{{.Size}}", kFields);
  EXPECT_THAT(unknown.error().message(), HasSubstr("'.Size'"));
  EXPECT_THAT(unknown.error().hint(), HasSubstr("ID, Tag, Config, List"));
}

TEST(FormatTemplateTest, Tables) {
  std::vector<Document> records;
  records.push_back(std::move(*Document::parse(kRecord, "record")));
  EXPECT_EQ(FormatTemplate::parse(R"(table {{.ID}}\t{{.List}}\t{{.Config.Env}})", kFields)->text(records),
            "IMAGE ID  LIST   ENV\nabc       [a b]  [A=b]\n");
  EXPECT_EQ(FormatTemplate::parse("table {{.ID}}", kFields)->text(records, false), "abc\n");
  EXPECT_EQ(FormatTemplate::parse("{{.ID}}", kFields)->text(records), "abc\n");
  EXPECT_EQ(FormatTemplate::parse("{{.ID}}\\n", kFields)->text(records), "abc\n");
  EXPECT_TRUE(FormatTemplate::is_one("table {{.ID}}"));
  EXPECT_FALSE(FormatTemplate::is_one("table"));
  EXPECT_FALSE(FormatTemplate::is_one("json"));
}

}  // namespace
}  // namespace cooper::cli
