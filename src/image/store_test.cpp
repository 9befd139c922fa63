#include "image/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "codec/internal/tar_fixture.h"
#include "image/internal/listing.h"
#include "image/internal/plan.h"
#include "image/internal/records.h"
#include "image/internal/test_fixture.h"

namespace cooper::image {
namespace {

using codec::tar::TarFixture;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

std::string layer(const std::string& path, const std::string& data) {
  return TarFixture().add({.path = path, .data = data, .uid = ::geteuid(), .gid = ::getegid()}).finish();
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() : layout_(scratch_ / "layout"), store_(std::move(*Store::open(scratch_ / "store"))) {}

  Result<std::vector<Image>> load(const std::string& name = "", const std::string& path = "") {
    return store_.load({.path = path.empty() ? layout_.dir() : path,
                        .transport = Transport::kAuto,
                        .name = name,
                        .platform = {},
                        .progress = {}});
  }
  Image load_one(const std::string& name = "") {
    auto images = load(name);
    EXPECT_TRUE(images.ok()) << (images.ok() ? "" : images.error().message());
    COOPER_ASSERT(images.ok() && images->size() == 1);
    return std::move(images->front());
  }
  void fails(Errc code, const std::string& word, const std::string& name = "") {
    const auto images = load(name);
    ASSERT_FALSE(images.ok());
    EXPECT_EQ(images.error().code(), code) << images.error().message();
    EXPECT_THAT(images.error().message(), HasSubstr(word));
    EXPECT_THAT(leftovers(), IsEmpty());
  }
  // Everything in the store but its directories, lock files and the layout file.
  std::vector<std::string> leftovers() const {
    std::vector<std::string> out;
    for (const std::string dir : {"blobs/sha256", "blobs/sha512", "refs/images", "refs/names", "trees", "tmp"}) {
      const auto names = sys::list_directory(*sys::openat(sys::kCwd, scratch_ / ("store/" + dir), O_RDONLY));
      for (const std::string& name : *names) out.push_back(dir + "/" + name);
    }
    return out;
  }

  ScratchDir scratch_;
  LayoutFixture layout_;
  Store store_;
};

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

TEST_F(StoreTest, WhatIsNoArchive) {
  const auto why = [&](const std::string& bytes) {
    write_test_file(scratch_ / "junk", bytes);
    const auto images = load("", scratch_ / "junk");
    EXPECT_EQ(images.error().code(), Errc::kCorrupt);
    return images.error().message();
  };
  for (const std::string& bytes : {std::string(), std::string("hello\n"), std::string(5000, 'x')})
    EXPECT_THAT(why(bytes), HasSubstr("is neither a tar archive nor a compressed one"));
  EXPECT_THAT(load("", "/no/such").error().message(), testing::StartsWith("open '/no/such': no such file"));
}

TEST_F(StoreTest, RefusesCorruptBlobs) {
  const std::string good = layer("a", "A");
  const auto manifest = layout_.image({good});
  layout_.index({LayoutFixture::named(manifest, "x")});
  const std::string blob = layout_.blob_file(codec::digest_of(good));
  write_test_file(blob, layer("a", "B"));
  fails(Errc::kCorrupt, "digest");
  write_test_file(blob, good.substr(0, 700));
  fails(Errc::kCorrupt, "700 bytes");
  write_test_file(blob, good + "x");
  fails(Errc::kCorrupt, "bytes");
  ASSERT_EQ(::unlink(blob.c_str()), 0);
  fails(Errc::kNotFound, "layer 1 of 1");
  write_test_file(blob, good);
  write_test_file(layout_.blob_file(manifest.digest), "{}");
  fails(Errc::kCorrupt, "manifest");
  ASSERT_EQ(::unlink(layout_.blob_file(manifest.digest).c_str()), 0);
  fails(Errc::kNotFound, "manifest");
}

TEST_F(StoreTest, RefusesWrongDiffIds) {
  oci_image::ImageConfig config;
  config.platform = oci_image::host_platform();
  config.diff_ids = {codec::digest_of("something else")};
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}, config), "x")});
  fails(Errc::kCorrupt, "uncompressed");
  config.diff_ids.clear();
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}, config), "x")});
  fails(Errc::kCorrupt, "layers");
}

TEST_F(StoreTest, RefusesLayersThatLeaveTheRoot) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A"), layer("../evil", "B")}), "x")});
  fails(Errc::kPermission, "../evil");
}

TEST_F(StoreTest, OneBadImageSpoilsTheArchive) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "good"),
                 LayoutFixture::named(layout_.image({layer("../evil", "B")}), "bad")});
  fails(Errc::kPermission, "../evil");
}

TEST_F(StoreTest, RefusesWhatIsNoImage) {
  fails(Errc::kInvalidArgument, "not an OCI layout");
  layout_.index({});
  fails(Errc::kNotFound, "no image");
  write_test_file(layout_.dir() + "/index.json", "not json");
  fails(Errc::kInvalidArgument, "index.json");
  write_test_file(layout_.dir() + "/index.json", std::string((4U << 20) + 1, ' '));
  fails(Errc::kLimit, "index.json");
  write_test_file(scratch_ / "file", "hello, this is text");
  EXPECT_EQ(load("", scratch_ / "file").error().code(), Errc::kCorrupt);
  EXPECT_EQ(load("", scratch_ / "missing").error().code(), Errc::kNotFound);
  write_test_file(scratch_ / "tar", layer("etc/passwd", "x"));
  const auto rootfs = load("", scratch_ / "tar");
  EXPECT_EQ(rootfs.error().code(), Errc::kInvalidArgument);
  EXPECT_THAT(rootfs.error().hint(), HasSubstr("import"));
}

TEST_F(StoreTest, RefusesArtifactsAndStrangeLayers) {
  oci_image::Manifest manifest{.media_type = {},
                               .artifact_type = "application/vnd.example.sbom",
                               .config = layout_.blob("{}", "application/vnd.oci.empty.v1+json"),
                               .layers = {},
                               .annotations = {}};
  layout_.index({LayoutFixture::named(layout_.blob(oci_image::print(manifest), oci_image::kMediaTypeManifest), "x")});
  fails(Errc::kUnsupported, "artifact");
  manifest.artifact_type.clear();
  manifest.config.media_type = oci_image::kMediaTypeConfig;
  manifest.layers = {layout_.blob("x", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted")};
  layout_.index({LayoutFixture::named(layout_.blob(oci_image::print(manifest), oci_image::kMediaTypeManifest), "x")});
  fails(Errc::kUnsupported, "encrypted");
}

TEST_F(StoreTest, BoundsWhatManyImagesShare) {
  oci_image::ImageConfig config;
  config.platform = oci_image::host_platform();
  config.author = std::string(std::size_t{4} << 20, 'x').substr(1000);
  const auto large = layout_.blob(oci_image::print(config), oci_image::kMediaTypeConfig);
  std::vector<oci_image::Descriptor> images;
  for (int i = 0; i < 5; ++i) {
    oci_image::Manifest manifest{.media_type = {},
                                 .artifact_type = {},
                                 .config = large,
                                 .layers = {},
                                 .annotations = {{"number", std::to_string(i)}}};
    const auto descriptor = layout_.blob(oci_image::print(manifest), oci_image::kMediaTypeManifest);
    images.push_back(LayoutFixture::named(descriptor, "t:" + std::to_string(i)));
  }
  layout_.index(images);
  fails(Errc::kLimit, "16.0 MiB together");
  oci_image::Descriptor nameless = layout_.image({});
  nameless.platform.reset();
  layout_.index(std::vector<oci_image::Descriptor>(1001, nameless));
  fails(Errc::kLimit, "more than 1000 images");
}

TEST_F(StoreTest, RecordsStaySmall) {
  oci_image::ImageConfig config;
  config.platform = oci_image::host_platform();
  config.created = std::string(4'190'000, '9');
  layout_.index({LayoutFixture::named(layout_.image({}, config), "x:1")});
  EXPECT_EQ(load_one().created, "");
  EXPECT_EQ(store_.list()->size(), 1U);
}

TEST_F(StoreTest, RefusesBottomlessIndexes) {
  auto descriptor = layout_.image({layer("a", "A")});
  for (int i = 0; i < 10; ++i) {
    descriptor.platform.reset();
    const oci_image::Index index{.media_type = {}, .manifests = {descriptor}, .annotations = {}};
    descriptor = layout_.blob(oci_image::print(index), oci_image::kMediaTypeIndex);
  }
  layout_.index({LayoutFixture::named(descriptor, "x")});
  fails(Errc::kCorrupt, "nested");
}

std::string docker_archive(const std::string& layer_bytes, bool old_style) {
  oci_image::ImageConfig config;
  config.platform = oci_image::host_platform();
  config.diff_ids = {codec::digest_of(layer_bytes), codec::digest_of(layer_bytes)};
  const std::string bytes = oci_image::print(config);
  const std::string config_name = std::string(codec::digest_of(bytes).hex()) + ".json";
  TarFixture tar;
  tar.directory("one/").file("one/layer.tar", layer_bytes);
  if (old_style) {
    tar.symlink("two/layer.tar", "../one/layer.tar");
  } else {
    tar.hard_link("two/layer.tar", "one/layer.tar");
  }
  tar.file(config_name, bytes);
  tar.file("manifest.json", R"([{"Config":")" + config_name +
                                R"(","RepoTags":["x:1","q.io/y:2"],"Layers":["one/layer.tar","two/layer.tar"]}])");
  return tar.finish();
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
                     .changes = {"CMD [\"sh\", \"-l\"]", "env A=b C=\"d e\"", "EXPOSE 80", "WORKDIR /w", "LABEL x=y"},
                     .message = "made by hand"});
  ASSERT_TRUE(image.ok()) << image.error().message();
  const auto config = store_.config(*image);
  ASSERT_TRUE(config.ok());
  EXPECT_THAT(config->cmd, ElementsAre("sh", "-l"));
  EXPECT_THAT(config->env, ElementsAre("A=b", "C=d e"));
  EXPECT_THAT(config->exposed_ports, ElementsAre("80/tcp"));
  EXPECT_EQ(config->history.at(0).comment, "made by hand");
  EXPECT_EQ(*io::read_file(store_.acquire_tree(*store_.find("mine"), "u")->rootfs + "/etc/motd"), "hi");
  EXPECT_EQ(image->chain, chain_of(config->diff_ids));
}

TEST_F(StoreTest, RefusesBadImports) {
  const auto import = [&](const std::string& bytes, std::vector<std::string> changes = {}) {
    write_test_file(scratch_ / "rootfs.tar", bytes);
    const auto image =
        store_.import({.source = {.path = scratch_ / "rootfs.tar", .name = {}, .platform = {}, .progress = {}},
                       .changes = std::move(changes),
                       .message = {}});
    EXPECT_FALSE(image.ok());
    EXPECT_THAT(leftovers(), IsEmpty());
    return image.ok() ? Errc::kInternal : image.error().code();
  };
  const std::string whole = layer("a", std::string(3000, 'x'));
  EXPECT_EQ(import(whole.substr(0, 2000)), Errc::kCorrupt);
  EXPECT_EQ(import(whole.substr(0, whole.size() - 1024)), Errc::kCorrupt);
  EXPECT_EQ(import("no tar at all, but some text that is longer than nothing"), Errc::kCorrupt);
  EXPECT_EQ(import(TarFixture().finish()), Errc::kInvalidArgument);
  EXPECT_EQ(import(layer("../x", "y")), Errc::kPermission);
  for (const std::string change : {"FROM x", "CMD", "EXPOSE x", "WORKDIR rel", "ENV A", "LABEL \"x=y", "CMD [1]"}) {
    EXPECT_EQ(import(whole, {change}), Errc::kInvalidArgument) << change;
  }
}

TEST_F(StoreTest, ImagesAreNotImportedAsRootFileSystems) {
  const auto import = [&](const std::string& path) {
    auto image = store_.import(
        {.source = {.path = path, .name = "x", .platform = {}, .progress = {}}, .changes = {}, .message = {}});
    if (image.ok()) return Error(Errc::kInternal, "imported");
    EXPECT_THAT(leftovers(), IsEmpty());
    return std::move(image).error();
  };
  const auto file = [](const std::string& path, const std::string& data) {
    return codec::tar::FixtureEntry{.path = path, .data = data, .uid = ::geteuid(), .gid = ::getegid()};
  };
  write_test_file(scratch_ / "docker.tar", docker_archive(layer("a", "A"), true));
  write_test_file(scratch_ / "oci.tar",
                  TarFixture().add(file("oci-layout", "{}")).add(file("index.json", "{}")).finish());
  layout_.index({layout_.image({layer("a", "A")})});
  for (const std::string& path : {scratch_ / "docker.tar", scratch_ / "oci.tar", layout_.dir()}) {
    const Error error = import(path);
    EXPECT_EQ(error.code(), Errc::kInvalidArgument) << path;
    EXPECT_THAT(error.message(), HasSubstr("is an image already")) << path;
    EXPECT_EQ(error.hint(), "use cooper image load");
  }
  // One of these names alone says nothing.
  write_test_file(scratch_ / "other.tar",
                  TarFixture().add(file("index.json", "{}")).add(file("manifest.json", "{}")).finish());
  EXPECT_EQ(import(scratch_ / "other.tar").message(), "imported");
}

TEST_F(StoreTest, DirectoriesOfSkopeoAreToBeConverted) {
  write_test_file(scratch_ / "dir/manifest.json", "{}");
  write_test_file(scratch_ / "dir/version", "Directory Transport Version: 1.1\n");
  const auto loaded = load("", scratch_ / "dir");
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code(), Errc::kUnsupported);
  EXPECT_THAT(loaded.error().message(), HasSubstr("skopeo"));
  EXPECT_THAT(loaded.error().hint(), HasSubstr("skopeo copy dir:" + (scratch_ / "dir") + " oci:"));
  const auto imported = store_.import(
      {.source = {.path = scratch_ / "dir", .name = {}, .platform = {}, .progress = {}}, .changes = {}, .message = {}});
  ASSERT_FALSE(imported.ok());
  EXPECT_THAT(imported.error().hint(), HasSubstr("skopeo copy dir:"));
}

TEST_F(StoreTest, ExtractsIntoEmptyDirectoriesOnly) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "x")});
  const Image image = load_one();
  ASSERT_TRUE(store_.extract(image, scratch_ / "new").ok());
  EXPECT_EQ(*io::read_file(scratch_ / "new/a"), "A");
  EXPECT_EQ(store_.extract(image, scratch_ / "new").error().code(), Errc::kAlreadyExists);
}

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
  std::string text = print_listing("s", {image});
  for (std::size_t at = 0; at < text.size(); at += 7) {
    std::string bent = text;
    bent[at] = static_cast<char>(bent[at] ^ 1);
    EXPECT_FALSE(parse_listing(bent, "s")) << at;
    EXPECT_FALSE(parse_listing(text.substr(0, at), "s")) << at;
  }
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

TEST_F(StoreTest, NotFoundSaysWhatMayBeMeant) {
  layout_.index({LayoutFixture::named(layout_.image({layer("a", "A")}), "busybox:1")});
  load_one();
  EXPECT_THAT(store_.find("busybix").error().hint(), HasSubstr("localhost/busybox:1"));
  EXPECT_EQ(store_.find("UPPER").error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(store_.find("zzzz").error().code(), Errc::kNotFound);
  // Another word, not a slip.
  for (const std::string word : {"box", "busy", "bigbox", "bb"})
    EXPECT_THAT(store_.find(word).error().hint(), Not(HasSubstr("did you mean"))) << word;
  EXPECT_THAT(store_.find("busybox:2").error().hint(), HasSubstr("did you mean localhost/busybox:1"));
}

TEST_F(StoreTest, TooFewDigitsOfAnId) {
  layout_.index({layout_.image({layer("a", "A")})});
  const std::string id(load_one().id.hex());
  for (const std::string& text : {id.substr(0, 3), id.substr(0, 1), "sha256:" + id.substr(0, 3)}) {
    const auto found = store_.find(text);
    ASSERT_FALSE(found.ok()) << text;
    EXPECT_EQ(found.error().code(), Errc::kNotFound) << text;
    EXPECT_THAT(found.error().hint(), HasSubstr("too short: give 4 digits")) << text;
  }
  const char other = id[0] == '0' ? '1' : '0';
  EXPECT_THAT(store_.find(std::string(3, other)).error().hint(), Not(HasSubstr("too short")));
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
