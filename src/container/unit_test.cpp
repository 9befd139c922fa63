#include "container/unit.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "sys/process.h"

namespace cooper::container {
namespace {

std::size_t open_descriptors(pid_t pid) {
  std::size_t out = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd"))
    ++out;
  return out;
}

TEST(Holder, HoldsNothingOfItsParentAndEndsOnce) {
  std::unique_ptr<Holder> holder;
  {
    auto created = Holder::create();
    ASSERT_TRUE(created.ok()) << created.error().message();
    // What is left of the one in `created` waits for nobody.
    holder = std::make_unique<Holder>(std::move(*created));
  }
  const pid_t pid = holder->pid();
  ASSERT_GT(pid, 0);
  for (int i = 0; i < 1000 && open_descriptors(pid) != 0; ++i) ::usleep(1000);
  EXPECT_EQ(open_descriptors(pid), 0U);
  // What a keyboard sends is for others.
  EXPECT_EQ(::kill(pid, SIGINT), 0);
  const auto stat = sys::process_stat(pid);
  ASSERT_TRUE(stat.ok());
  EXPECT_NE(stat->state, 'Z');
  holder->release();
  EXPECT_EQ(holder->pid(), 0);
  EXPECT_FALSE(sys::process_stat(pid).ok());
}

TEST(Holder, EndsWhenItsUnitIsStopped) {
  auto created = Holder::create();
  ASSERT_TRUE(created.ok()) << created.error().message();
  EXPECT_EQ(::kill(created->pid(), SIGTERM), 0);
  for (int i = 0; i < 1000; ++i) {
    const auto stat = sys::process_stat(created->pid());
    ASSERT_TRUE(stat.ok());
    if (stat->state == 'Z') return;
    ::usleep(1000);
  }
  ADD_FAILURE() << "it is still there";
}

}  // namespace
}  // namespace cooper::container
