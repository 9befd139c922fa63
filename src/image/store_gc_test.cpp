#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <time.h>

#include "image/internal/paths.h"
#include "image/internal/records.h"
#include "image/internal/store_fixture.h"

namespace cooper::image {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST_F(StoreTest, GcRemovesWhatNobodyNeeds) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image image = load_one();
  const auto before = leftovers();
  const std::string store = scratch_ / "store/";
  write_test_file(store + "blobs/sha256/" + std::string(64, '0'), std::string(5000, 'x'));
  write_test_file(store + "tmp/dead/file", "x");
  write_test_file(store + "refs/names/localhost+gone:latest",
                  R"({"version":1,"name":"x","image":"sha256:)" + std::string(64, 'a') + "\"}");
  write_test_file(store + "refs/images/sha256:" + std::string(64, 'b'), "");
  write_test_file(store + "trees/" + std::string(64, 'c') + "/rootfs/f", "x");
  const auto collected = store_.gc({});
  ASSERT_TRUE(collected.ok()) << collected.error().message();
  EXPECT_GT(collected->freed_bytes, 5000U);
  EXPECT_THAT(collected->deleted, IsEmpty());
  auto after = leftovers();
  EXPECT_EQ(before, after);
  EXPECT_TRUE(store_.find("x").ok());
}

TEST_F(StoreTest, GcRemovesImagesWithoutANameThatNobodyUses) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image unused = load_one();
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "B")}), "x")});
  const Image used = load_one();
  ASSERT_TRUE(store_.acquire_tree(used, "pod-1").ok());
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "C")}), "x")});
  const Image named = load_one();
  const auto first = store_.gc({});
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_THAT(first->deleted, ElementsAre(unused.id));
  EXPECT_GT(first->freed_bytes, 0U);
  EXPECT_EQ(store_.find(unused.id.str()).error().code(), Errc::kNotFound);
  EXPECT_TRUE(store_.find(used.id.str()).ok());
  ASSERT_TRUE(store_.release_tree(used.chain, "pod-1").ok());
  EXPECT_THAT(store_.gc({})->deleted, ElementsAre(used.id));
  EXPECT_EQ(store_.find("x")->id, named.id);
  EXPECT_EQ(leftovers().size(), 6U);  // record, name, tree, manifest, configuration, layer
}

TEST_F(StoreTest, GcTakesNamedImagesOnlyWhenToldTo) {
  std::vector<Image> images;
  for (const char* data : {"A", "B", "C"}) {
    layout_.index({LayoutFixture::named(layout_.image({layer("a", data)}), "n" + std::to_string(images.size()))});
    images.push_back(load_one());
  }
  ASSERT_TRUE(store_.acquire_tree(images[0], "pod-1").ok());
  const auto before = leftovers();
  // Nothing is old enough, few enough, or nameless.
  const std::int64_t last = images.back().loaded_unix_ms;
  EXPECT_THAT(store_.gc({})->deleted, IsEmpty());
  EXPECT_THAT(store_.gc({.named = true, .loaded_before_unix_ms = images.front().loaded_unix_ms})->deleted, IsEmpty());
  EXPECT_THAT(store_.gc({.named = true, .keep = 2})->deleted, IsEmpty());
  EXPECT_EQ(leftovers(), before);
  const auto would = store_.gc({.named = true, .loaded_before_unix_ms = last + 1, .dry_run = true});
  ASSERT_TRUE(would.ok()) << would.error().message();
  EXPECT_THAT(would->deleted, UnorderedElementsAre(images[1].id, images[2].id));
  EXPECT_THAT(would->untagged, UnorderedElementsAre("localhost/n1:latest", "localhost/n2:latest"));
  EXPECT_EQ(leftovers(), before);
  const auto done = store_.gc({.named = true, .loaded_before_unix_ms = last + 1});
  ASSERT_TRUE(done.ok()) << done.error().message();
  EXPECT_EQ(done->deleted, would->deleted);
  EXPECT_EQ(done->freed_bytes, would->freed_bytes);
  EXPECT_TRUE(store_.find("n0").ok());
  EXPECT_EQ(leftovers().size(), 6U);
  EXPECT_TRUE(store_.release_tree(images[0].chain, "pod-1").ok());
}

TEST_F(StoreTest, KnowsWhenAnImageWasLastUsed) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  Image image = load_one();
  const UniqueFd dir = std::move(*sys::openat(sys::kCwd, scratch_ / "store", O_RDONLY | O_DIRECTORY));
  // As if it had come long ago.
  image.loaded_unix_ms = 1000;
  ASSERT_TRUE(Records(dir).put_image(image).ok());
  const auto used = [&] {
    Image one = *store_.find("x");
    store_.find_last_uses(std::span(&one, 1));
    return one.last_used_unix_ms;
  };
  const auto long_ago = [&] {
    struct timespec times[2] = {{2000, 0}, {2000, 0}};
    ASSERT_TRUE(sys::utimensat(dir, tree_users_path(image.chain), times, AT_SYMLINK_NOFOLLOW).ok());
  };
  const auto now = [] {
    struct timespec time = {};
    (void)::clock_gettime(CLOCK_REALTIME_COARSE, &time);
    return std::int64_t{time.tv_sec} * 1000;
  };
  long_ago();
  EXPECT_EQ(used(), 2'000'000);
  std::int64_t before = now();
  ASSERT_TRUE(store_.acquire_tree(image, "pod-1").ok());
  EXPECT_GE(used(), before);
  long_ago();
  before = now();
  ASSERT_TRUE(store_.release_tree(image.chain, "pod-1").ok());
  EXPECT_GE(used(), before);
  long_ago();
  before = now();
  ASSERT_TRUE(store_.extract(image, scratch_ / "out").ok());
  EXPECT_GE(used(), before);
  EXPECT_THAT(store_.gc({.named = true, .used_before_unix_ms = before})->deleted, IsEmpty());
  long_ago();
  // Looking is no use.
  ASSERT_TRUE(store_.list().ok() && store_.config(image).ok());
  EXPECT_EQ(used(), 2'000'000);
  EXPECT_THAT(store_.gc({.named = true, .used_before_unix_ms = before})->deleted, ElementsAre(image.id));
}

TEST_F(StoreTest, GcKeepsThoseThatCameLast) {
  std::vector<Digest> ids;
  for (const char* data : {"A", "B", "C"}) {
    layout_.index({layout_.image({layer("a", data)})});
    Image image = load_one();
    image.loaded_unix_ms = 1000 * static_cast<std::int64_t>(ids.size() + 1);
    const UniqueFd dir = std::move(*sys::openat(sys::kCwd, scratch_ / "store", O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(Records(dir).put_image(image).ok());
    ids.push_back(image.id);
  }
  EXPECT_THAT(store_.gc({.loaded_before_unix_ms = 3000, .keep = 1})->deleted, ElementsAre(ids[0]));
  EXPECT_THAT(store_.gc({.keep = 1})->deleted, ElementsAre(ids[1]));
  EXPECT_THAT(store_.gc({.keep = 0})->deleted, ElementsAre(ids[2]));
}

}  // namespace
}  // namespace cooper::image
