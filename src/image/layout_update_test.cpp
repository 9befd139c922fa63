#include "image/internal/layout_update.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::image {
namespace {

using ::testing::HasSubstr;

std::string entry(const std::string& digest, const std::string& name) {
  return R"({"digest":")" + digest + R"(","annotations":{"org.opencontainers.image.ref.name":")" + name + R"("}})";
}

std::string index_of(const std::string& entries) {
  return R"({"schemaVersion":2,"manifests":[)" + entries + "]}";
}

TEST(MergeIndexTest, NamesAreTakenOverAndTheRestStaysAsItIs) {
  const std::string theirs = R"({"digest":"sha256:t","artifactType":"their/own","data":"eA==","size":12345678901})";
  const auto merged = merge_index(R"({"extra":{"a":[1,null]},"schemaVersion":2,"manifests":[)" +
                                      entry("sha256:a", "one") + "," + theirs + "," + entry("sha256:b", "two") + "]}",
                                  index_of(entry("sha256:c", "two")));
  ASSERT_TRUE(merged.ok()) << merged.error().message();
  EXPECT_EQ(*merged, R"({"extra":{"a":[1,null]},"schemaVersion":2,"manifests":[)" + entry("sha256:a", "one") + "," +
                         theirs + "," + entry("sha256:c", "two") + "]}");
}

TEST(MergeIndexTest, WhatHasNoNameIsThereOnce) {
  const std::string nameless = R"({"digest":"sha256:a"})";
  EXPECT_EQ(*merge_index(index_of(nameless + "," + entry("sha256:a", "one")), index_of(nameless)),
            index_of(entry("sha256:a", "one") + "," + nameless));
}

TEST(MergeIndexTest, AListOfNothingMayBeNull) {
  const auto merged = merge_index(R"({"schemaVersion":2,"manifests":null})", index_of(entry("sha256:a", "one")));
  ASSERT_TRUE(merged.ok()) << merged.error().message();
  EXPECT_EQ(*merged, index_of(entry("sha256:a", "one")));
}

TEST(MergeIndexTest, WhatIsNoIndex) {
  for (const char* text : {"", "[]", "{}", R"({"manifests":{}})", "{\"manifests\":[]"}) {
    EXPECT_FALSE(merge_index(text, index_of("")).ok()) << text;
  }
  EXPECT_THAT(merge_index("{}", index_of("")).error().message(), HasSubstr("no list of manifests"));
  EXPECT_EQ(*merge_index(R"({"manifests":[1,"x",{"annotations":3}]})", index_of("")),
            R"({"manifests":[1,"x",{"annotations":3}]})");
}

}  // namespace
}  // namespace cooper::image
