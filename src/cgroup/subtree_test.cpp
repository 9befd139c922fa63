#include "cgroup/internal/subtree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "io/file.h"

namespace cooper::cgroup {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;

// A faked v2 tree: /parent/group, below a root that hands everything down.
class Subtree : public ::testing::Test {
 protected:
  Subtree() : root_(fs::temp_directory_path() / ("cooper-subtree-" + std::to_string(::getpid()))) {
    fs::create_directories(root_ / "parent/group");
    set("cgroup.controllers", "cpu memory pids");
    set("cgroup.subtree_control", "cpu memory pids");
    set("parent/cgroup.controllers", "cpu memory pids");
    set("parent/cgroup.subtree_control", "cpu");
    set("parent/cgroup.type", "domain");
    set("parent/cgroup.procs", "");
    set("parent/group/cgroup.controllers", "cpu");
    tree_.mount_point = root_;
    tree_.mount_root = "/";
    tree_.v2 = true;
  }
  void TearDown() override { fs::remove_all(root_); }

  void set(const std::string& file, const std::string& text) const { std::ofstream(root_ / file) << text << "\n"; }
  std::string why(const std::string& controller) const { return why_missing(tree_, "/parent/group", controller); }
  // What enable_controllers() writes to the parent.
  std::string enabled() const {
    EXPECT_TRUE(enable_controllers(tree_, "/parent/group").ok());
    return io::read_file(root_ / "parent/cgroup.subtree_control").value();
  }

  fs::path root_;
  Hierarchy tree_;
};

TEST_F(Subtree, NamesTheGroupThatWithholdsAController) {
  EXPECT_EQ(why("cpu"), "");
  EXPECT_EQ(why("io"), "is not available");
  EXPECT_EQ(why("memory"), "is not handed down by '" + (root_ / "parent").string() + "'");
  set("parent/cgroup.procs", "17");
  EXPECT_THAT(why("memory"), EndsWith("', which has processes of its own"));
  set("parent/cgroup.type", "domain threaded");
  EXPECT_THAT(why("memory"), EndsWith("', whose type is 'domain threaded'"));
}

TEST_F(Subtree, LeavesAParentWithProcessesADomain) {
  set("parent/cgroup.subtree_control", "memory");
  set("parent/group/cgroup.controllers", "memory");
  set("parent/cgroup.procs", "17");
  EXPECT_EQ(enabled(), "memory\n");
  set("parent/cgroup.procs", "");
  EXPECT_EQ(enabled().substr(0, 10), "+cpu +pids");
}

}  // namespace
}  // namespace cooper::cgroup
