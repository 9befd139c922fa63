#include "spec/appc/image_paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::spec::appc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kText = R"({"images": [
  {"prefix": "example.com/team", "templates": ["/srv/{name}-{version}-{os}-{arch}.{ext}", "https://m.example/{version}"]},
  {"prefix": "example.com", "templates": ["/other/{name}"]},
  {"prefix": "example.com/team", "templates": ["/second"]}]})";

std::vector<std::string> templates_for(std::string_view name) {
  const auto paths = parse_image_paths(kText, "a.json");
  EXPECT_TRUE(paths.ok());
  std::vector<std::string> out;
  for (const ImagePaths* one : paths_about(*paths, name))
    out.insert(out.end(), one->templates.begin(), one->templates.end());
  return out;
}

Result<std::optional<ImagePlace>> at(const char* pattern, const char* version) {
  ImageName name{.name = "example.com/app", .labels = {}};
  if (version != nullptr) name.labels.push_back({"version", version});
  return place_at(pattern, name, "amd64");
}

TEST(ImagePathsTest, TheLongestPrefixHolds) {
  EXPECT_EQ(templates_for("example.com/team/app").size(), 3U);
  EXPECT_EQ(templates_for("example.com/team").size(), 3U);
  EXPECT_THAT(templates_for("example.com/teammate"), ElementsAre("/other/{name}"));
  EXPECT_THAT(templates_for("example.org/team"), IsEmpty());
  const auto all = parse_image_paths(R"({"images":[{"prefix":"","templates":["/x"]}]})", "f");
  EXPECT_EQ(paths_about(*all, "any.example/x").size(), 1U);
}

TEST(ImagePathsTest, Places) {
  const auto local = at("/srv/{name}-{version}-{os}-{arch}.{ext}", "1.0+2");
  EXPECT_EQ((*local)->image, "/srv/example.com/app-1.0+2-linux-amd64.aci");
  EXPECT_EQ((*local)->signature, "/srv/example.com/app-1.0+2-linux-amd64.aci.asc");
  EXPECT_EQ((*at("/srv/app", nullptr))->signature, "/srv/app.asc");
  EXPECT_EQ((*at("/srv/{version}", nullptr))->image, "/srv/latest");
  EXPECT_EQ((*at("https://m.example/{version}.{ext}", "a b"))->image, "https://m.example/a%20b.aci");
  EXPECT_FALSE(*at("/srv/{channel}", "1"));
  for (const char* version : {"..", "a/../b", ""})
    EXPECT_EQ(at("/srv/{version}/x", version).error().code(), Errc::kInvalidArgument) << version;
  EXPECT_TRUE(at("/srv/x", "..").ok());
}

TEST(ImagePathsTest, WhatIsRefused) {
  const auto why = [](const char* text) { return parse_image_paths(text, "a.json").error().message(); };
  EXPECT_THAT(why("{"), HasSubstr("a.json"));
  EXPECT_THAT(why("{}"), HasSubstr("images"));
  EXPECT_THAT(why(R"({"images":[],"more":1})"), HasSubstr("/more: is not known here"));
  EXPECT_THAT(why(R"({"images":[],"images":[]})"), HasSubstr("twice"));
  EXPECT_THAT(why(R"({"images":[{"prefix":"A B","templates":["/x"]}]})"), HasSubstr("/images/0/prefix"));
  EXPECT_THAT(why(R"({"images":[{"prefix":"a","templates":[]}]})"), HasSubstr("has no template"));
  EXPECT_THAT(why(R"({"images":[{"prefix":"a","templates":["x"]}]})"), HasSubstr("neither an absolute path"));
  EXPECT_THAT(why(R"({"images":[{"prefix":"a","templates":["/{x"]}]})"), HasSubstr("brace"));
  EXPECT_THAT(why(R"({"rktKind":"paths","rktVersion":"v1","data":"/x"})"), HasSubstr("/rktKind: is of rkt"));
}

}  // namespace
}  // namespace cooper::spec::appc
