#include "image/internal/tree_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/internal/tar_fixture.h"
#include "image/internal/compare.h"
#include "image/internal/file_model.h"
#include "image/internal/layer_path.h"
#include "image/internal/layer_walk.h"
#include "image/internal/test_fixture.h"

namespace cooper::image {
namespace {

using codec::tar::FixtureEntry;
using codec::tar::TarFixture;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class TreeTest : public ::testing::Test {
 public:
  ~TreeTest() override {
    // Nothing a layer did may have reached the neighbour.
    EXPECT_EQ(*io::read_file(scratch_ / "outside/secret"), "secret");
    EXPECT_EQ(sys::list_directory(*sys::openat(sys::kCwd, scratch_ / "outside", O_RDONLY))->size(), 1U);
    (void)::umask(old_umask_);
  }

 protected:
  TreeTest() {
    old_umask_ = ::umask(0);
    COOPER_ASSERT(io::make_directories(root_path()).ok());
    write_test_file(scratch_ / "outside/secret", "secret");
    root_ = std::move(*sys::openat(sys::kCwd, root_path(), O_RDONLY | O_DIRECTORY));
    builder_.emplace(root_);
  }
  std::string root_path() const { return scratch_ / "root"; }

  Status apply(const TarFixture& tar) { return apply_bytes(tar.finish()); }
  Status apply_bytes(const std::string& bytes) {
    codec::MemoryBlocks blocks(bytes, 512);
    Status applied = builder_->apply(blocks);
    if (!modelled_) return applied;
    // The model of a tree follows every rule of the tree itself.
    codec::MemoryBlocks again(bytes, 512);
    const Status modelled = model_.apply(again);
    EXPECT_EQ(applied.ok(), modelled.ok());
    if (!applied.ok() && !modelled.ok()) {
      EXPECT_EQ(applied.error().code(), modelled.error().code());
    }
    return applied;
  }
  void apply_ok(const TarFixture& tar) {
    const Status applied = apply(tar);
    ASSERT_TRUE(applied.ok()) << applied.error().message();
  }
  void finish() {
    const Status finished = builder_->finish();
    ASSERT_TRUE(finished.ok()) << finished.error().message();
    const auto check =
        compare_with_disk(model_, root_, root_, Medium::kDisk, [](std::uint64_t) { return ok_status(); });
    ASSERT_TRUE(check.ok()) << check.error().message();
    for (const PathChange& change : check->changes) ADD_FAILURE() << change.path << " differs from its model";
  }
  void refused(const TarFixture& tar, Errc code = Errc::kPermission) {
    const Status applied = apply(tar);
    ASSERT_FALSE(applied.ok());
    EXPECT_EQ(applied.error().code(), code) << applied.error().message();
  }
  std::string content(const std::string& path) const {
    auto text = io::read_file(root_path() + "/" + path);
    return text.ok() ? *text : errno_name(text.error().errno_value());
  }
  struct stat info(const std::string& path) const {
    struct stat out {};
    EXPECT_EQ(::lstat((root_path() + "/" + path).c_str(), &out), 0) << path;
    return out;
  }
  std::vector<std::string> names(const std::string& path) const {
    return *sys::list_directory(*sys::openat(sys::kCwd, root_path() + "/" + path, O_RDONLY));
  }

  ScratchDir scratch_;
  mode_t old_umask_ = 0;
  UniqueFd root_;
  std::optional<TreeBuilder> builder_;
  FileModel model_;
  bool modelled_ = true;
};

// TarFixture's own entries belong to root: as another user they are written with that user's ids.
TarFixture tar(std::initializer_list<FixtureEntry> entries) {
  TarFixture out;
  for (FixtureEntry entry : entries) {
    entry.uid = ::geteuid();
    entry.gid = ::getegid();
    out.add(entry);
  }
  return out;
}
FixtureEntry file(std::string path, std::string data = "data") {
  return {.path = std::move(path), .data = std::move(data)};
}
FixtureEntry directory(std::string path, std::uint32_t mode = 0755) {
  return {.path = std::move(path), .type = '5', .mode = mode};
}
FixtureEntry symlink_entry(std::string path, std::string target) {
  return {.path = std::move(path), .type = '2', .mode = 0777, .link = std::move(target)};
}
FixtureEntry hard_link(std::string path, std::string target) {
  return {.path = std::move(path), .type = '1', .link = std::move(target)};
}

TEST_F(TreeTest, LeavesOutWhatOverlayfsTakesForNothing) {
  apply_ok(tar({file("a"), file("b")}));
  apply_ok(tar({{.path = "a", .type = '3'}, hard_link("c", "a"), {.path = "new", .type = '3'}}));
  finish();
  EXPECT_THAT(names(""), UnorderedElementsAre("b"));
}

TEST_F(TreeTest, KeepsModesTimesAndLinks) {
  apply_ok(tar({directory("./", 0711),
                directory("bin/", 01777),
                {.path = "bin/su", .data = "x", .mode = 04755},
                hard_link("bin/su2", "bin/su"),
                symlink_entry("sh", "bin/su"),
                {.path = "fifo", .type = '6', .mode = 0620}}));
  finish();
  EXPECT_EQ(info("").st_mode & 07777, 0711U);
  EXPECT_EQ(info("bin").st_mode & 07777, 01777U);
  EXPECT_EQ(info("bin/su").st_mode & 07777, 04755U);
  EXPECT_EQ(info("bin/su").st_ino, info("bin/su2").st_ino);
  EXPECT_EQ(info("bin").st_mtime, 1'000'000'000);
  EXPECT_EQ(info("bin/su").st_mtime, 1'000'000'000);
  EXPECT_EQ(info("sh").st_mtime, 1'000'000'000);
  EXPECT_TRUE(S_ISFIFO(info("fifo").st_mode));
  EXPECT_EQ(info("fifo").st_mode & 07777, 0620U);
}

TEST_F(TreeTest, TheGroupOfTheDirectoryIsNotHandedDown) {
  constexpr gid_t kOther = 4321;
  if (::fchown(root_.get(), static_cast<uid_t>(-1), kOther) != 0) GTEST_SKIP() << "only root gives a directory away";
  ASSERT_EQ(::fchmod(root_.get(), 02755), 0);
  builder_.emplace(root_);
  apply_ok(TarFixture()
               .add({.path = "dir/file", .data = "x", .uid = ::geteuid(), .gid = ::getegid()})
               .add({.path = "dir/link", .type = '2', .uid = ::geteuid(), .gid = ::getegid(), .link = "file"})
               .add({.path = "theirs", .uid = ::geteuid(), .gid = kOther}));
  finish();
  for (const char* path : {"", "dir", "dir/file", "dir/link"}) EXPECT_EQ(info(path).st_gid, ::getegid()) << path;
  EXPECT_EQ(info("dir").st_mode & 07777, 0755U);
  EXPECT_EQ(info("theirs").st_gid, kOther);
}

TEST_F(TreeTest, MakesDirectoriesNobodyListed) {
  apply_ok(tar({file("a/b/c")}));
  finish();
  EXPECT_EQ(info("a/b").st_mode & 07777, 0755U);
  EXPECT_EQ(info("a/b").st_mtime, 1'000'000'000);
}

TEST_F(TreeTest, LowerDirectoriesKeepTheirMetadata) {
  apply_ok(tar({directory("d", 02750), file("d/old")}));
  apply_ok(tar({file("d/new")}));
  finish();
  EXPECT_EQ(info("d").st_mode & 07777, 02750U);
  EXPECT_EQ(info("d").st_mtime, 1'000'000'000);
}

TEST_F(TreeTest, LaterEntriesReplaceEarlierOnes) {
  apply_ok(tar({file("f", "one"), directory("d"), file("d/x"), symlink_entry("l", "d"), file("hard"),
                hard_link("hard2", "hard")}));
  apply_ok(tar({file("f", "two"), file("d", "now a file"), directory("l"), file("l/y"), file("hard2", "own")}));
  finish();
  EXPECT_EQ(content("f"), "two");
  EXPECT_EQ(content("d"), "now a file");
  EXPECT_EQ(content("l/y"), "data");
  EXPECT_EQ(content("hard"), "data");
  EXPECT_EQ(content("hard2"), "own");
}

TEST_F(TreeTest, WhiteoutsHideLowerLayersOnly) {
  apply_ok(tar({directory("d"), file("d/gone"), file("d/stays"), directory("tree"), file("tree/x")}));
  // The layer's own files survive, before and after the mark.
  apply_ok(tar({file("d/mine"), file("d/.wh.mine", ""), file("d/.wh.gone", ""), file("d/.wh.missing", ""),
                file(".wh.tree", ""), file("none/.wh.x", "")}));
  finish();
  EXPECT_THAT(names("d"), UnorderedElementsAre("mine", "stays"));
  EXPECT_THAT(names(""), UnorderedElementsAre("d"));
}

// Each whiteout of a directory looks at what is in it once, however often an archive has it.
TEST_F(TreeTest, RepeatedWhiteoutsAreFree) {
  TarFixture tar;
  tar.directory("d");
  for (int i = 0; i < 50; ++i) tar.file("d/" + std::to_string(i), "x");
  for (int i = 0; i < 50; ++i) tar.file("d/.wh..wh..opq", "");
  for (int i = 0; i < 50; ++i) tar.file(".wh.d", "");
  const std::string bytes = tar.finish();
  codec::MemoryBlocks blocks(bytes, 512);
  FileModel model;
  const Status applied = LayerWalk<FileModel>(model, {.has_lower = true, .max_lookups = 500}).apply(blocks);
  EXPECT_TRUE(applied.ok()) << applied.error().message();
}

TEST_F(TreeTest, LookupsAreBounded) {
  std::string way;
  for (int i = 0; i < 15; ++i) way += "a/../";
  TarFixture tar;
  tar.directory("a").directory("b").symlink("l0", way + "b");
  for (int i = 1; i < 10; ++i) tar.symlink("l" + std::to_string(i), way + "l" + std::to_string(i - 1));
  for (int i = 0; i < 100; ++i) {
    tar.file("l9/f" + std::to_string(i), "x").file("a/f" + std::to_string(i), "x");
  }
  const std::string bytes = tar.finish();
  for (const std::uint64_t most : {10'000U, 100'000U}) {
    codec::MemoryBlocks blocks(bytes, 512);
    FileModel model;
    const Status applied = LayerWalk<FileModel>(model, {.max_lookups = most}).apply(blocks);
    EXPECT_EQ(applied.ok(), most == 100'000U);
    if (!applied.ok()) {
      EXPECT_EQ(applied.error().code(), Errc::kLimit) << applied.error().message();
    }
  }
}

TEST_F(TreeTest, OpaqueDirectoriesHideWhatIsBelow) {
  apply_ok(tar({directory("d"), file("d/low"), directory("d/sub"), file("d/sub/low"), directory("d/other"),
                file("d/other/low")}));
  apply_ok(tar({directory("d"), directory("d/sub"), file("d/sub/mine"), file("d/.wh..wh..opq", ""), file("d/late")}));
  finish();
  EXPECT_THAT(names("d"), UnorderedElementsAre("sub", "late"));
  EXPECT_THAT(names("d/sub"), UnorderedElementsAre("mine"));
}

TEST_F(TreeTest, WhiteoutsOfTheFirstLayerHideNothing) {
  apply_ok(tar({file("a"), file(".wh.a", ""), file(".wh..wh..opq", ""), file(".wh..wh.plnk", "")}));
  finish();
  EXPECT_THAT(names(""), UnorderedElementsAre("a"));
}

TEST_F(TreeTest, WhiteoutOfADirectoryTheLayerBringsAgain) {
  apply_ok(tar({directory("d"), file("d/low")}));
  apply_ok(tar({directory("d"), file("d/mine"), file(".wh.d", "")}));
  finish();
  EXPECT_THAT(names("d"), UnorderedElementsAre("mine"));
}

TEST_F(TreeTest, RefusesWhiteoutsOfNothing) {
  for (const std::string name : {".wh.", ".wh..", ".wh...", "a/.wh..."}) refused(tar({file(name, "")}));
}

TEST_F(TreeTest, RefusesNamesThatLeaveTheRoot) {
  for (const std::string name : {"../outside/x", "a/../../outside/x", "..", "./../x", "a/b/../../../outside/secret"}) {
    refused(tar({file(name)}));
  }
  refused(tar({directory("../outside")}));
  refused(tar({symlink_entry("../outside/l", "x")}));
  refused(tar({{.path = "../outside/n", .type = '6'}}));
  refused(tar({file("../outside/.wh.secret", "")}));
  refused(tar({file(".", "the root as a file")}));
}

TEST_F(TreeTest, AbsoluteNamesCountFromTheRoot) {
  apply_ok(tar({file("/etc/x"), file("//etc///y"), file("etc/sub/../z")}));
  EXPECT_THAT(names("etc"), UnorderedElementsAre("x", "y", "z"));
}

TEST_F(TreeTest, RefusesLinksThatClimbOut) {
  refused(tar({symlink_entry("out", "../outside"), file("out/x")}));
  refused(tar({symlink_entry("deep", "a/../../outside"), directory("a"), file("deep/x")}));
  apply_ok(tar({symlink_entry("later", "../outside")}));
  refused(tar({file("later/secret", "changed")}));
  refused(tar({file("later/.wh.secret", "")}));
}

TEST_F(TreeTest, AbsoluteLinksStayInside) {
  apply_ok(tar({symlink_entry("var/run", "/run"), symlink_entry("abs", scratch_ / "outside")}));
  apply_ok(tar({file("var/run/pid"), file("abs/secret", "changed")}));
  finish();
  EXPECT_EQ(content("run/pid"), "data");
  EXPECT_TRUE(S_ISLNK(info("var/run").st_mode));
  EXPECT_EQ(content((scratch_ / "outside").substr(1) + "/secret"), "changed");
}

TEST_F(TreeTest, FollowsLinksInsideTheRoot) {
  apply_ok(tar({directory("usr"), directory("usr/lib"), symlink_entry("lib", "usr/lib"),
                symlink_entry("l2", "./lib/../../usr/lib")}));
  apply_ok(tar({file("lib/a"), file("l2/b"), file("usr/lib/c"), file("lib/.wh.c", "")}));
  finish();
  EXPECT_THAT(names("usr/lib"), UnorderedElementsAre("a", "b", "c"));
}

TEST_F(TreeTest, RefusesLinkLoopsAndFilesAsDirectories) {
  refused(tar({symlink_entry("a", "b"), symlink_entry("b", "a"), file("a/x")}), Errc::kCorrupt);
  refused(tar({file("f"), file("f/x")}), Errc::kCorrupt);
}

TEST_F(TreeTest, ADirectorySwappedForALinkIsSeen) {
  // The open directory of the first entries must not be used for the last one.
  refused(tar({directory("d"), file("d/x"), symlink_entry("d", "../outside"), file("d/secret", "changed")}));
}

TEST_F(TreeTest, ALinkToAParentThatGoesAwayIsHarmless) {
  apply_ok(tar({directory("x"), symlink_entry("x/up", "..")}));
  apply_ok(tar({file("x/up/x", "a file now"), file("y")}));
  finish();
  EXPECT_EQ(content("x"), "a file now");
}

TEST_F(TreeTest, RefusesHardLinksOutward) {
  refused(tar({hard_link("h", "../outside/secret")}));
  refused(tar({symlink_entry("s", "../outside"), hard_link("h", "s/secret")}));
  refused(tar({hard_link("h", "")}));
  refused(tar({hard_link("h", "missing")}), Errc::kCorrupt);
  refused(tar({directory("dir"), hard_link("h", "dir")}), Errc::kCorrupt);
  refused(tar({file("self"), hard_link("self", "self")}), Errc::kCorrupt);
  refused(tar({file("p/q/r"), hard_link("p", "p/q/r")}), Errc::kCorrupt);
}

TEST_F(TreeTest, HardLinksReplaceAndLinkSymlinksThemselves) {
  apply_ok(tar({file("a", "A"), file("b", "B"), symlink_entry("s", "../outside/secret")}));
  apply_ok(tar({hard_link("b", "/a"), hard_link("s2", "s")}));
  EXPECT_EQ(info("a").st_ino, info("b").st_ino);
  EXPECT_TRUE(S_ISLNK(info("s2").st_mode));
}

TEST_F(TreeTest, WritesHoles) {
  const std::string pax =
      TarFixture::pax("GNU.sparse.size", "10000000") + TarFixture::pax("GNU.sparse.map", "5000000,3");
  apply_ok(tar({{.path = "sparse", .data = "abc", .pax = pax}}));
  EXPECT_EQ(info("sparse").st_size, 10'000'000);
  EXPECT_LT(info("sparse").st_blocks * 512, 1'000'000);
  EXPECT_EQ(content("sparse").substr(5'000'000, 3), "abc");
}

TEST_F(TreeTest, LeavesOutAttributesForOverlayfsAndLabels) {
  EXPECT_FALSE(keeps_xattr("trusted.overlay.opaque"));
  EXPECT_FALSE(keeps_xattr("user.overlay.redirect"));
  EXPECT_FALSE(keeps_xattr("trusted.cooper.unpacked"));
  EXPECT_FALSE(keeps_xattr("user.cooper.unpacked"));
  EXPECT_FALSE(keeps_xattr("security.selinux"));
  EXPECT_TRUE(keeps_xattr("security.capability"));
  EXPECT_TRUE(keeps_xattr("user.anything"));
}

TEST_F(TreeTest, RefusesBottomlessPaths) {
  std::string path;
  for (int i = 0; i < 1000; ++i) path += "d/";
  refused(tar({{.path = "x", .data = "", .pax = TarFixture::pax("path", path + "f")}}), Errc::kLimit);
}

TEST_F(TreeTest, BoundsWhatItRemembers) {
  modelled_ = false;  // which remembers more
  const std::string big = TarFixture::pax("SCHILY.xattr.trusted.x", std::string(600, 'v'));
  const auto directory_with = [&](const std::string& path) {
    return FixtureEntry{.path = path, .type = '5', .pax = big};
  };
  builder_.emplace(root_, TreeLimits{.directory_xattr_bytes = 1000, .path_bytes = 1000});
  // What replaces does not add up, nor does what is gone.
  apply_ok(tar({directory_with("d"), directory_with("d"), directory_with("d")}));
  apply_ok(tar({file("d", "x"), directory_with("e")}));
  refused(tar({directory_with("f")}), Errc::kLimit);
  // Paths of a layer are remembered until its end only.
  builder_.emplace(root_, TreeLimits{.directory_xattr_bytes = 1000, .path_bytes = 1000});
  for (int i = 0; i < 5; ++i) apply_ok(tar({file("1"), file("2"), file("3"), file("4")}));
  refused(tar({file("1"), file("2"), file("3"), file("4"), file("5"), file("6"), file("7"), file("8")}), Errc::kLimit);
}

TEST_F(TreeTest, AnArchiveWithoutEndMarkCanBeRefused) {
  modelled_ = false;  // which never reads what was not taken in
  builder_->require_end_mark();
  const Status applied = apply_bytes(tar({file("a")}).bytes());
  ASSERT_FALSE(applied.ok());
  EXPECT_EQ(applied.error().code(), Errc::kCorrupt);
}

TEST_F(TreeTest, ErrorsNameTheEntry) {
  const Status applied = apply(tar({file("../x")}));
  ASSERT_FALSE(applied.ok());
  EXPECT_THAT(applied.error().message(), HasSubstr("file '../x'"));
}

TEST(CleanPath, Normalises) {
  EXPECT_EQ(*clean_path("./a//b/./c/"), "a/b/c");
  EXPECT_EQ(*clean_path("/"), "");
  EXPECT_EQ(*clean_path("a/.."), "");
  EXPECT_EQ(*clean_path("a/b/../../c"), "c");
  EXPECT_EQ(clean_path("a/../..").error().code(), Errc::kPermission);
  EXPECT_EQ(clean_path(std::string_view("a\0b", 3)).error().code(), Errc::kCorrupt);
}

}  // namespace
}  // namespace cooper::image
