#include "image/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <string>

#include "codec/internal/tar_fixture.h"
#include "image/internal/content_hash.h"
#include "image/internal/test_fixture.h"
#include "sys/file.h"

namespace cooper::image {
namespace {

using codec::tar::FixtureEntry;
using codec::tar::TarFixture;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Kind = PathChange::Kind;
using State = VerifiedBlob::State;

std::string layer(std::initializer_list<FixtureEntry> entries) {
  TarFixture out;
  for (FixtureEntry entry : entries) {
    entry.uid = ::geteuid();
    entry.gid = ::getegid();
    out.add(entry);
  }
  return out.finish();
}

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() : layout_(scratch_ / "layout"), store_(std::move(*Store::open(scratch_ / "store"))) {}

  Image load(const std::vector<std::string>& layers, const std::string& name) {
    layout_.index({LayoutFixture::named(layout_.image(layers), name)});
    auto images = store_.load({.path = layout_.dir(), .name = {}, .platform = {}, .progress = {}});
    COOPER_ASSERT(images.ok() && images->size() == 1);
    return std::move(images->front());
  }
  Image base() {
    return load({layer({{.path = "etc/", .type = '5'},
                        {.path = "etc/passwd", .data = "root"},
                        {.path = "bin/a", .data = "program"},
                        {.path = "bin/b", .type = '1', .link = "bin/a"},
                        {.path = "sh", .type = '2', .link = "bin/a"}})},
                "base");
  }
  std::vector<VerifiedImage> verify(bool repair = false) {
    auto verified = store_.verify({.references = {}, .repair = repair, .watch = {}});
    EXPECT_TRUE(verified.ok()) << verified.error().message();
    COOPER_ASSERT(verified.ok());
    return std::move(*verified);
  }
  VerifiedImage verify_one(bool repair = false) {
    auto all = verify(repair);
    COOPER_ASSERT(all.size() == 1);
    return std::move(all.front());
  }
  std::string tree(const Image& image, const std::string& path) const {
    return scratch_ / ("store/trees/" + image.chain + "/rootfs/" + path);
  }
  std::string blob(const Digest& digest) const {
    return scratch_ / ("store/blobs/sha256/" + std::string(digest.hex()));
  }
  static std::vector<std::string> told(const VerifiedImage& image) {
    std::vector<std::string> out;
    for (const PathChange& change : image.paths) {
      std::string line = change.path + (change.kind == Kind::kAdded ? " +" : change.kind == Kind::kRemoved ? " -" : "");
      for (const AspectChange& aspect : change.aspects) line += " " + std::string(to_string(aspect.aspect));
      out.push_back(line);
    }
    return out;
  }

  ScratchDir scratch_;
  LayoutFixture layout_;
  Store store_;
};

TEST_F(VerifyTest, WhatWasLoadedIsGood) {
  const Image image = base();
  const VerifiedImage report = verify_one();
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.tree, TreeState::kGood);
  EXPECT_EQ(report.tree_entries, 7U);
  EXPECT_EQ(report.blobs.size(), 3U);
  EXPECT_THAT(report.paths, IsEmpty());
  EXPECT_EQ(store_.verify({.references = {"nosuch"}, .watch = {}}).error().code(), Errc::kNotFound);
}

TEST_F(VerifyTest, EveryDifferenceOfATreeIsNamed) {
  const Image image = base();
  struct stat before {};
  ASSERT_EQ(::stat(tree(image, "etc/passwd").c_str(), &before), 0);
  {
    // Same size, same time.
    const UniqueFd file = std::move(*sys::openat(sys::kCwd, tree(image, "etc/passwd"), O_WRONLY));
    ASSERT_TRUE(sys::write_all(file, "evil").ok());
    const struct timespec times[2] = {before.st_mtim, before.st_mtim};
    ASSERT_TRUE(sys::futimens(file, times).ok());
  }
  ASSERT_EQ(::unlink(tree(image, "bin/b").c_str()), 0);
  ASSERT_EQ(::unlink(tree(image, "sh").c_str()), 0);
  ASSERT_EQ(::symlink("bin/evil", tree(image, "sh").c_str()), 0);
  write_test_file(tree(image, "tmp/new"), "x");
  ASSERT_EQ(::chmod(tree(image, "bin").c_str(), 0777), 0);
  const VerifiedImage report = verify_one();
  EXPECT_FALSE(report.good());
  EXPECT_EQ(report.tree, TreeState::kDiffers);
  EXPECT_THAT(told(report), ElementsAre("/ modified", "/bin mode modified", "/bin/a links", "/bin/b -",
                                        "/etc/passwd content", "/sh target modified", "/tmp +", "/tmp/new +"));
}

TEST_F(VerifyTest, AFileThatTookThePlaceOfAHardLink) {
  const Image image = base();
  ASSERT_EQ(::unlink(tree(image, "bin/b").c_str()), 0);
  ASSERT_EQ(::link(tree(image, "etc/passwd").c_str(), tree(image, "bin/b").c_str()), 0);
  ASSERT_EQ(::link(tree(image, "bin/a").c_str(), (scratch_ / "elsewhere").c_str()), 0);
  const auto lines = told(verify_one());
  EXPECT_THAT(lines, ::testing::Contains(HasSubstr("/bin/b content size")));
  EXPECT_THAT(lines, ::testing::Contains(HasSubstr("/etc/passwd links linked_to")));
}

TEST_F(VerifyTest, DamagedBlobsAreFindings) {
  const Image image = base();
  const Image other = load({layer({{.path = "x", .data = "x"}})}, "other");
  ASSERT_EQ(::unlink(blob(image.layers[0]).c_str()), 0);
  ASSERT_EQ(::chmod(blob(other.id).c_str(), 0644), 0);
  {
    const UniqueFd file = std::move(*sys::openat(sys::kCwd, blob(other.id), O_WRONLY));
    ASSERT_TRUE(sys::write_all(file, "X").ok());
  }
  for (const VerifiedImage& report : verify()) {
    EXPECT_FALSE(report.good());
    EXPECT_EQ(report.tree, TreeState::kNotCompared);
    const bool first = report.image.id == image.id;
    EXPECT_EQ(report.blobs[first ? 2 : 1].state, first ? State::kMissing : State::kCorrupt);
  }
}

TEST_F(VerifyTest, RepairTakesAwayWhatCanBeMadeAnew) {
  const Image image = base();
  ASSERT_EQ(::unlink(tree(image, "sh").c_str()), 0);
  ASSERT_TRUE(store_.acquire_tree(image, "pod-1").ok());
  const VerifiedImage used = verify_one(true);
  EXPECT_EQ(used.tree, TreeState::kDiffers);
  EXPECT_THAT(used.users, ElementsAre("pod-1"));
  ASSERT_TRUE(store_.release_tree(image.chain, "pod-1").ok());
  const VerifiedImage repaired = verify_one(true);
  EXPECT_EQ(repaired.tree, TreeState::kTakenAway);
  EXPECT_TRUE(repaired.good());
  EXPECT_EQ(verify_one().tree, TreeState::kNotUnpacked);
  ASSERT_TRUE(store_.acquire_tree(image, "pod-1").ok());
  EXPECT_EQ(verify_one().tree, TreeState::kGood);

  // A blob: it goes, and comes with the next load.
  ASSERT_EQ(::chmod(blob(image.layers[0]).c_str(), 0644), 0);
  write_test_file(blob(image.layers[0]), "garbage");
  const VerifiedImage broken = verify_one(true);
  EXPECT_FALSE(broken.good());
  EXPECT_EQ(broken.blobs[2].state, State::kCorrupt);
  EXPECT_TRUE(broken.blobs[2].taken_away);
  EXPECT_EQ(verify_one().blobs[2].state, State::kMissing);
  (void)base();
  EXPECT_TRUE(verify_one().good());
}

TEST_F(VerifyTest, WhatCannotBeReadIsNotTakenAway) {
  const Image image = base();
  const std::string kept = scratch_ / "kept";
  ASSERT_EQ(::rename(blob(image.layers[0]).c_str(), kept.c_str()), 0);
  ASSERT_EQ(::mkdir(blob(image.layers[0]).c_str(), 0700), 0);  // which opens, and cannot be read
  const VerifiedImage report = verify_one(true);
  EXPECT_EQ(report.blobs[2].state, State::kUnreadable);
  EXPECT_FALSE(report.blobs[2].taken_away);
  EXPECT_EQ(report.tree, TreeState::kNotCompared);
  ASSERT_EQ(::rmdir(blob(image.layers[0]).c_str()), 0);
  ASSERT_EQ(::rename(kept.c_str(), blob(image.layers[0]).c_str()), 0);
  EXPECT_TRUE(verify_one().good());
}

TEST_F(VerifyTest, ATreeIsNotTakenWhenItsLayersAreNotThere) {
  const Image image = base();
  ASSERT_EQ(::unlink(tree(image, "sh").c_str()), 0);
  ASSERT_EQ(::unlink(blob(image.layers[0]).c_str()), 0);
  EXPECT_EQ(verify_one(true).tree, TreeState::kNotCompared);
  EXPECT_TRUE(sys::fstatat(sys::kCwd, tree(image, "etc/passwd")).ok());
}

TEST_F(VerifyTest, ARecordNobodyCanRead) {
  const std::string path = "store/refs/images/sha256:" + std::string(64, 'b');
  write_test_file(scratch_ / path, "{");
  const VerifiedImage report = verify_one();
  EXPECT_FALSE(report.good());
  EXPECT_THAT(report.record, ElementsAre(HasSubstr("cannot be read")));
}

TEST_F(VerifyTest, LayersInCommonAreReadOnce) {
  const std::string common = layer({{.path = "a", .data = std::string(100'000, 'x')}});
  const Image one = load({common, layer({{.path = "b", .data = "1"}})}, "one");
  const Image two = load({common, layer({{.path = "a", .data = "2"}})}, "two");
  const Image three = load({common}, "three");
  std::map<std::string, std::uint64_t, std::less<>> read;
  auto verified =
      store_.verify({.watch = {.progress = [&](std::string_view what, std::uint64_t done, std::uint64_t total) {
                       EXPECT_LE(done, total);
                       read[std::string(what)] = done;
                     }}});
  ASSERT_TRUE(verified.ok());
  for (const VerifiedImage& report : *verified) EXPECT_EQ(report.tree, TreeState::kGood);
  EXPECT_EQ(read.size(), 3U);
  std::uint64_t bytes = 0;
  for (const auto& [what, done] : read) bytes += done;
  EXPECT_LT(bytes, 350'000U);  // the layer once, and the file of two trees
}

TEST_F(VerifyTest, ItCanBeStopped) {
  (void)base();
  auto verified = store_.verify({.watch = {.cancelled = [] { return true; }}});
  EXPECT_EQ(verified.error().code(), Errc::kCancelled);
}

TEST_F(VerifyTest, DiffNamesWhatTheSecondMakesDifferent) {
  const Image before = base();
  const Image after = load({layer({{.path = "etc/", .type = '5', .mode = 0700},
                                   {.path = "etc/passwd", .data = "toor"},
                                   {.path = "bin/a", .data = "program"},
                                   {.path = "sh/", .type = '5'},
                                   {.path = "sh/new", .data = ""}})},
                           "after");
  auto changes = store_.diff(before, after, {});
  ASSERT_TRUE(changes.ok()) << changes.error().message();
  VerifiedImage as{.image = before};
  as.paths = std::move(*changes);
  EXPECT_THAT(told(as), UnorderedElementsAre("/bin/a links", "/bin/b -", "/etc mode", "/etc/passwd content", "/sh type",
                                             "/sh/new +"));
  EXPECT_THAT(*store_.diff(before, before, {}), IsEmpty());
}

TEST(ContentHashTest, HolesAndZerosAreTheSame) {
  const std::string data = std::string(5000, '\0') + "x" + std::string(9000, '\0') + "yz";
  ContentHash whole;
  whole.update(0, data);
  ContentHash parts;
  parts.update(5000, "x");
  parts.update(14001, "y");
  parts.update(14002, "z");
  ContentHash blocks;
  for (std::size_t at = 0; at < data.size(); at += 512) blocks.update(at, std::string_view(data).substr(at, 512));
  const std::string hash = whole.finish();
  EXPECT_EQ(hash, parts.finish());
  EXPECT_EQ(hash, blocks.finish());
  ContentHash moved;
  moved.update(5001, "x");
  moved.update(14001, "yz");
  EXPECT_NE(hash, moved.finish());
}

}  // namespace
}  // namespace cooper::image
