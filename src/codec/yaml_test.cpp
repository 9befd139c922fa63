#include "codec/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::codec::yaml {
namespace {

using ::testing::HasSubstr;

TEST(Yaml, MappingsSequencesAndText) {
  const auto root = parse("a: 1\nb:\n  - x\n  - {c: 'd e'}\n\"n\": null\nq: \"null\"\n", "t");
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(root->find("a")->text, "1");
  EXPECT_EQ(root->find("b")->elements.at(1).find("c")->text, "d e");
  EXPECT_EQ(root->find("b")->line, 3U);
  EXPECT_EQ(root->find("n")->kind, Node::Kind::kNull);
  EXPECT_EQ(root->find("q")->kind, Node::Kind::kScalar);
  EXPECT_EQ(root->find("z"), nullptr);
}

TEST(Yaml, JsonAndNothing) {
  EXPECT_EQ(parse(R"({"a": ["b"]})", "t")->find("a")->elements.at(0).text, "b");
  EXPECT_EQ(parse("", "t")->kind, Node::Kind::kNull);
  EXPECT_EQ(parse("---\n", "t")->kind, Node::Kind::kNull);
}

TEST(Yaml, OtherThingsAreRefusedWithTheirLine) {
  for (const char* text : {"a: 1\na: 2\n", "a: &x 1\n", "a: *x\n", "a: !tag 1\n", "<<: {a: 1}\n", "a: [1\n",
                           "? [a]\n: b\n", "a: 1\n---\nb: 2\n", "a: \x01\n", "\ta: 1\n"}) {
    const auto root = parse(text, "file.yaml");
    ASSERT_FALSE(root.ok()) << text;
    EXPECT_THAT(root.error().message(), HasSubstr("file.yaml: line ")) << text;
  }
  EXPECT_FALSE(parse(std::string(100, '['), "t").ok());
}

}  // namespace
}  // namespace cooper::codec::yaml
