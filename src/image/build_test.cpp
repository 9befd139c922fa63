// Images of directories: what goes in, what is refused, and that the same files are the same image.
#include "image/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "codec/json.h"
#include "image/internal/build_config.h"
#include "image/internal/test_fixture.h"
#include "image/store.h"

namespace cooper::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr std::int64_t kThen = 1'600'000'000;

class BuildTest : public ::testing::Test {
 protected:
  BuildTest() : store_(std::move(*Store::open(scratch_ / "store"))) {
    options_.directory = scratch_ / "tree";
    options_.name = "made:1";
    options_.compression = codec::Compression::kNone;
    file("etc/passwd", "root:x:0:0::/:/bin/sh\n");
  }
  void file(const std::string& path, std::string_view bytes) {
    write_test_file(scratch_ / ("tree/" + path), bytes);
    settle();
  }
  // All files are of one time.
  void settle() { settle(scratch_ / "tree"); }
  static void settle(const std::string& path) {
    const struct timespec times[2] = {{kThen, 5}, {kThen, 5}};
    const auto info = sys::fstatat(sys::kCwd, path);
    ASSERT_TRUE(info.ok());
    if (S_ISDIR(info->st_mode)) {
      const auto dir = sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY);
      const auto names = sys::list_directory(*dir);
      for (const std::string& name : *names) settle(path + "/" + name);
    }
    ASSERT_TRUE(sys::utimensat(sys::kCwd, path, times, AT_SYMLINK_NOFOLLOW).ok());
  }
  Image build() {
    auto image = store_.build(options_);
    EXPECT_TRUE(image.ok()) << (image.ok() ? "" : image.error().message());
    COOPER_ASSERT(image.ok());
    return std::move(*image);
  }
  void fails(Errc code, const std::string& word) {
    const auto image = store_.build(options_);
    ASSERT_FALSE(image.ok());
    EXPECT_EQ(image.error().code(), code) << image.error().message();
    EXPECT_THAT(image.error().message(), HasSubstr(word));
    for (const char* dir : {"store/tmp", "store/blobs/sha256", "store/refs/images"})
      EXPECT_THAT(*sys::list_directory(*sys::openat(sys::kCwd, scratch_ / dir, O_RDONLY)), IsEmpty()) << dir;
  }
  // Names of what an image unpacks to.
  std::vector<std::string> files(const Image& image) {
    const std::string to = scratch_ / ("out" + std::to_string(++extracted_));
    EXPECT_TRUE(store_.extract(image, to).ok());
    std::vector<std::string> out;
    collect(to, "", out);
    return out;
  }
  static void collect(const std::string& path, const std::string& shown, std::vector<std::string>& out) {
    const auto dir = sys::openat(sys::kCwd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!dir.ok()) return;
    auto names = sys::list_directory(*dir);
    std::ranges::sort(*names);
    for (const std::string& name : *names) {
      out.push_back(shown + name);
      collect(path + "/" + name, shown + name + "/", out);
    }
  }

  ScratchDir scratch_;
  Store store_;
  BuildOptions options_;
  int extracted_ = 0;
};

TEST_F(BuildTest, TheSameFilesAreTheSameImage) {
  const Image one = build();
  EXPECT_THAT(one.names, ElementsAre("localhost/made:1"));
  EXPECT_EQ(one.created, "2020-09-13T12:26:40Z");
  file("etc/passwd", "root:x:0:0::/:/bin/sh\n");
  options_.name = "made:2";
  const Image two = build();
  EXPECT_EQ(one.id, two.id);
  EXPECT_EQ(one.manifest_digest, two.manifest_digest);
  EXPECT_THAT(two.given_names, ElementsAre("localhost/made:2"));
  file("etc/passwd", "else");
  EXPECT_NE(build().id, one.id);
  for (const codec::Compression compression : {codec::Compression::kGzip, codec::Compression::kZstd}) {
    options_.compression = compression;
    const Image packed = build();
    EXPECT_EQ(build().layers, packed.layers);
    EXPECT_NE(packed.layers, one.layers);
  }
}

TEST_F(BuildTest, ConfigurationAndManifest) {
  options_.config.entrypoint = std::vector<std::string>{"/init"};
  options_.config.cmd = std::vector<std::string>{"-a"};
  options_.config.env = {"A=1", "A=2"};
  options_.config.user = "7:8";
  options_.config.working_dir = "/w";
  options_.config.stop_signal = "SIGINT";
  options_.config.author = "me";
  options_.config.labels = {{"k", "v"}};
  options_.config.ports = {"80", "53/udp"};
  options_.config.volumes = {"/data"};
  options_.annotations = {{"org.example", "x"}};
  options_.message = "why";
  options_.platform = oci_image::Platform{.architecture = "arm64", .os = "linux", .variant = {}};
  // Built for another machine, it is read by one.
  const Image image = build();
  const auto config = store_.config(image);
  ASSERT_TRUE(config.ok());
  EXPECT_THAT(config->entrypoint, ElementsAre("/init"));
  EXPECT_THAT(config->cmd, ElementsAre("-a"));
  EXPECT_THAT(config->env, ElementsAre("A=2"));
  EXPECT_EQ(config->user + config->working_dir + config->stop_signal + config->author, "7:8/wSIGINTme");
  EXPECT_THAT(config->exposed_ports, UnorderedElementsAre("53/udp", "80/tcp"));
  EXPECT_THAT(config->volumes, ElementsAre("/data"));
  EXPECT_EQ(config->platform.architecture, "arm64");
  ASSERT_EQ(config->history.size(), 1U);
  EXPECT_EQ(config->history[0].comment, "why");
  EXPECT_EQ(store_.manifest(image)->annotations.at("org.example"), "x");
}

TEST_F(BuildTest, OnTopOfAnother) {
  options_.config.env = {"A=1", "B=1"};
  options_.config.entrypoint = std::vector<std::string>{"/init"};
  options_.config.cmd = std::vector<std::string>{"x"};
  const Image base = build();
  options_ = BuildOptions{.directory = scratch_ / "more", .name = "top", .from = "made:1"};
  options_.config.env = {"B=2"};
  write_test_file(scratch_ / "more/etc/group", "root:x:0:\n");
  const Image top = build();
  EXPECT_EQ(top.layers.size(), 2U);
  EXPECT_EQ(top.layers.front(), base.layers.front());
  EXPECT_THAT(files(top), ElementsAre("etc", "etc/group", "etc/passwd"));
  EXPECT_THAT(store_.config(top)->env, ElementsAre("A=1", "B=2"));
  EXPECT_THAT(store_.config(top)->cmd, ElementsAre("x"));
  EXPECT_EQ(store_.config(top)->history.size(), 2U);
  options_.config.entrypoint = std::vector<std::string>{"/other"};
  EXPECT_THAT(store_.config(build())->cmd, IsEmpty());
}

TEST_F(BuildTest, WhatTheBaseSaysBeyondUsStays) {
  oci_image::ImageConfig config;
  config.platform = oci_image::host_platform();
  config.user = "5";
  const auto text = print_over_base(
      config,
      R"({"os.version":"1","architecture":"x","config":{"User":"9","Healthcheck":{"Test":["NONE"]},"Cmd":["x"]}})");
  ASSERT_TRUE(text.ok());
  const auto document = codec::json::Document::parse(*text, "x");
  const codec::json::Cursor root(document->root(), "x");
  EXPECT_EQ(*root.require("os.version")->string(), "1");
  const auto section = root.require("config");
  EXPECT_EQ(*section->require("User")->string(), "5");
  EXPECT_TRUE(section->get("Healthcheck"));
  EXPECT_FALSE(section->get("Cmd"));
}

TEST_F(BuildTest, WhatIsLeftOut) {
  file("a.o", "");
  file("src/b.o", "");
  file("src/keep/c.o", "");
  file("src/other/d", "");
  file(".cooperignore", "*.o\nsrc\n!src/keep\n");
  EXPECT_THAT(files(build()), ElementsAre("etc", "etc/passwd", "src", "src/keep", "src/keep/c.o"));
  options_.excludes = {"etc/pass*", "src"};
  EXPECT_THAT(files(build()), ElementsAre("etc"));
  write_test_file(scratch_ / "other", "etc\n");
  options_.excludes = {};
  options_.ignore_file = scratch_ / "other";
  EXPECT_THAT(files(build()), ElementsAre(".cooperignore", "a.o", "src", "src/b.o", "src/keep", "src/keep/c.o",
                                          "src/other", "src/other/d"));
}

TEST_F(BuildTest, NothingIsNewerThanTheImage) {
  options_.created_s = kThen - 10;
  const Image image = build();
  EXPECT_EQ(image.created, "2020-09-13T12:26:30Z");
  ASSERT_TRUE(store_.extract(image, scratch_ / "unpacked").ok());
  EXPECT_EQ(sys::fstatat(sys::kCwd, scratch_ / "unpacked/etc/passwd")->st_mtim.tv_sec, kThen - 10);
  EXPECT_EQ(sys::fstatat(sys::kCwd, scratch_ / "unpacked/etc/passwd")->st_mtim.tv_nsec, 0);
}

TEST_F(BuildTest, WhatIsNoDirectoryForAnImage) {
  file(".wh.x", "");
  fails(Errc::kUnsupported, "'.wh.x': its name would be read");
  options_.excludes = {".wh.*", "etc"};
  fails(Errc::kInvalidArgument, "holds no files");
  options_.directory = scratch_ / "none";
  fails(Errc::kNotFound, "none");
  options_.directory = scratch_ / "tree/etc/passwd";
  fails(Errc::kInvalidArgument, "passwd");
}

TEST_F(BuildTest, TheIgnoreFileIsAFile) {
  ASSERT_TRUE(sys::symlinkat("/etc/passwd", sys::kCwd, scratch_ / "tree/.cooperignore").ok());
  fails(Errc::kInvalidArgument, "is not a regular file");
  ASSERT_TRUE(sys::unlinkat(sys::kCwd, scratch_ / "tree/.cooperignore").ok());
  file(".cooperignore", "x\n[\n");
  fails(Errc::kInvalidArgument, "'.cooperignore': line 2");
}

TEST_F(BuildTest, WhatChangesMeanwhile) {
  file("large", std::string(std::size_t{1} << 20, 'x'));
  bool changed = false;
  options_.progress = [&](std::string_view, std::uint64_t done, std::uint64_t) {
    if (!changed && done > 300'000) write_test_file(scratch_ / "tree/large", "else");
    changed = changed || done > 300'000;
  };
  fails(Errc::kBusy, "it changed while it was read");
  options_.cancelled = [] { return true; };
  fails(Errc::kCancelled, "interrupted");
}

TEST(BuildConfigTest, WhatIsRefused) {
  oci_image::ImageConfig config;
  const auto code = [&](const BuildConfig& changes) { return apply_config(changes, config).error().code(); };
  EXPECT_EQ(code({.env = {"A"}}), Errc::kInvalidArgument);
  EXPECT_EQ(code({.working_dir = "w"}), Errc::kInvalidArgument);
  EXPECT_EQ(code({.stop_signal = "SIGX"}), Errc::kInvalidArgument);
  EXPECT_EQ(code({.ports = {"0"}}), Errc::kInvalidArgument);
  EXPECT_EQ(code({.volumes = {"data"}}), Errc::kInvalidArgument);
  EXPECT_EQ(*rfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(*rfc3339(253'402'300'799), "9999-12-31T23:59:59Z");
  EXPECT_FALSE(rfc3339(-1).ok());
  EXPECT_FALSE(rfc3339(253'402'300'800).ok());
}

}  // namespace
}  // namespace cooper::image
