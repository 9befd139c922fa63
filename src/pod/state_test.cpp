// States, locks and names on a temporary directory, without privileges.
#include "pod/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pod/gc_rules.h"
#include "pod/layout.h"
#include "pod/names.h"
#include "pod/testing.h"

namespace cooper::pod {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StateTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(make_layout(layout_).ok()); }
  OpenPod create() {
    auto pod = create_pod(layout_, PodUuid::random());
    EXPECT_TRUE(pod.ok());
    return std::move(pod).value();
  }
  TempRoots roots_;
  Layout layout_ = roots_.layout();
};

TEST_F(StateTest, LayoutIsMadeOnce) {
  EXPECT_TRUE(make_layout(layout_).ok());
  for (const Place place : kPlaces) EXPECT_TRUE(sys::fstatat(sys::kCwd, layout_.place(place)).ok());
}

TEST_F(StateTest, RootsBelongTogether) {
  EngineOptions other = roots_.options();
  other.root = roots_.path() + "/other";
  // Nothing runs: another root may take over, and the first one may come back.
  EXPECT_TRUE(make_layout(Layout(other)).ok());
  EXPECT_TRUE(make_layout(layout_).ok());
  ASSERT_TRUE(io::make_directories(layout_.run_dir(PodUuid::random()), 0700).ok());
  const Status refused = make_layout(Layout(other));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Errc::kWrongState);
  EXPECT_THAT(refused.error().message(), HasSubstr(roots_.options().root));
  // The same root elsewhere looks for its pods where they are not.
  EngineOptions elsewhere = roots_.options();
  elsewhere.run_root = roots_.path() + "/elsewhere";
  EXPECT_EQ(make_layout(Layout(elsewhere)).error().code(), Errc::kWrongState);
  // By another name it is still itself.
  ASSERT_TRUE(sys::symlinkat(roots_.options().root, sys::kCwd, roots_.path() + "/name").ok());
  EngineOptions renamed = roots_.options();
  renamed.root = roots_.path() + "/name";
  EXPECT_TRUE(make_layout(Layout(renamed)).ok());
  // A root that was removed holds nothing back.
  ASSERT_TRUE(io::remove_tree(sys::kCwd, roots_.options().root).ok());
  EXPECT_TRUE(make_layout(Layout(other)).ok());
}

TEST_F(StateTest, NewPodIsLockedInPrepare) {
  OpenPod pod = create();
  EXPECT_EQ(pod.place, Place::kPrepare);
  const auto seen = open_pod(layout_, pod.uuid);
  ASSERT_TRUE(seen.ok());
  EXPECT_TRUE(*is_locked(*seen));
  EXPECT_EQ(state_of(seen->place, true), State::kPreparing);
  EXPECT_THAT(*list_place(layout_, Place::kEmbryo), IsEmpty());
  EXPECT_THAT(*list_place(layout_, Place::kPrepare), ElementsAre(pod.uuid));
}

TEST_F(StateTest, LockEndsWithItsHolder) {
  OpenPod pod = create();
  const auto seen = open_pod(layout_, pod.uuid);
  EXPECT_FALSE(*wait_unlocked(*seen, 5));
  pod.dir.reset();
  EXPECT_TRUE(*wait_unlocked(*seen, 1000));
  EXPECT_EQ(state_of(seen->place, false), State::kAbortedPrepare);
}

TEST_F(StateTest, LockIsInheritedAndEndsWithTheLastHolder) {
  OpenPod pod = create();
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(fds[1]);
    char byte = 0;
    (void)!::read(fds[0], &byte, 1);
    ::_exit(0);
  }
  ::close(fds[0]);
  const auto seen = open_pod(layout_, pod.uuid);
  pod.dir.reset();
  EXPECT_TRUE(*is_locked(*seen));
  ::close(fds[1]);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(*is_locked(*seen));
}

TEST_F(StateTest, MovesAreFollowed) {
  OpenPod pod = create();
  auto seen = open_pod(layout_, pod.uuid);
  ASSERT_TRUE(move_pod(layout_, pod, Place::kPrepared, io::Durability::kFsync).ok());
  ASSERT_TRUE(move_pod(layout_, pod, Place::kRun, io::Durability::kNone).ok());
  EXPECT_EQ(open_pod(layout_, pod.uuid)->place, Place::kRun);
  // The descriptor still is the pod; its lock is busy, then free, and the place is found again.
  EXPECT_EQ(lock_pod(layout_, *seen, 2).error().code(), Errc::kBusy);
  pod.dir.reset();
  ASSERT_TRUE(lock_pod(layout_, *seen, 1000).ok());
  EXPECT_EQ(seen->place, Place::kRun);
}

TEST_F(StateTest, LockOfARemovedPodIsNotFound) {
  OpenPod pod = create();
  auto seen = open_pod(layout_, pod.uuid);
  ASSERT_TRUE(move_pod(layout_, pod, Place::kGarbage, io::Durability::kNone).ok());
  ASSERT_EQ(::rmdir(layout_.pod(Place::kGarbage, pod.uuid).c_str()), 0);
  pod.dir.reset();
  EXPECT_EQ(lock_pod(layout_, *seen, 1000).error().code(), Errc::kNotFound);
  EXPECT_EQ(open_pod(layout_, pod.uuid).error().code(), Errc::kNotFound);
}

TEST_F(StateTest, ObserversDoNotDisturbEachOther) {
  OpenPod pod = create();
  pod.dir.reset();
  const auto first = open_pod(layout_, pod.uuid);
  const auto second = open_pod(layout_, pod.uuid);
  EXPECT_FALSE(*is_locked(*first));
  EXPECT_FALSE(*is_locked(*second));
}

TEST_F(StateTest, ForeignEntriesAreNoPods) {
  ASSERT_EQ(::mkdir((layout_.place(Place::kRun) + "/lost+found").c_str(), 0700), 0);
  EXPECT_THAT(*list_place(layout_, Place::kRun), IsEmpty());
}

TEST_F(StateTest, MoveNeverReplacesAPod) {
  OpenPod pod = create();
  const std::string there = layout_.pod(Place::kRun, pod.uuid);
  ASSERT_EQ(::mkdir(there.c_str(), 0700), 0);
  ASSERT_EQ(::mkdir((there + "/logs").c_str(), 0700), 0);
  EXPECT_FALSE(move_pod(layout_, pod, Place::kRun, io::Durability::kNone).ok());
  EXPECT_EQ(pod.place, Place::kPrepare);
}

// ---- names

TEST_F(StateTest, NamesAreTakenOnce) {
  const OpenPod a = create();
  const OpenPod b = create();
  ASSERT_TRUE(take_name(layout_, "web", a.uuid).ok());
  const Status taken = take_name(layout_, "web", b.uuid);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), Errc::kAlreadyExists);
  EXPECT_THAT(taken.error().message(), HasSubstr(a.uuid.str()));
  EXPECT_EQ(*lookup_name(layout_, "web"), a.uuid);
  ASSERT_TRUE(release_name(layout_, "web", b.uuid).ok());  // not its own
  EXPECT_EQ(*lookup_name(layout_, "web"), a.uuid);
  ASSERT_TRUE(release_name(layout_, "web", a.uuid).ok());
  EXPECT_EQ(*lookup_name(layout_, "web"), std::nullopt);
  EXPECT_TRUE(take_name(layout_, "web", b.uuid).ok());
}

TEST_F(StateTest, StaleNamesAreTakenOver) {
  const OpenPod pod = create();
  ASSERT_TRUE(take_name(layout_, "old", PodUuid::random()).ok());
  EXPECT_TRUE(take_name(layout_, "old", pod.uuid).ok());
  OpenPod garbage = create();
  ASSERT_TRUE(take_name(layout_, "dead", garbage.uuid).ok());
  ASSERT_TRUE(move_pod(layout_, garbage, Place::kGarbage, io::Durability::kNone).ok());
  EXPECT_TRUE(take_name(layout_, "dead", pod.uuid).ok());
}

TEST_F(StateTest, StaleNamesAreCollected) {
  const OpenPod pod = create();
  ASSERT_TRUE(take_name(layout_, "live", pod.uuid).ok());
  ASSERT_TRUE(take_name(layout_, "gone", PodUuid::random()).ok());
  EXPECT_THAT(*remove_stale_names(layout_), ElementsAre("gone"));
  EXPECT_EQ(*lookup_name(layout_, "live"), pod.uuid);
}

TEST_F(StateTest, OneOfManyTakersWins) {
  const OpenPod pod = create();
  ASSERT_TRUE(take_name(layout_, "race", PodUuid::random()).ok());
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto mine = create_pod(layout_, PodUuid::random());
      const bool won = mine.ok() && take_name(layout_, "race", mine->uuid).ok();
      // The pod must exist until all have tried.
      ::usleep(300000);
      ::_exit(won ? 1 : 0);
    }
    children.push_back(child);
  }
  int winners = 0;
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    winners += WEXITSTATUS(status);
  }
  EXPECT_EQ(winners, 1);
}

TEST(Names, Syntax) {
  for (const char* good : {"a", "web-1", "A.b_c", "0"}) EXPECT_TRUE(check_name(good).ok()) << good;
  for (const char* bad : {"", "-a", ".a", "a/b", "a b", "..", "0f6b1b1e-2f0c-4a51-9d0e-3a1f2b4c5d6e"})
    EXPECT_FALSE(check_name(bad).ok()) << bad;
  EXPECT_FALSE(check_name(std::string(129, 'a')).ok());
  EXPECT_TRUE(check_name(default_name("busybox", PodUuid::random())).ok());
}

// ---- layout

TEST(Layout, CgroupParentFollowsTheRunRoot) {
  EXPECT_EQ(derive_cgroup_parent("/run/cooper"), "/cooper");
  const std::string other = derive_cgroup_parent("/tmp/x");
  EXPECT_EQ(other.size(), std::string("/cooper-").size() + 8);
  EXPECT_EQ(other, derive_cgroup_parent("/tmp/x"));
  EXPECT_NE(other, derive_cgroup_parent("/tmp/y"));
}

TEST(Layout, CleanPath) {
  EXPECT_EQ(*clean_path("/a//b/./c/", "x"), "/a/b/c");
  EXPECT_EQ(*clean_path("/", "x"), "/");
  for (const char* bad : {"", "a", "/a/../b", "/.."}) EXPECT_FALSE(clean_path(bad, "x").ok()) << bad;
  EXPECT_FALSE(clean_path(std::string_view("/a\0b", 4), "x").ok());
}

// ---- gc

TEST(Gc, Decisions) {
  const GcOptions rules{1800, 86400, false};
  EXPECT_EQ(decide({Place::kEmbryo, 0, false}, rules), GcDecision::kDelete);
  EXPECT_EQ(decide({Place::kPrepare, 0, false}, rules), GcDecision::kDelete);
  EXPECT_EQ(decide({Place::kGarbage, 0, false}, rules), GcDecision::kDelete);
  EXPECT_EQ(decide({Place::kPrepared, 86399, false}, rules), GcDecision::kKeep);
  EXPECT_EQ(decide({Place::kPrepared, 86400, false}, rules), GcDecision::kDelete);
  EXPECT_EQ(decide({Place::kRun, 0, false}, rules), GcDecision::kMark);
  EXPECT_EQ(decide({Place::kRun, 0, true}, rules), GcDecision::kDelete);
  EXPECT_EQ(decide({Place::kExitedGarbage, 1799, false}, rules), GcDecision::kKeep);
  EXPECT_EQ(decide({Place::kExitedGarbage, 1800, false}, rules), GcDecision::kDelete);
}

TEST(Gc, MarkOnlyDeletesNothingThatEnded) {
  const GcOptions rules{0, 0, true};
  EXPECT_EQ(decide({Place::kExitedGarbage, 9999, false}, rules), GcDecision::kKeep);
  EXPECT_EQ(decide({Place::kPrepared, 9999, false}, rules), GcDecision::kKeep);
  EXPECT_EQ(decide({Place::kRun, 0, false}, rules), GcDecision::kMark);
  EXPECT_EQ(decide({Place::kPrepare, 0, false}, rules), GcDecision::kDelete);
}

TEST(States, Words) {
  EXPECT_EQ(to_string(state_of(Place::kPrepare, false)), "aborted prepare");
  EXPECT_EQ(to_string(state_of(Place::kRun, false)), "exited");
  EXPECT_EQ(to_string(state_of(Place::kExitedGarbage, true)), "deleting");
}

}  // namespace
}  // namespace cooper::pod
