#include "cli/cooper/push.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>

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
  for (const char* text : {"docker-daemon:x:1", "containers-storage:x", "ftp://x/y", "", "Bad Name", "./x"}) {
    EXPECT_FALSE(push_destination(text).ok()) << text;
  }
  EXPECT_THAT(push_destination("docker-daemon:x:1").error().hint(), HasSubstr("docker load"));
  EXPECT_THAT(push_destination("./out").error().hint(), HasSubstr("oci:./out"));
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

TEST(PullProgress, WhatWasGoneOnWithIsSaidOnceHoweverFastTheRestCame) {
  using State = fetch::TransferProgress::State;
  constexpr const char* kGoingOn = "0123456789ab  going on after 1.00 KiB of 2.00 KiB\n";
  constexpr const char* kComplete = "0123456789ab  complete, 2.00 KiB\n";
  LayerLines slow(LayerLines::Where::kLines);
  std::array<fetch::TransferProgress, 1> blobs = {
      {{.digest = "sha256:0123456789abcdef", .had_bytes = 1024, .done_bytes = 1024, .total_bytes = 2048}}};
  EXPECT_EQ(slow.update(blobs, 1, 24, 80), "");
  blobs[0].state = State::kRunning;
  EXPECT_EQ(slow.update(blobs, 2, 24, 80), kGoingOn);
  blobs[0].state = State::kDone;
  EXPECT_EQ(slow.update(blobs, 3, 24, 80), kComplete);
  LayerLines fast(LayerLines::Where::kLines);
  EXPECT_EQ(fast.update(blobs, 1, 24, 80), std::string(kGoingOn) + kComplete);
}

TEST(Progress, WindowsThatDoNotKnowTheirSize) {
  const auto window = [](unsigned rows, unsigned columns, const char* variable) {
    const io::WindowSize size =
        window_to_draw(io::WindowSize{static_cast<std::uint16_t>(rows), static_cast<std::uint16_t>(columns)}, variable);
    return std::pair<unsigned, unsigned>(size.rows, size.columns);
  };
  EXPECT_EQ(window(50, 132, "200"), std::pair(50U, 132U));
  EXPECT_EQ(window(0, 0, nullptr), std::pair(24U, 80U));
  EXPECT_EQ(window(0, 0, "200"), std::pair(24U, 200U));
  for (const char* variable : {"", "0", "wide", "100000"}) EXPECT_EQ(window(30, 0, variable), std::pair(30U, 80U));
  const io::WindowSize none = window_to_draw(Error(Errc::kSystem, "no terminal"), nullptr);
  EXPECT_EQ(none.columns, 80U);
}

}  // namespace
}  // namespace cooper::cli
