#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "image/internal/listing.h"
#include "image/internal/records.h"
#include "image/internal/store_fixture.h"

namespace cooper::image {
namespace {

using ::testing::IsEmpty;

TEST_F(StoreTest, RecordsStaySmall) {
  oci_image::ImageConfig config;
  config.platform = oci_image::host_platform();
  config.created = std::string(4'190'000, '9');
  layout_.index({LayoutFixture::named(layout_.image({}, config), "x:1")});
  EXPECT_EQ(load_one().created, "");
  EXPECT_EQ(store_.list()->size(), 1U);
}

TEST_F(StoreTest, ACopyOfTheRecordsIsWholeAndOfOneState) {
  Image image{.id = codec::digest_of("x"), .manifest_digest = codec::digest_of("m")};
  image.chain = std::string(64, 'c');
  image.layers = {codec::digest_of("l")};
  image.index_digest = codec::digest_of("i");
  for (int i = 0; i < 300; ++i) {
    image.id = codec::digest_of(std::to_string(i));
    image.names = {"q.io/n:" + std::to_string(i)};
    write_test_file(scratch_ / ("store/refs/images/" + image.id.str()), print_record(image));
    write_test_file(scratch_ / ("store/refs/names/q.io+n:" + std::to_string(i)), "");
  }
  const std::string listing = scratch_ / "store/refs/listing";
  // Too early: a change might not show.
  ASSERT_EQ(store_.list()->size(), 300U);
  EXPECT_FALSE(sys::fstatat(sys::kCwd, listing).ok());
  EXPECT_EQ(*parse_listing(print_listing("s", {image}), "s")->front().index_digest, *image.index_digest);
  image.config = codec::digest_of("c");
  image.aci.emplace(Aci{.name = "example.com/a", .labels = {}, .manifest = codec::digest_of("am"), .dependencies = {}});
  EXPECT_EQ(*parse_listing(print_listing("s", {image}), "s")->front().config, *image.config);
  EXPECT_EQ(parse_listing(print_listing("s", {image}), "s")->front().aci->name, "example.com/a");
  EXPECT_FALSE(parse_listing(print_listing("s", {image}), "t"));
  const auto names = parse_listing(print_listing("s", {image}), "s", Store::Detail::kNames);
  EXPECT_EQ(names->front().names, image.names);
  EXPECT_EQ(names->front().aci->name, "example.com/a");
  EXPECT_THAT(names->front().layers, IsEmpty());
  std::string text = print_listing("s", {image});
  for (std::size_t at = 0; at < text.size(); at += 7) {
    std::string bent = text;
    bent[at] = static_cast<char>(bent[at] ^ 1);
    EXPECT_FALSE(parse_listing(bent, "s")) << at;
    EXPECT_FALSE(parse_listing(text.substr(0, at), "s")) << at;
  }
}

TEST_F(StoreTest, RecordsOfACrashAreRepaired) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image first = load_one();
  layout_.index({layout_.image({layer("a", "B")})});
  Image second = load_one();
  // As if a crash came after the new owner's record listed the name, and before the name's own file said so.
  second.names = {"localhost/x:latest", "localhost/never:1"};
  const UniqueFd dir = std::move(*sys::openat(sys::kCwd, scratch_ / "store", O_RDONLY));
  ASSERT_TRUE(Records(dir).put_image(second).ok());
  EXPECT_EQ(store_.find("x")->id, first.id);
  EXPECT_THAT(store_.find(second.id.str())->names, IsEmpty());
  const auto images = store_.list();
  ASSERT_TRUE(images.ok());
  for (const Image& image : *images) {
    EXPECT_EQ(image.names.size(), image.id == first.id ? 1U : 0U);
  }
}

TEST(Records, RoundTrip) {
  Image image{.id = codec::digest_of("a"), .manifest_digest = codec::digest_of("b")};
  image.names = {"q.io/x:1"};
  image.layers = {codec::digest_of("c")};
  image.chain = std::string(64, 'd');
  image.size_bytes = 7;
  image.layer_bytes = {7};
  const auto again = parse_record(print_record(image));
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(print_record(*again), print_record(image));
  EXPECT_EQ(again->layer_bytes, image.layer_bytes);
  EXPECT_FALSE(parse_record("{}").ok());
}

TEST(Records, SizesThatAreNotThoseOfTheLayers) {
  Image image{.id = codec::digest_of("a"), .manifest_digest = codec::digest_of("b")};
  image.layers = {codec::digest_of("c"), codec::digest_of("d")};
  image.chain = std::string(64, 'd');
  image.size_bytes = 7;
  const std::vector<std::vector<std::uint64_t>> wrong = {{}, {7}, {3, 3}, {3, 4, 0}};
  for (const auto& sizes : wrong) {
    image.layer_bytes = sizes;
    EXPECT_THAT(parse_record(print_record(image))->layer_bytes, IsEmpty());
  }
}

}  // namespace
}  // namespace cooper::image
