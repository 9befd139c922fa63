#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "image/internal/plan.h"
#include "image/internal/store_fixture.h"

namespace cooper::image {
namespace {

using codec::tar::TarFixture;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
  for (const std::string change : {"FROM x", "CMD", "EXPOSE x", "EXPOSE 3-2", "EXPOSE 0-2", "EXPOSE 1-2-3", "EXPOSE 1-",
                                   "WORKDIR rel", "ENV A", "LABEL \"x=y", "CMD [1]"}) {
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

TEST_F(StoreTest, DirectoriesOfSkopeoAreImages) {
  write_test_file(scratch_ / "dir/manifest.json", "{}");
  write_test_file(scratch_ / "dir/version", "Directory Transport Version: 1.1\n");
  const auto loaded = load("", scratch_ / "dir");
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code(), Errc::kInvalidArgument) << loaded.error().message();
  EXPECT_THAT(loaded.error().message(), HasSubstr("manifest sha256:"));
  const auto imported = store_.import(
      {.source = {.path = scratch_ / "dir", .name = {}, .platform = {}, .progress = {}}, .changes = {}, .message = {}});
  ASSERT_FALSE(imported.ok());
  EXPECT_THAT(imported.error().hint(), HasSubstr("cooper image load"));
}

}  // namespace
}  // namespace cooper::image
