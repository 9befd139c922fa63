#include "spec/appc/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cooper::spec::appc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(DiscoveryTest, ReadsTagsInTheHead) {
  const DiscoveryPage page = read_page(
      "<!doctype html>\n<HTML><head><title>about <meta name=ac-discovery content='t x'></title>"
      "<META NAME=\"ac-discovery\" CONTENT=\"  a.example/x\n https://a.example/{name}.{ext}?a=1&amp;b=2 \" />"
      "<meta content='b.example https://b.example/k' name=ac-discovery-pubkeys>"
      "<meta name='ac-discovery' content='only-one-word'><meta name='ac-discovery' content='one two three'>"
      "<meta name=description content='a b'><meta name='ac-discovery'><meta>"
      "</head><body><meta name='ac-discovery' content='in.body x'></body>");
  EXPECT_THAT(page.images, ElementsAre(DiscoveryTag{"a.example/x", "https://a.example/{name}.{ext}?a=1&b=2"}));
  EXPECT_THAT(page.keys, ElementsAre(DiscoveryTag{"b.example", "https://b.example/k"}));
}

TEST(DiscoveryTest, WhatIsNoMarkupIsPassedOver) {
  const std::string tag = "<meta name='ac-discovery' content='a b'>";
  for (const std::string& before : {"<!-- " + tag + " -->", "<script>x = \"" + tag + "\"</script>",
                                    "<style>" + tag + "</style>", "<noscript>" + tag + "</noscript>"}) {
    EXPECT_THAT(read_page("<head>" + before).images, IsEmpty()) << before;
    EXPECT_THAT(read_page("<head>" + before + tag).images, SizeIs(1)) << before;
  }
  EXPECT_THAT(read_page("<p title='>" + tag).images, IsEmpty()) << "within an attribute without an end";
  EXPECT_THAT(read_page("< meta><<" + tag).images, SizeIs(1));
  for (const char* cut : {"<", "<meta", "<meta name", "<meta name=", "<meta name='",
                          "<meta name='ac-discovery' content", "<!--", "</", "<meta ="})
    EXPECT_THAT(read_page(cut).images, IsEmpty()) << cut;
  EXPECT_THAT(read_page("<head><body>" + tag).images, IsEmpty());
}

TEST(DiscoveryTest, ManyTagsAreEnough) {
  std::string html;
  for (int i = 0; i < 1000; ++i) html += "<meta name='ac-discovery' content='a b'>";
  EXPECT_LE(read_page(html).images.size(), 64U);
}

TEST(DiscoveryTest, PagesUpToTheDomain) {
  EXPECT_THAT(pages_of("a.example/b/c"), ElementsAre("a.example/b/c", "a.example/b", "a.example"));
  EXPECT_THAT(pages_of("a.example"), ElementsAre("a.example"));
  EXPECT_THAT(pages_of(""), IsEmpty());
}

TEST(DiscoveryTest, TemplatesOfPlaces) {
  const DiscoveryPage page = {
      .images = {{"a.example/other", "https://no"},
                 {"a.example", "https://f/{name}/{color}.{ext}"},
                 {"a.example", "https://f/{name}-{version}-{os}-{arch}.{ext}"},
                 {"a.example/x", "https://f/fixed.aci"},
                 {"a.example", "https://f/{unfinished"}},
      .keys = {{"a.example", "https://k/1"}, {"b.example", "https://k/2"}, {"a.example", "https://k/{name}"}}};
  const ImageName name = {.name = "a.example/x", .labels = {{"version", "1/../2?#"}}};
  const auto places = image_places(page, name, "aarch64");
  ASSERT_THAT(places, SizeIs(2));
  EXPECT_EQ(places[0].image, "https://f/a.example/x-1/../2%3F%23-linux-aarch64.aci");
  EXPECT_EQ(places[0].signature, "https://f/a.example/x-1/../2%3F%23-linux-aarch64.aci.asc");
  EXPECT_EQ(places[1].image, "https://f/fixed.aci");
  EXPECT_EQ(places[1].signature, "https://f/fixed.aci.asc");
  const auto colored = image_places(page, {.name = "a.example/y", .labels = {{"color", "red"}}}, "amd64");
  ASSERT_THAT(colored, SizeIs(2));
  EXPECT_EQ(colored[0].image, "https://f/a.example/y/red.aci");
  EXPECT_EQ(colored[1].image, "https://f/a.example/y-latest-linux-amd64.aci");
  EXPECT_THAT(key_places(page, "a.example/x"), ElementsAre("https://k/1"));
}

}  // namespace
}  // namespace cooper::spec::appc
