#include "image/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "image/internal/plan.h"
#include "image/internal/records.h"
#include "image/internal/store_fixture.h"

namespace cooper::image {
namespace {

using codec::tar::TarFixture;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

TEST_F(StoreTest, LoadsFindsAndRemoves) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A"), layer("b", "B")}), "q.io/x/y:1")});
  const Image image = load_one();
  EXPECT_THAT(image.names, ElementsAre("q.io/x/y:1"));
  EXPECT_EQ(image.created, "2024-01-02T03:04:05Z");
  EXPECT_EQ(image.layers.size(), 2U);
  for (const std::string& reference :
       {std::string("q.io/x/y:1"), image.id.str(), std::string(image.id.hex().substr(0, 4)),
        "q.io/x/y@" + image.manifest_digest.str(), "q.io/x/y:ignored@" + image.manifest_digest.str()}) {
    const auto found = store_.find(reference);
    ASSERT_TRUE(found.ok()) << reference << ": " << found.error().message();
    EXPECT_EQ(found->id, image.id);
  }
  EXPECT_EQ(store_.config(image)->cmd.at(0), "true");
  EXPECT_EQ(store_.manifest(image)->layers.size(), 2U);
  EXPECT_EQ(codec::digest_of(*store_.manifest_bytes(image)), image.manifest_digest);

  const auto tree = store_.acquire_tree(image, "pod-1");
  ASSERT_TRUE(tree.ok()) << tree.error().message();
  EXPECT_EQ(*io::read_file(tree->rootfs + "/a"), "A");
  EXPECT_EQ(*io::read_file(tree->rootfs + "/b"), "B");

  // The tree outlives its image as long as somebody uses it.
  EXPECT_EQ(store_.remove("q.io/x/y:1", false).error().code(), Errc::kBusy);  // a container uses it
  const auto removed = store_.remove("q.io/x/y:1", true);
  ASSERT_TRUE(removed.ok()) << removed.error().message();
  EXPECT_THAT(removed->untagged, ElementsAre("q.io/x/y:1"));
  EXPECT_THAT(removed->deleted, ElementsAre(image.id));
  EXPECT_EQ(*io::read_file(tree->rootfs + "/a"), "A");
  EXPECT_EQ(store_.tree_users()->size(), 1U);
  ASSERT_TRUE(store_.release_tree(tree->chain, "pod-1").ok());
  EXPECT_THAT(leftovers(), IsEmpty());
  EXPECT_TRUE(store_.release_tree(tree->chain, "pod-1").ok());
}

TEST_F(StoreTest, SecondLoadChangesNothing) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image first = load_one();
  const auto before = leftovers();
  const Image second = load_one();
  EXPECT_EQ(first.loaded_unix_ms, second.loaded_unix_ms);
  EXPECT_EQ(before, leftovers());
  EXPECT_THAT(second.names, ElementsAre("localhost/x:latest"));
}

TEST_F(StoreTest, ShortNamesAreLocal) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "busybox:1")});
  const Image image = load_one();
  EXPECT_EQ(store_.find("busybox:1")->id, image.id);
  ASSERT_TRUE(store_.tag("busybox:1", std::vector<std::string>{"docker.io/other"}).ok());
  EXPECT_EQ(store_.find("other")->id, image.id);
  EXPECT_THAT(store_.find("other")->names, ElementsAre("docker.io/library/other:latest", "localhost/busybox:1"));
}

TEST_F(StoreTest, AWrongNameAmongSeveralGivesNone) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  load_one();
  EXPECT_EQ(store_.tag("x", std::vector<std::string>{"y", "Bad Name"}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(store_.find("y").error().code(), Errc::kNotFound);
}

TEST_F(StoreTest, NamesMoveToTheNewestImage) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image first = load_one();
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "B")}), "x")});
  const Image second = load_one();
  EXPECT_NE(first.id, second.id);
  EXPECT_EQ(store_.find("x")->id, second.id);
  const auto images = store_.list();
  ASSERT_TRUE(images.ok());
  ASSERT_EQ(images->size(), 2U);
  for (const Image& image : *images) EXPECT_EQ(image.names.size(), image.id == second.id ? 1U : 0U);
  EXPECT_TRUE(store_.find(first.id.str())->names.empty());
}

TEST_F(StoreTest, RemovingTakesOneNameOrAll) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image image = load_one();
  ASSERT_TRUE(store_.tag("x", std::vector<std::string>{"y"}).ok());
  EXPECT_EQ(store_.remove(image.id.str(), false).error().code(), Errc::kBusy);
  EXPECT_THAT(store_.remove("y", false)->deleted, IsEmpty());
  EXPECT_EQ(store_.find("y").error().code(), Errc::kNotFound);
  ASSERT_TRUE(store_.tag("x", std::vector<std::string>{"y"}).ok());
  EXPECT_EQ(store_.remove(image.id.str(), true)->untagged.size(), 2U);
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(StoreTest, RemovingSeveralKeepsWhatCannotGo) {
  const std::string base = layer("a", "A");
  layout_.index({LayoutFixture::named(layout_.image({base}), "one"),
                 LayoutFixture::named(layout_.image({base, layer("b", "B")}), "two"),
                 LayoutFixture::named(layout_.image({layer("c", "C")}), "three")});
  const auto images = load();
  ASSERT_TRUE(images.ok()) << images.error().message();
  ASSERT_TRUE(store_.acquire_tree(*store_.find("two"), "pod-1").ok());
  const std::string one = store_.find("one")->id.str();
  const std::vector<std::string> references = {"one", "two", "nothing", std::string(one.substr(7, 12)), "three"};
  const auto removed = store_.remove_all(references, false);
  ASSERT_TRUE(removed.ok()) << removed.error().message();
  ASSERT_EQ(removed->size(), 5U);
  EXPECT_THAT(removed->at(0)->deleted, ElementsAre(*Digest::parse(one)));
  EXPECT_EQ(removed->at(1).error().code(), Errc::kBusy);
  EXPECT_EQ(removed->at(2).error().code(), Errc::kNotFound);
  ASSERT_TRUE(removed->at(3).ok()) << "it went by another of its words";
  EXPECT_THAT(removed->at(3)->deleted, IsEmpty());
  EXPECT_EQ(removed->at(4)->untagged.size(), 1U);
  EXPECT_EQ(store_.list()->size(), 1U);
  EXPECT_TRUE(store_.manifest(*store_.find("two")).ok());
  ASSERT_TRUE(store_.remove_all(std::vector<std::string>{"two"}, true).ok());
  ASSERT_TRUE(store_.release_tree(store_.tree_users()->front().first, "pod-1").ok());
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(StoreTest, SharedBlobsStay) {
  const std::string base = layer("a", "A");
  layout_.index({LayoutFixture::named(layout_.image({base}), "one"),
                 LayoutFixture::named(layout_.image({base, layer("b", "B")}), "two")});
  const auto images = load();
  ASSERT_TRUE(images.ok()) << images.error().message();
  EXPECT_EQ(images->size(), 2U);
  ASSERT_TRUE(store_.remove("one", false).ok());
  ASSERT_TRUE(store_.extract(*store_.find("two"), scratch_ / "out").ok());
  EXPECT_EQ(*io::read_file(scratch_ / "out/a"), "A");
}

TEST_F(StoreTest, UnpacksAgainWhatIsMissing) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image image = load_one();
  ASSERT_TRUE(io::remove_tree(sys::kCwd, scratch_ / ("store/trees/" + image.chain)).ok());
  const auto tree = store_.acquire_tree(image, "pod");
  ASSERT_TRUE(tree.ok()) << tree.error().message();
  EXPECT_EQ(*io::read_file(tree->rootfs + "/a"), "A");

  ASSERT_TRUE(io::remove_tree(sys::kCwd, scratch_ / ("store/trees/" + image.chain)).ok());
  const std::string blob = scratch_ / ("store/blobs/sha256/" + std::string(image.layers.at(0).hex()));
  ASSERT_EQ(::unlink(blob.c_str()), 0);
  write_test_file(blob, layer("a", "B"));
  const auto broken = store_.acquire_tree(image, "pod");
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().code(), Errc::kCorrupt);
  EXPECT_THAT(broken.error().hint(), HasSubstr("load"));
  // Loading repairs.
  load_one();
  EXPECT_TRUE(store_.acquire_tree(image, "pod").ok());
}

TEST_F(StoreTest, PicksThePlatform) {
  const oci_image::Platform foreign{.architecture = "s390x", .os = "linux", .variant = ""};
  oci_image::Index inner{.media_type = {},
                         .manifests = {layout_.image({layer("a", "F")}, foreign), layout_.image({layer("a", "H")})},
                         .annotations = {}};
  oci_image::Descriptor attestation = layout_.blob("{}", oci_image::kMediaTypeManifest);
  attestation.platform = {.architecture = "unknown", .os = "unknown", .variant = ""};
  inner.manifests.insert(inner.manifests.begin(), attestation);
  const auto index = layout_.blob(oci_image::print(inner), oci_image::kMediaTypeIndex);
  layout_.index({LayoutFixture::named(index, "multi")});
  const Image image = load_one();
  EXPECT_EQ(image.index_digest, index.digest);
  EXPECT_EQ(*io::read_file(store_.acquire_tree(image, "u")->rootfs + "/a"), "H");
  EXPECT_EQ(store_.find("multi@" + index.digest.str())->id, image.id);

  const auto other = store_.load({.path = layout_.dir(), .name = {}, .platform = foreign, .progress = {}});
  ASSERT_TRUE(other.ok()) << other.error().message();
  EXPECT_EQ(*io::read_file(store_.acquire_tree(other->front(), "u")->rootfs + "/a"), "F");
}

TEST_F(StoreTest, WrongPlatformIsNamed) {
  const oci_image::Platform foreign{.architecture = "s390x", .os = "linux", .variant = ""};
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "F")}, foreign), "x")});
  fails(Errc::kNotFound, "linux/s390x");
  EXPECT_EQ(load().error().hint(), "--platform linux/s390x takes this one");
}

TEST_F(StoreTest, NamesForImagesThatBringNone) {
  layout_.index({layout_.image({layer("a", "A")})});
  EXPECT_THAT(load_one().names, IsEmpty());
  EXPECT_THAT(load_one("mine:2").names, ElementsAre("localhost/mine:2"));
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "v3")});
  EXPECT_EQ(store_.find("mine:2")->names.size(), 1U);
  EXPECT_THAT(load_one("mine").names, ElementsAre("localhost/mine:2", "localhost/mine:v3"));
}

TEST_F(StoreTest, NamesBesideThoseAnImageBrings) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "q.io/x:1")});
  const Image first = load_one("mine");
  EXPECT_THAT(first.names, ElementsAre("localhost/mine:latest", "q.io/x:1"));
  const Image again = load_one("other");
  EXPECT_THAT(again.names, ElementsAre("localhost/mine:latest", "localhost/other:latest", "q.io/x:1"));
  EXPECT_THAT(again.given_names, UnorderedElementsAre("localhost/other:latest", "q.io/x:1"));
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "q.io/x:1"),
                 LayoutFixture::named(layout_.image({layer("a", "B")}), "q.io/x:2")});
  const auto several = load("mine");
  ASSERT_FALSE(several.ok());
  EXPECT_THAT(several.error().message(), HasSubstr("'mine' cannot be given to 2 images"));
}

TEST_F(StoreTest, LoadsDockerArchives) {
  for (const bool old_style : {true, false}) {
    write_test_file(scratch_ / "docker.tar", docker_archive(layer("a", "A"), old_style));
    const auto images = load("", scratch_ / "docker.tar");
    ASSERT_TRUE(images.ok()) << images.error().message();
    EXPECT_THAT(images->front().names, ElementsAre("docker.io/library/x:1", "q.io/y:2"));
    EXPECT_EQ(images->front().layers.size(), 2U);
    const auto manifest = store_.manifest(images->front());
    ASSERT_TRUE(manifest.ok());
    EXPECT_EQ(manifest->layers.at(0).media_type, oci_image::kMediaTypeLayer);
    ASSERT_TRUE(store_.remove(images->front().id.str(), true).ok());
    EXPECT_THAT(leftovers(), IsEmpty());
  }
}

TEST_F(StoreTest, RefusesCutArchives) {
  const std::string whole = docker_archive(layer("a", "A"), true);
  // Every cut in front of the end mark.
  for (std::size_t size = 1; size + 1024 <= whole.size(); size += size % 512 == 0 ? 1 : 511 - (size - 1) % 512) {
    write_test_file(scratch_ / "docker.tar", whole.substr(0, size));
    const auto images = load("", scratch_ / "docker.tar");
    ASSERT_FALSE(images.ok()) << size;
    ASSERT_THAT(leftovers(), IsEmpty());
  }
}

TEST_F(StoreTest, ImportsRootFileSystems) {
  write_test_file(
      scratch_ / "rootfs.tar",
      TarFixture().add({.path = "etc/motd", .data = "hi", .uid = ::geteuid(), .gid = ::getegid()}).finish());
  const auto image =
      store_.import({.source = {.path = scratch_ / "rootfs.tar", .name = "mine", .platform = {}, .progress = {}},
                     .changes = {"CMD [\"sh\", \"-l\"]", "env A=b C=\"d e\"", "EXPOSE 80 8000-8002/udp 8001/udp",
                                 "WORKDIR /w", "LABEL x=y"},
                     .message = "made by hand"});
  ASSERT_TRUE(image.ok()) << image.error().message();
  const auto config = store_.config(*image);
  ASSERT_TRUE(config.ok());
  EXPECT_THAT(config->cmd, ElementsAre("sh", "-l"));
  EXPECT_THAT(config->env, ElementsAre("A=b", "C=d e"));
  EXPECT_THAT(config->exposed_ports, ElementsAre("80/tcp", "8000/udp", "8001/udp", "8002/udp"));
  EXPECT_EQ(config->history.at(0).comment, "made by hand");
  EXPECT_EQ(*io::read_file(store_.acquire_tree(*store_.find("mine"), "u")->rootfs + "/etc/motd"), "hi");
  EXPECT_EQ(image->chain, chain_of(config->diff_ids));
}

TEST_F(StoreTest, ASignalEndsALoadAndAnImport) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd cancel(ends[0]), writer(ends[1]);
  layout_.index({layout_.image({layer("a", "A")})});
  write_test_file(scratch_ / "rootfs.tar", layer("a", "A"));
  const auto load = [&] {
    return store_.load({.path = layout_.dir(), .name = {}, .platform = {}, .cancel = cancel, .progress = {}});
  };
  const auto import = [&] {
    return store_.import(
        {.source = {.path = scratch_ / "rootfs.tar", .name = {}, .platform = {}, .cancel = cancel, .progress = {}},
         .changes = {},
         .message = {}});
  };
  ASSERT_EQ(::write(writer.get(), "x", 1), 1);
  EXPECT_EQ(load().error().code(), Errc::kCancelled);
  EXPECT_EQ(import().error().code(), Errc::kCancelled);
  EXPECT_THAT(leftovers(), IsEmpty());
  char byte = 0;
  ASSERT_EQ(::read(cancel.get(), &byte, 1), 1);
  EXPECT_TRUE(load().ok());
  EXPECT_TRUE(import().ok());
}

TEST_F(StoreTest, ExtractsIntoEmptyDirectoriesOnly) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image image = load_one();
  ASSERT_TRUE(store_.extract(image, scratch_ / "new").ok());
  EXPECT_EQ(*io::read_file(scratch_ / "new/a"), "A");
  EXPECT_EQ(store_.extract(image, scratch_ / "new").error().code(), Errc::kAlreadyExists);
}

// As if mkfs.erofs had made it, which needs root.
TEST_F(StoreTest, TreesInOneFileAreTreesOfTheirImage) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image image = load_one();
  const std::string trees = scratch_ / "store/trees/";
  write_test_file(trees + image.chain + ".erofs/rootfs", "E");
  ASSERT_TRUE(io::make_directories(trees + image.chain + ".erofs/users").ok());
  ASSERT_TRUE(io::remove_tree(sys::kCwd, trees + image.chain).ok());

  const auto tree = store_.acquire_erofs(image, "pod-1");
  ASSERT_TRUE(tree.ok()) << tree.error().message();
  EXPECT_EQ(tree->chain, image.chain + ".erofs");
  EXPECT_TRUE(tree->rootfs.empty());
  EXPECT_EQ(tree->erofs->file, trees + image.chain + ".erofs/rootfs");
  EXPECT_EQ(tree->erofs->size, 1U);
  EXPECT_FALSE(tree->erofs->untrusted);
  EXPECT_THAT(*store_.tree_users(), ElementsAre(std::pair(tree->chain, std::string("pod-1"))));

  load_one();
  EXPECT_FALSE(sys::fstatat(sys::kCwd, trees + image.chain).ok()) << "there was no need to unpack";
  ASSERT_TRUE(store_.gc({}).ok());
  EXPECT_EQ(store_.remove("x", false).error().code(), Errc::kBusy);
  ASSERT_TRUE(store_.remove("x", true).ok());
  EXPECT_TRUE(sys::fstatat(sys::kCwd, tree->erofs->file).ok()) << "a container has it";
  ASSERT_TRUE(store_.release_tree(tree->chain, "pod-1").ok());
  EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(StoreTest, SizeIsThatOfTheLayersHoweverTheyCame) {
  const std::string bytes = layer("a", std::string(20000, 'A'));
  layout_.index({layout_.image({bytes})});
  EXPECT_EQ(load_one().size_bytes, bytes.size());
  write_test_file(scratch_ / "docker.tar", docker_archive(bytes, true));
  EXPECT_EQ(load("", scratch_ / "docker.tar")->front().size_bytes, 2 * bytes.size());
  write_test_file(scratch_ / "rootfs.tar", bytes);
  const auto imported =
      store_.import({.source = {.path = scratch_ / "rootfs.tar", .name = {}, .platform = {}, .progress = {}},
                     .changes = {},
                     .message = {}});
  EXPECT_EQ(imported->size_bytes, bytes.size());
}

TEST_F(StoreTest, NotFoundSaysWhatMayBeMeant) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "busybox:1")});
  load_one();
  EXPECT_THAT(store_.find("busybix").error().hint(), HasSubstr("localhost/busybox:1"));
  EXPECT_EQ(store_.find("UPPER").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(store_.find("zzzz").error().code(), Errc::kNotFound);
  // Another word, not a slip.
  for (const std::string word : {"box", "busy", "bigbox", "bb"})
    EXPECT_THAT(store_.find(word).error().hint(), Not(HasSubstr("did you mean"))) << word;
  EXPECT_THAT(store_.find("busybox:2").error().hint(), HasSubstr("did you mean localhost/busybox:1?"));
}

TEST_F(StoreTest, NoNameStandsInTheWayOfAnId) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "good")});
  const Image good = load_one();
  const std::string hex(good.id.hex());
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "B")}), "other:1")});
  const Image other = load_one();
  for (const std::string& name : {"sha256:" + hex, "docker.io/library/sha256:" + hex, std::string("sha256:abcdef")})
    EXPECT_THAT(store_.tag("other:1", std::vector{name}).error().message(), HasSubstr("id of an image")) << name;
  // What a store of before may hold.
  for (const std::string& name : {"docker.io/library/sha256:" + hex, "localhost/sha256:" + hex}) {
    const UniqueFd fd = *sys::openat(sys::kCwd, scratch_ / "store", O_RDONLY);
    ASSERT_TRUE(Records(fd).put_name(name, other.id).ok());
  }
  for (const std::string& text : {"sha256:" + hex, hex}) EXPECT_EQ(store_.find(text)->id, good.id) << text;
  EXPECT_THAT(store_.remove("sha256:" + hex, false)->deleted, ElementsAre(good.id));
  EXPECT_EQ(store_.find("sha256:" + hex).error().code(), Errc::kNotFound) << "other has that name";
}

TEST_F(StoreTest, NamesCountBeforeShortIds) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "good")});
  const std::string id(load_one().id.hex());
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "B")}), id.substr(0, 12))});
  const Image named = load_one();
  EXPECT_EQ(store_.find(id.substr(0, 12))->id, named.id);
  EXPECT_NE(store_.find(id.substr(0, 11))->id, named.id);
  EXPECT_NE(store_.find("sha256:" + id.substr(0, 12))->id, named.id);
}

TEST_F(StoreTest, WhatCanBeNoName) {
  for (const std::string word : {"Up", "", "a:b:c", "https://r.example/a", "./t.sif", "/t.sif", "a b"}) {
    EXPECT_EQ(Store::check_reference(word).error().code(), Errc::kInvalidArgument) << word;
    EXPECT_EQ(store_.find(word).error().code(), Errc::kInvalidArgument) << word;
    EXPECT_FALSE(Store::check_new_name(word).ok()) << word;
  }
  EXPECT_THAT(store_.find("./t.sif").error().message(), HasSubstr("the path of a file"));
  EXPECT_THAT(store_.find("https://r.example/a").error().hint(), HasSubstr("leave out 'https://'"));
  EXPECT_THAT(store_.find("oci:lay:1").error().hint(), HasSubstr("cooper image pull oci:lay:1"));
  const std::string digest = codec::digest_of("x").str();
  for (const std::string& word :
       {std::string("a:1"), std::string("docker://r.example/a"), std::string("0123abcd"), std::string("12"), digest,
        "a@" + digest, std::string("example.com/a:1.0,arch=amd64")})
    EXPECT_TRUE(Store::check_reference(word).ok()) << word;
  EXPECT_FALSE(Store::check_new_name("a@" + digest).ok());
}

TEST_F(StoreTest, TooFewDigitsOfAnId) {
  layout_.index({layout_.image({layer("a", "A")})});
  const std::string id(load_one().id.hex());
  for (const std::string& text : {id.substr(0, 1), "sha256:" + id.substr(0, 1)}) {
    const auto found = store_.find(text);
    ASSERT_FALSE(found.ok()) << text;
    EXPECT_EQ(found.error().code(), Errc::kNotFound) << text;
    EXPECT_THAT(found.error().hint(), HasSubstr("too short: give 2 digits")) << text;
  }
  for (const std::string& text : {id.substr(0, 2), id.substr(0, 3), "sha256:" + id.substr(0, 2)})
    EXPECT_TRUE(store_.find(text).ok()) << text;
  const char other = id[0] == '0' ? '1' : '0';
  EXPECT_THAT(store_.find(std::string(1, other)).error().hint(), Not(HasSubstr("too short")));
  EXPECT_EQ(store_.find("").error().code(), Errc::kInvalidArgument);
}

TEST_F(StoreTest, TreeUsersAreNames) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image image = load_one();
  for (const std::string user : {"", ".", "..", "a/b", "../x"}) {
    EXPECT_EQ(store_.acquire_tree(image, user).error().code(), Errc::kInvalidArgument) << user;
  }
  EXPECT_EQ(store_.release_tree("../x", "u").error().code(), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace cooper::image
