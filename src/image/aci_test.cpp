#include "image/internal/aci.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>
#include <utility>

#include "codec/internal/tar_fixture.h"
#include "image/internal/aci_export.h"
#include "image/internal/build_config.h"
#include "image/internal/test_fixture.h"
#include "image/save.h"
#include "spec/appc/names.h"
#include "spec/appc/parse.h"
#include "spec/appc/print.h"
#include "spec/oci_image/print.h"

namespace cooper::image {
namespace {

using codec::tar::EntryType;
using codec::tar::TarFixture;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

OpenTar memory(const std::string& bytes) {
  return [&bytes]() -> Result<std::unique_ptr<codec::BlockSource>> {
    return std::unique_ptr<codec::BlockSource>(std::make_unique<codec::MemoryBlocks>(bytes));
  };
}

// "path", "path -> target" for each member of a layer.
std::vector<std::string> members(const std::string& bytes) {
  codec::MemoryBlocks blocks(bytes);
  codec::tar::Reader reader(blocks);
  std::vector<std::string> out;
  codec::tar::Entry entry;
  while (true) {
    const auto more = reader.next(entry);
    COOPER_ASSERT(more.ok());
    if (!*more) return out;
    out.push_back(entry.link_target.empty() ? entry.path : entry.path + " -> " + entry.link_target);
  }
}

std::string failure(const std::string& tar) {
  const auto manifest = read_aci_manifest(memory(tar));
  return manifest.ok() ? "accepted" : manifest.error().message();
}

TEST(Aci, OnlyManifestAndRootfs) {
  const auto good = TarFixture().file("./manifest", "{}").directory("./rootfs").file("./rootfs/a", "x").finish();
  EXPECT_EQ(*read_aci_manifest(memory(good)), "{}");
  EXPECT_THAT(failure(TarFixture().file("manifest", "{}").finish()), HasSubstr("no rootfs"));
  EXPECT_THAT(failure(TarFixture().directory("rootfs").finish()), HasSubstr("no manifest"));
  EXPECT_THAT(failure(TarFixture().file("manifest", "").file("rootfsx", "").finish()), HasSubstr("nothing but"));
  EXPECT_THAT(failure(TarFixture().file("manifest", "").file("x/../manifest", "").finish()), HasSubstr("twice"));
  EXPECT_THAT(failure(TarFixture().symlink("manifest", "rootfs/a").finish()), HasSubstr("no plain file"));
  EXPECT_THAT(failure(TarFixture().file("rootfs/.wh.x", "").finish()), HasSubstr(".wh."));
  EXPECT_THAT(failure(TarFixture().file("rootfs/a/.wh.x/f", "").finish()), HasSubstr(".wh."));
  EXPECT_THAT(failure(TarFixture().hard_link("rootfs/x", "manifest").finish()), HasSubstr("leads out"));
  EXPECT_THAT(failure(TarFixture().file("../x", "").finish()), HasSubstr("../x"));
  EXPECT_THAT(failure(TarFixture().file("manifest", "{}").directory("rootfs").bytes()), HasSubstr("truncated"));
}

TEST(Aci, FilesBecomeALayer) {
  const auto tar = TarFixture()
                       .file("manifest", "{}")
                       .directory("rootfs/")
                       .directory("rootfs/etc")
                       .file("rootfs/etc/a", "data")
                       .hard_link("rootfs/b", "rootfs/etc/a")
                       .symlink("rootfs/c", "/etc/a")
                       .finish();
  codec::MemorySink sink;
  ASSERT_TRUE(write_layer(memory(tar), TarKind::kAci, PathFilter(), sink).ok());
  EXPECT_THAT(members(sink.text()), ElementsAre("./", "etc/", "etc/a", "b -> etc/a", "c -> /etc/a"));
}

TEST(Aci, AWhitelistLeavesTheRestOut) {
  const auto tar = TarFixture()
                       .directory("usr")
                       .directory("usr/lib")
                       .directory("var")
                       .file("usr/lib/gone", "data")
                       .hard_link("usr/also-gone", "usr/lib/gone")
                       .hard_link("usr/first", "usr/also-gone")
                       .hard_link("usr/second", "usr/lib/gone")
                       .file("usr/lib/kept", "x")
                       .finish();
  codec::MemorySink sink;
  const PathFilter filter({"/usr/first", "/usr/second", "/usr/lib/kept", "/opt/"});
  ASSERT_TRUE(write_layer(memory(tar), TarKind::kLayer, filter, sink).ok());
  EXPECT_THAT(members(sink.text()),
              ElementsAre("usr/", "usr/lib/", "usr/first", "usr/second -> usr/first", "usr/lib/kept"));
  EXPECT_TRUE(filter.keeps("opt", EntryType::kDirectory));
  EXPECT_FALSE(filter.keeps("opt/x", EntryType::kFile));
  EXPECT_FALSE(filter.keeps("usr/lib", EntryType::kFile));
  EXPECT_TRUE(PathFilter().keeps("anything", EntryType::kFile));
}

TEST(Aci, AWhitelistKeepsLinksToLinks) {
  const auto tar = TarFixture()
                       .symlink("gone", "/target")
                       .hard_link("kept", "gone")
                       .hard_link("elsewhere", "of-another-layer")
                       .finish();
  codec::MemorySink sink;
  ASSERT_TRUE(write_layer(memory(tar), TarKind::kLayer, PathFilter({"/kept", "/elsewhere"}), sink).ok());
  // What is not in this archive is not left out here: who unpacks says that it is missing.
  EXPECT_THAT(members(sink.text()), ElementsAre("kept -> /target", "elsewhere -> of-another-layer"));
}

TEST(Aci, OwnersAreThoseOfTheFinishedRoot) {
  const auto below = TarFixture().add({.path = "a", .uid = 1}).add({.path = "b", .uid = 2, .gid = 3}).finish();
  const auto above = TarFixture().add({.path = "a", .uid = 4}).hard_link("b", "a").finish();
  const std::vector<OpenTar> layers = {memory(below), memory(above)};
  EXPECT_EQ((*owner_in(layers, "a"))->uid, 4U);
  EXPECT_EQ((*owner_in(layers, "b"))->uid, 4U);  // the file that it is a link to, not the one that was there before
  EXPECT_EQ((*owner_in(layers, "b"))->gid, 0U);
  EXPECT_FALSE(*owner_in(layers, "c"));
}

TEST(Aci, OwnersAreFoundThroughLinks) {
  const auto tar = TarFixture()
                       .add({.path = "usr/bin/a", .uid = 5})
                       .symlink("bin", "usr/bin")
                       .symlink("up", "../../../bin/a")
                       .symlink("abs", "/bin/../bin/a")
                       .symlink("circle", "circle")
                       .finish();
  const std::vector<OpenTar> layers = {memory(tar)};
  for (const char* path : {"bin/a", "up", "abs"}) EXPECT_EQ((*owner_in(layers, path))->uid, 5U) << path;
  EXPECT_FALSE(*owner_in(layers, "circle"));
  EXPECT_FALSE(*owner_in(layers, "up/x"));
}

appc::ImageManifest named(const std::string& name, const std::string& version) {
  appc::ImageManifest manifest;
  manifest.ac_version = "0.8.11";
  manifest.name = name;
  if (!version.empty()) manifest.labels = {{"version", version}};
  return manifest;
}

TEST(Aci, NamesBecomeReferences) {
  EXPECT_EQ(*reference_of(named("example.com/app", "1.0")), "example.com/app:1.0");
  EXPECT_EQ(*reference_of(named("example.com/a~b", "1.0+git")), "example.com/a_b:1.0_git");
  EXPECT_EQ(*reference_of(named("app", "")), "localhost/app:latest");
  EXPECT_EQ(*reference_of(named("a_b.c/app", "-1")), "localhost/a_b.c/app:_1");
  EXPECT_FALSE(reference_of(named("a/" + std::string(300, 'x'), "")).ok());
}

TEST(Aci, NamesComeBackFromTheirNote) {
  const auto noted = [](const std::string& name, const std::string& version, const std::string& note) {
    auto manifest = named(name, version);
    manifest.annotations = {{"appc.io/docker/originalname", note}};
    return *reference_of(manifest);
  };
  EXPECT_EQ(noted("localhost-5000/a_b/app", "1", "localhost:5000/a__b/app:1"), "localhost:5000/a__b/app:1");
  EXPECT_EQ(noted("q.io-443/app", "", "q.io:443/app"), "q.io:443/app:latest");
  // Another image's name, another version, no name at all.
  EXPECT_EQ(noted("q.io/mine", "1", "docker.io/library/busybox:1"), "q.io/mine:1");
  EXPECT_EQ(noted("localhost-5000/app", "1", "localhost:5000/app:2"), "localhost/localhost-5000/app:1");
  EXPECT_EQ(noted("localhost-5000/app", "1", ":"), "localhost/localhost-5000/app:1");
}

oci_image::ImageConfig sample_config() {
  oci_image::ImageConfig config;
  config.created = "2024-01-02T03:04:05Z";
  config.author = "me";
  config.platform = {"arm", "linux", "v7"};
  config.user = "7:8";
  config.env = {"A=1", "B=x=y", "A=2"};
  config.entrypoint = {"/run", "--it"};
  config.cmd = {"now"};
  config.working_dir = "/srv";
  config.stop_signal = "SIGQUIT";
  config.exposed_ports = {"80/tcp", "53/udp"};
  config.volumes = {"/var/lib/data"};
  config.labels = {{"Some Label", "x"}};
  return config;
}

TEST(Aci, ConfigurationsGoThereAndBack) {
  const Image image{.id = codec::digest_of("id"), .manifest_digest = codec::digest_of("manifest")};
  const ResolvedUser user{7, 8, {8, 9}, "/"};
  const auto manifest = aci_manifest_of(image, sample_config(), "localhost:5000/Team__x/app:1.2", user);
  EXPECT_EQ(manifest.name, "image-" + std::string(image.id.hex().substr(0, 12)));
  const auto good = aci_manifest_of(image, sample_config(), "localhost:5000/team__x/app:1.2", user);
  EXPECT_EQ(good.name, "localhost-5000/team_x/app");
  EXPECT_EQ(appc::print_image_name("n", good.labels), "n:1.2,os=linux,arch=armv7l");
  ASSERT_TRUE(good.app);
  EXPECT_EQ(good.app->exec, (std::vector<std::string>{"/run", "--it", "now"}));
  EXPECT_EQ(good.app->supplementary_gids, std::vector<std::uint32_t>{9});
  EXPECT_EQ(good.app->mount_points.at(0).name, "volume-var-lib-data");
  EXPECT_EQ(good.app->ports.at(1).name, "53-udp");
  const auto parsed = appc::parse_image_manifest(appc::print(good), "manifest");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  const auto back = config_of(*parsed, "7:8");
  const auto before = sample_config();
  EXPECT_EQ(back.created, before.created);
  EXPECT_EQ(back.platform, before.platform);
  EXPECT_EQ(back.entrypoint, before.entrypoint);
  EXPECT_EQ(back.cmd, before.cmd);
  EXPECT_EQ(back.working_dir, before.working_dir);
  EXPECT_EQ(back.stop_signal, before.stop_signal);
  EXPECT_EQ(back.exposed_ports, before.exposed_ports);
  EXPECT_EQ(back.volumes, before.volumes);
  EXPECT_EQ(back.labels, before.labels);
  EXPECT_EQ(back.env, (std::vector<std::string>{"B=x=y", "A=2"}));
}

TEST(Aci, WhatItHasNoWordsForComesBackFromNotes) {
  const Image image{.id = codec::digest_of("id"), .manifest_digest = codec::digest_of("manifest")};
  oci_image::ImageConfig config = sample_config();
  config.exposed_ports = {"8000-8010/tcp", "53/udp"};
  config.platform.variant = "v6";
  config.history = {{.created = {}, .created_by = "RUN x", .comment = {}},
                    {.created = {}, .created_by = "CMD", .comment = {}, .empty_layer = true}};
  std::string bytes = oci_image::print(config);
  bytes.insert(bytes.find("\"config\":{") + 10, R"("Healthcheck":{"Test":["NONE"]},"Shell":["/bin/x"],)");
  auto manifest = aci_manifest_of(image, config, "", {});
  EXPECT_EQ(manifest.app->ports.at(0).count, 11);
  add_notes(bytes, {{"some.note", "x"}}, manifest);
  const auto parsed = appc::parse_image_manifest(appc::print(manifest), "manifest");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  const Noted noted = read_notes(*parsed);
  EXPECT_EQ(noted.annotations, (std::map<std::string, std::string>{{"some.note", "x"}}));
  auto back = config_of(*parsed, "7:8");
  EXPECT_EQ(back.exposed_ports.size(), 12U);
  apply_notes(noted, *parsed, back);
  EXPECT_EQ(back.exposed_ports, config.exposed_ports);
  EXPECT_EQ(back.platform, config.platform);
  ASSERT_EQ(back.history.size(), 2U);
  EXPECT_TRUE(back.history[0].empty_layer);
  EXPECT_EQ(back.history[0].created_by, "RUN x");
  const auto text = print_over_base(back, noted.config_bytes);
  ASSERT_TRUE(text.ok());
  EXPECT_THAT(*text, HasSubstr(R"("Healthcheck":{"Test":["NONE"]})"));
  EXPECT_THAT(*text, HasSubstr(R"("Shell":["/bin/x"])"));
  // A manifest that was changed afterwards counts.
  manifest.app->ports.pop_back();
  auto changed = config_of(manifest, "7:8");
  apply_notes(noted, manifest, changed);
  EXPECT_EQ(changed.exposed_ports.size(), 11U);
}

TEST(Aci, ALoneCommandStaysOne) {
  const Image image{.id = codec::digest_of("id"), .manifest_digest = codec::digest_of("manifest")};
  oci_image::ImageConfig config;
  config.cmd = {"sh"};
  auto manifest = aci_manifest_of(image, config, "", {});
  EXPECT_EQ(manifest.app->user, "0");
  EXPECT_EQ(config_of(manifest, "").cmd, config.cmd);
  EXPECT_THAT(config_of(manifest, "").entrypoint, IsEmpty());
  // A command that was changed afterwards is all entrypoint.
  manifest.app->exec = {"other"};
  EXPECT_EQ(config_of(manifest, "").entrypoint, manifest.app->exec);
}

class AciStore : public ::testing::Test {
 protected:
  AciStore() : store_(std::move(*Store::open(scratch_ / "store"))) {}

  Result<Image> load(const std::string& name, const std::vector<std::string>& dependencies, LoadOptions options = {}) {
    appc::ImageManifest manifest = named(name, "1");
    for (const std::string& one : dependencies) manifest.dependencies.push_back({one, "", {}, {}});
    codec::tar::FixtureEntry file{.path = "rootfs/" + name, .data = name, .uid = ::geteuid(), .gid = ::getegid()};
    options.path = scratch_ / (name + ".aci");
    write_test_file(options.path, TarFixture().file("manifest", appc::print(manifest)).add(file).finish());
    ASSIGN_OR_RETURN(auto images, store_.load(options));
    return std::move(images.front());
  }
  // Loads what it is asked for, which needs the names in `needs_`.
  LoadOptions supplied(std::vector<appc::ImageName> needed_by = {}) {
    LoadOptions options;
    options.needed_by = std::move(needed_by);
    options.supply = [this](const appc::Dependency& dependency,
                            const std::vector<appc::ImageName>& chain) -> Result<bool> {
      asked_.push_back(dependency.image_name);
      const auto found = needs_.find(dependency.image_name);
      if (found == needs_.end()) return false;
      ASSIGN_OR_RETURN([[maybe_unused]] const Image image, load(found->first, found->second, supplied(chain)));
      return true;
    };
    return options;
  }

  ScratchDir scratch_;
  Store store_;
  std::map<std::string, std::vector<std::string>> needs_;
  std::vector<std::string> asked_;
};

TEST_F(AciStore, DependenciesAreAskedFor) {
  needs_ = {{"b", {"c"}}, {"c", {}}};
  const auto image = load("a", {"b", "c"}, supplied());
  ASSERT_TRUE(image.ok()) << image.error().message();
  EXPECT_THAT(asked_, ElementsAre("b", "c"));
  EXPECT_EQ(image->layers.size(), 4U);
  EXPECT_EQ(image->id.algorithm(), "sha512");
  EXPECT_EQ(store_.list()->size(), 3U);
  EXPECT_EQ(store_.find("a:1")->aci->dependencies.size(), 2U);
}

// Whoever may write to a file that is loaded must not put other bytes under the id of what was read.
TEST_F(AciStore, AFileThatIsChangedWhenItWasReadIsStoredAsItWas) {
  bool changed = false;
  LoadOptions options;
  options.progress = [&](std::string_view what, std::uint64_t done, std::uint64_t size) {
    if (what != "checking" || done != size || std::exchange(changed, true)) return;
    const auto file = sys::openat(sys::kCwd, scratch_ / "a.aci", O_WRONLY);
    // The data of the last member, before the end mark.
    COOPER_ASSERT(file.ok() && sys::pwrite_all(*file, "X", static_cast<off_t>(size) - 1024 - 512).ok());
  };
  const auto image = load("a", {}, options);
  ASSERT_TRUE(image.ok()) << image.error().message();
  ASSERT_TRUE(changed);
  const auto blob = io::read_file(scratch_ / "store/blobs/sha512/" + std::string(image->id.hex()), 1 << 20);
  EXPECT_EQ(codec::digest_of(*blob, codec::Hasher::Algorithm::kSha512), image->id);
  EXPECT_EQ(*io::read_file(store_.acquire_tree(*image, "pod")->rootfs + "/a"), "a");
}

TEST_F(AciStore, CirclesAndGapsAreNamed) {
  needs_ = {{"b", {"c"}}, {"c", {"a"}}};
  const auto circle = load("a", {"b"}, supplied());
  ASSERT_FALSE(circle.ok());
  EXPECT_THAT(circle.error().message(), HasSubstr("a -> b -> c -> a"));
  const auto gap = load("x", {"y"}, supplied());
  ASSERT_FALSE(gap.ok());
  EXPECT_EQ(gap.error().code(), Errc::kNotFound);
  EXPECT_THAT(gap.error().message(), HasSubstr("needs image 'y', which is not in the store"));
  EXPECT_THAT(*store_.list(), IsEmpty());
  EXPECT_EQ(store_.gc({})->freed_bytes, 0U);
}

TEST_F(AciStore, AnArchiveOfTheStoreComesOutAsItWas) {
  const auto image = load("a", {});
  ASSERT_TRUE(image.ok()) << image.error().message();
  SaveOptions options{.references = {"a:1"}, .transport = Transport::kAci, .path = scratch_ / "out.aci"};
  ASSERT_TRUE(store_.save(options).ok());
  EXPECT_EQ(*io::read_file(scratch_ / "out.aci", 1 << 20), *io::read_file(scratch_ / "a.aci", 1 << 20));
}

}  // namespace
}  // namespace cooper::image
