#include "cli/cooper/image_progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "base/strings.h"
#include "cli/cooper/progress_display.h"

namespace cooper::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Where = LayerLines::Where;
using Item = fetch::TransferProgress;
using State = Item::State;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

Item running(std::uint64_t done_bytes, std::uint64_t total_bytes, const std::string& name = "0123456789ab") {
  return {.digest = name, .state = State::kRunning, .done_bytes = done_bytes, .total_bytes = total_bytes};
}

// The lines of a frame, without what moves the cursor.
std::vector<std::string> drawn(const std::string& frame) {
  std::vector<std::string> out;
  for (std::size_t at = frame.find('\r'); at != std::string::npos; at = frame.find('\r', at + 1))
    out.push_back(frame.substr(at + 1, frame.find('\x1b', at) - at - 1));
  return out;
}

std::string one_line(LayerLines& lines, const Item& item, std::int64_t now_ms, unsigned columns) {
  return drawn(lines.work(std::array{item}, now_ms, 24, columns)).at(0);
}

TEST(ProgressLayout, HasABarRateAndTimeLeft) {
  LayerLines lines(Where::kTerminal);
  EXPECT_EQ(one_line(lines, running(0, 100 * kMiB), 1000, 80),
            "0123456789ab  [>                    ]    0% of 100.0 MiB");
  EXPECT_EQ(one_line(lines, running(50 * kMiB, 100 * kMiB), 3000, 80),
            "0123456789ab  [==========>          ]   50% of 100.0 MiB  25.0 MiB/s  3 s left");
  const std::string done =
      one_line(lines, {.digest = "0123456789ab", .state = State::kDone, .total_bytes = 7}, 4000, 80);
  EXPECT_EQ(done, "0123456789ab  complete, 7 B");
}

TEST(ProgressLayout, TheRateIsThatOfTheLastSeconds) {
  LayerLines lines(Where::kTerminal);
  (void)one_line(lines, running(0, 1000 * kMiB), 1000, 80);
  EXPECT_THAT(one_line(lines, running(100 * kMiB, 1000 * kMiB), 2000, 80), HasSubstr("100.0 MiB/s"));
  for (std::int64_t now = 3000; now <= 30'000; now += 1000)
    (void)one_line(lines, running(100 * kMiB + static_cast<std::uint64_t>(now) * 1024, 1000 * kMiB), now, 80);
  EXPECT_THAT(one_line(lines, running(131 * kMiB, 1000 * kMiB), 30'000, 80), Not(HasSubstr("0 MiB/s")));
}

TEST(ProgressLayout, NoLineIsLongerThanTheWindow) {
  const std::vector<State> states = {State::kWaiting, State::kRunning, State::kPausing,
                                     State::kDone,    State::kPresent, State::kFailed};
  for (unsigned columns = 20; columns < 140; ++columns) {
    LayerLines lines(Where::kTerminal);
    for (const State state : states) {
      Item item = running(0, 123 * kMiB, "docker.io/library/some/long/name:latest");
      item.state = state;
      item.note = "the server said something that is rather long, and in many words";
      EXPECT_LT(one_line(lines, item, 1, columns).size(), columns);
      item.done_bytes = 60 * kMiB;
      EXPECT_LT(one_line(lines, item, 2000, columns).size(), columns);
    }
  }
}

TEST(ProgressLayout, NarrowWindowsKeepThePercentage) {
  LayerLines lines(Where::kTerminal);
  (void)one_line(lines, running(0, 100 * kMiB), 1, 80);
  const std::string text = one_line(lines, running(50 * kMiB, 100 * kMiB), 2000, 24);
  EXPECT_THAT(text, HasSubstr("50%"));
  EXPECT_THAT(text, Not(HasSubstr("...")));
}

TEST(ProgressLayout, LinesThatANarrowerWindowHasBrokenAreGoneOver) {
  LayerLines lines(Where::kTerminal);
  (void)lines.work(std::array{running(kMiB, 100 * kMiB)}, 1, 24, 80);
  EXPECT_EQ(lines.work(std::array{running(kMiB, 100 * kMiB)}, 2, 24, 30).substr(0, 4), "\x1b[2A");
  EXPECT_EQ(lines.work(std::array{running(kMiB, 100 * kMiB)}, 3, 24, 80).substr(0, 4), "\x1b[1A");
  EXPECT_EQ(lines.clear(80), "\x1b[1A\r\x1b[J");
  EXPECT_EQ(lines.clear(80), "");
}

TEST(ProgressLayout, OfManyLayersThoseAtWorkAndHowManyOthers) {
  LayerLines lines(Where::kTerminal);
  std::vector<Item> items(40, running(0, kMiB));
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].digest = std::to_string(i);
    items[i].state = i < 10 ? State::kDone : i < 13 ? State::kRunning : State::kWaiting;
  }
  const auto shown = drawn(lines.work(items, 1, 24, 80));
  ASSERT_EQ(shown.size(), 4U);
  EXPECT_EQ(shown.back(), "10 of 40 complete");
}

TEST(ProgressLayout, PlainLinesComeOnlyOfWhatTakesLong) {
  LayerLines lines(Where::kLines);
  std::string all;
  for (std::int64_t now = 1000; now <= 12'000; now += 100)
    all += lines.work(std::array{running(static_cast<std::uint64_t>(now) * 1024, 100 * kMiB)}, now, 24, 80);
  EXPECT_EQ(all,
            "0123456789ab  5% of 100.0 MiB  1000.0 KiB/s  1 min 37 s left\n"
            "0123456789ab  10% of 100.0 MiB  1000.0 KiB/s  1 min 32 s left\n");
  EXPECT_EQ(lines.work(std::array{running(kMiB, kMiB)}, 12'100, 24, 80), "");
  LayerLines none(Where::kNowhere);
  EXPECT_EQ(none.work(std::array{running(kMiB, kMiB)}, 100'000, 24, 80), "");
}

TEST(ProgressPlace, DumbTerminalsGetLines) {
  EXPECT_EQ(LayerLines::place(false, true, "xterm"), Where::kTerminal);
  EXPECT_EQ(LayerLines::place(false, true, nullptr), Where::kTerminal);
  EXPECT_EQ(LayerLines::place(false, true, "dumb"), Where::kLines);
  EXPECT_EQ(LayerLines::place(false, false, "xterm"), Where::kLines);
  EXPECT_EQ(LayerLines::place(true, true, "xterm"), Where::kNowhere);
}

TEST(WorkItems, FollowEachOther) {
  WorkItems work;
  work.update("reading", 10, 0);
  work.update("one", 0, 100);
  work.update("two", 0, 100);
  EXPECT_EQ(work.items()[1].state, State::kWaiting);
  EXPECT_TRUE(work.update("one", 50, 100));
  EXPECT_FALSE(work.update("one", 60, 100));
  ASSERT_EQ(work.items().size(), 3U);
  EXPECT_EQ(work.items()[0].state, State::kDone);
  EXPECT_EQ(work.items()[1].state, State::kRunning);
  EXPECT_EQ(work.items()[2].state, State::kWaiting);
  work.update("one", 100, 100);
  EXPECT_EQ(work.items()[1].state, State::kDone);
}

}  // namespace
}  // namespace cooper::cli
