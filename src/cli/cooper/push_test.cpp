#include "cli/cooper/push.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "cli/cooper/image_progress.h"

namespace cooper::cli {
namespace {

using ::testing::HasSubstr;

TEST(PushDestination, IsANameInARegistry) {
  EXPECT_EQ(push_destination("r.example:5000/a/b:1")->str(), "r.example:5000/a/b:1");
  EXPECT_EQ(push_destination("docker://r.example/a")->name(), "r.example/a:latest");
  EXPECT_EQ(push_destination("team/app:1")->str(), "docker.io/team/app:1");
  EXPECT_EQ(push_destination("oci/app:1")->str(), "docker.io/oci/app:1");
}

TEST(PushDestination, IsNoOtherPlace) {
  for (const char* text : {"oci:dir:name", "oci-archive:x.tar", "docker-archive:x.tar", "dir:x", "docker-daemon:x:1",
                           "containers-storage:x", "ftp://x/y", "", "Bad Name"}) {
    EXPECT_FALSE(push_destination(text).ok()) << text;
  }
  EXPECT_THAT(push_destination("docker-archive:x.tar").error().hint(), HasSubstr("REGISTRY/NAME"));
}

TEST(PushProgress, WhatIsThereIsSaidOnce) {
  LayerLines lines(LayerLines::Where::kLines);
  using State = fetch::TransferProgress::State;
  const std::array<fetch::TransferProgress, 2> blobs = {
      {{.digest = "sha256:0123456789abcdef", .state = State::kPresent, .total_bytes = 1024},
       {.digest = "sha256:fedcba9876543210", .state = State::kRunning, .done_bytes = 1, .total_bytes = 1024}}};
  EXPECT_EQ(lines.update(blobs, 1, 24, 80), "0123456789ab  is there already, 1.00 KiB\n");
  EXPECT_EQ(lines.update(blobs, 2, 24, 80), "");
}

}  // namespace
}  // namespace cooper::cli
