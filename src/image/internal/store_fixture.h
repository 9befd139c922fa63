// For the tests of this room: a store, and a layout of images to load into it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "codec/internal/tar_fixture.h"
#include "image/internal/test_fixture.h"
#include "image/store.h"

namespace cooper::image {

inline std::string layer(const std::string& path, const std::string& data) {
  return codec::tar::TarFixture().add({.path = path, .data = data, .uid = ::geteuid(), .gid = ::getegid()}).finish();
}

// Two layers of the same bytes, one stored as a link to the other.
inline std::string docker_archive(const std::string& layer_bytes, bool old_style) {
  oci_image::ImageConfig config;
  config.platform = oci_image::host_platform();
  config.diff_ids = {codec::digest_of(layer_bytes), codec::digest_of(layer_bytes)};
  const std::string bytes = oci_image::print(config);
  const std::string config_name = std::string(codec::digest_of(bytes).hex()) + ".json";
  codec::tar::TarFixture tar;
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
    EXPECT_THAT(images.error().message(), ::testing::HasSubstr(word));
    EXPECT_THAT(leftovers(), ::testing::IsEmpty());
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

}  // namespace cooper::image
