#include "container/resctrl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "io/file.h"

namespace cooper::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

oci::IntelRdt rdt(std::string clos, std::string l3 = "", std::string bandwidth = "",
                  std::vector<std::string> schemata = {}, bool monitoring = false) {
  oci::IntelRdt out;
  out.clos_id = std::move(clos);
  out.l3_cache_schema = std::move(l3);
  out.mem_bw_schema = std::move(bandwidth);
  out.schemata = std::move(schemata);
  out.enable_monitoring = monitoring;
  return out;
}

// A directory that looks like a mounted resctrl: the kernel fills new groups with their files.
class ResctrlTest : public ::testing::Test {
 protected:
  ResctrlTest() {
    std::string name = (std::filesystem::temp_directory_path() / "resctrl-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    fill(root_, "L3:0=fff;1=fff\nMB:0=100;1=100\n");
    std::filesystem::create_directory(root_ + "/info");
    write(root_ + "/info/last_cmd_status", "mask is too wide\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  static void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  static void fill(const std::string& path, const std::string& schemata) {
    std::filesystem::create_directories(path + "/mon_groups");
    write(path + "/schemata", schemata);
    write(path + "/tasks", "");
  }
  static std::string read(const std::string& path) { return io::read_file(path, 4096).value_or(""); }

  Resctrl resctrl() const {
    return {root_, [](const std::string& path) -> Status {
              if (::mkdir(path.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir");
              fill(path, "");
              return {};
            }};
  }
  static ResctrlCreate step(const oci::IntelRdt& config) { return plan_resctrl(config, "box"); }

  std::string root_;
};

TEST_F(ResctrlTest, AClassOfTheContainersOwnIsMadeAndFilled) {
  const auto groups = resctrl().create(step(rdt("", "L3:0=f", "MB:0=20", {}, false)));
  ASSERT_TRUE(groups.ok()) << groups.error().message();
  EXPECT_EQ(groups->class_path, root_ + "/box");
  EXPECT_TRUE(groups->made_class);
  EXPECT_EQ(groups->monitor_path, "");
  EXPECT_THAT(read(root_ + "/box/schemata"), HasSubstr("MB:0=20"));
  ASSERT_TRUE(join_resctrl(*groups, 4711).ok());
  EXPECT_EQ(read(root_ + "/box/tasks"), "4711");
}

TEST_F(ResctrlTest, SchemaOrder) {
  EXPECT_THAT(step(rdt("", "L3:0=f\nL3CODE:0=1", "MB:0=20", {"L2:0=1", "L3:1=3"}, false)).schemata,
              ElementsAre("L3:0=f", "L3CODE:0=1", "MB:0=20", "L2:0=1", "L3:1=3"));
}

TEST_F(ResctrlTest, AMonitoringGroupIsMadeInTheClass) {
  fill(root_ + "/gold", "L3:0=f\n");
  const auto groups = resctrl().create(step(rdt("gold", "", "", {}, true)));
  ASSERT_TRUE(groups.ok()) << groups.error().message();
  EXPECT_FALSE(groups->made_class);
  EXPECT_EQ(groups->monitor_path, root_ + "/gold/mon_groups/box");
  ASSERT_TRUE(join_resctrl(*groups, 12).ok());
  EXPECT_EQ(read(root_ + "/gold/tasks"), "12");
  EXPECT_EQ(read(groups->monitor_path + "/tasks"), "12");
}

TEST_F(ResctrlTest, TheDefaultClassHasTheNameSlash) {
  const auto groups = resctrl().create(step(rdt("/", "", "", {}, true)));
  ASSERT_TRUE(groups.ok());
  EXPECT_EQ(groups->class_path, root_);
  EXPECT_EQ(groups->monitor_path, root_ + "/mon_groups/box");
}

TEST_F(ResctrlTest, ANamedClassWithoutSchemaMustExist) {
  const auto groups = resctrl().create(step(rdt("gold", "", "", {}, false)));
  ASSERT_FALSE(groups.ok());
  EXPECT_THAT(groups.error().message(), HasSubstr("class of service 'gold' does not exist"));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/gold"));
}

TEST_F(ResctrlTest, ANamedClassWithASchemaIsMadeWhenMissing) {
  const auto groups = resctrl().create(step(rdt("gold", "L3:0=f", "", {}, false)));
  ASSERT_TRUE(groups.ok());
  EXPECT_TRUE(groups->made_class);
}

TEST_F(ResctrlTest, AnExistingClassMustHaveTheSchema) {
  fill(root_ + "/gold", "    L3:0=00f;1=fff\nMB:0= 20\n");
  EXPECT_TRUE(resctrl().create(step(rdt("gold", "L3:0=f", "", {}, false))).ok());
  EXPECT_TRUE(resctrl().create(step(rdt("gold", "", "MB:0=20", {}, false))).ok());
  const auto other = resctrl().create(step(rdt("gold", "L3:0=1", "", {}, false)));
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error().message(), HasSubstr("exists with another schema than 'L3:0=1'"));
  EXPECT_TRUE(std::filesystem::exists(root_ + "/gold"));
}

TEST_F(ResctrlTest, SomebodyElsesClassIsNotTaken) {
  fill(root_ + "/box", "");
  EXPECT_EQ(resctrl().create(step(rdt(""))).error().code(), Errc::kAlreadyExists);
}

TEST_F(ResctrlTest, FailureLeavesNothing) {
  const Resctrl broken{root_, [](const std::string& path) -> Status {
                         if (::mkdir(path.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir");
                         return {};  // no schemata file: the write fails
                       }};
  const auto groups = broken.create(step(rdt("", "L3:0=ffffffff", "", {}, false)));
  ASSERT_FALSE(groups.ok());
  EXPECT_THAT(groups.error().message(), HasSubstr("intelRdt schema 'L3:0=ffffffff'"));
  EXPECT_THAT(groups.error().hint(), HasSubstr("mask is too wide"));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/box"));
}

TEST_F(ResctrlTest, OnlyWhatWasMadeIsRemoved) {
  const Resctrl bare{root_, [](const std::string& path) -> Status {
                       if (::mkdir(path.c_str(), 0755) != 0) return Error::from_errno(errno, "mkdir");
                       return {};
                     }};
  const auto own = bare.create(step(rdt("")));
  ASSERT_TRUE(own.ok());
  ASSERT_TRUE(remove_resctrl(*own).ok());
  EXPECT_FALSE(std::filesystem::exists(root_ + "/box"));
  EXPECT_TRUE(remove_resctrl(*own).ok());  // gone already
  fill(root_ + "/gold", "");
  const auto named = bare.create(step(rdt("gold", "", "", {}, true)));
  ASSERT_TRUE(named.ok());
  ASSERT_TRUE(remove_resctrl(*named).ok());
  EXPECT_TRUE(std::filesystem::exists(root_ + "/gold"));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/gold/mon_groups/box"));
}

// A creator that is killed before it could say what it has made.
TEST_F(ResctrlTest, WhatWasWantedIsRemovedUnlessItIsUsed) {
  const auto step_of_box = step(rdt("", "L3:0=f", "", {}, true));
  const auto before = resctrl().wanted(step_of_box);
  EXPECT_EQ(before.class_path, root_ + "/box");
  EXPECT_EQ(before.monitor_path, root_ + "/box/mon_groups/box");
  EXPECT_TRUE(before.made_class && before.made_monitor);
  EXPECT_TRUE(remove_unused_resctrl(before).ok());  // killed before it made anything
  std::filesystem::create_directories(before.monitor_path);
  EXPECT_FALSE(resctrl().wanted(step_of_box).made_class);
  EXPECT_FALSE(resctrl().wanted(step_of_box).made_monitor);
  EXPECT_FALSE(resctrl().wanted(step(rdt("/"))).made_class);
  write(root_ + "/box/tasks", "1\n");
  EXPECT_TRUE(remove_unused_resctrl(before).ok());
  EXPECT_TRUE(std::filesystem::exists(root_ + "/box"));
  EXPECT_FALSE(std::filesystem::exists(before.monitor_path));
  // In the kernel's file system the files of a group do not keep it from being removed.
  std::filesystem::remove(root_ + "/box/tasks");
  std::filesystem::remove(root_ + "/box/mon_groups");
  EXPECT_TRUE(remove_unused_resctrl(before).ok());
  EXPECT_FALSE(std::filesystem::exists(root_ + "/box"));
}

TEST_F(ResctrlTest, ALivingClassGetsOtherLinesAndGivesTheFormerOnes) {
  fill(root_ + "/box", "    L3:0=fff;1=fff\n    MB:0=100;1=100\n");
  const ResctrlGroups own{root_ + "/box", "", true, false};
  const auto former = resctrl().set_schemata(own, {"MB:0=20"});
  ASSERT_TRUE(former.ok()) << former.error().message();
  EXPECT_THAT(*former, ElementsAre("MB:0=100;1=100"));
  EXPECT_THAT(read(root_ + "/box/schemata"), HasSubstr("MB:0=20"));
}

TEST_F(ResctrlTest, OnlyAClassOfTheContainersOwnIsChanged) {
  EXPECT_THAT(resctrl().set_schemata({}, {"L3:0=f"}).error().message(), HasSubstr("started without"));
  fill(root_ + "/gold", "L3:0=fff\n");
  const auto shared = resctrl().set_schemata({root_ + "/gold", "", false, false}, {"L3:0=f"});
  EXPECT_THAT(shared.error().message(), HasSubstr("was not made for this container"));
  EXPECT_EQ(read(root_ + "/gold/schemata"), "L3:0=fff\n");
  const auto gone = resctrl().set_schemata({root_ + "/none", "", true, false}, {"L3:0=f"});
  EXPECT_EQ(gone.error().errno_value(), ENOENT);
}

TEST(IntelRdt, Rules) {
  EXPECT_TRUE(check_intel_rdt(rdt("/", "", "", {}, false), "/linux/intelRdt").ok());
  EXPECT_TRUE(check_intel_rdt(rdt("gold", "", "", {"L3:0=f"}, false), "/linux/intelRdt").ok());
  for (const char* bad : {"a/b", "..", ".", "/a", "info", "mon_groups", "a\nb"})
    EXPECT_THAT(check_intel_rdt(rdt(bad, "", "", {}, false), "/linux/intelRdt").error().message(),
                HasSubstr("/linux/intelRdt/closID"))
        << bad;
  EXPECT_FALSE(check_intel_rdt(rdt("", "", "", {"L3"}, false), "").ok());
  EXPECT_FALSE(check_intel_rdt(rdt("", "", "", {"L3:0=1\nMB:0=1"}, false), "").ok());
  EXPECT_FALSE(check_intel_rdt(rdt("", "", "L3:0=1", {}, false), "").ok());
  EXPECT_FALSE(check_intel_rdt(rdt("", "MB:0=1", "", {}, false), "").ok());
}

TEST(Schemata, Agree) {
  EXPECT_TRUE(schemata_agree("L3:0=00f;1=ff\n", "L3:1=ff"));
  EXPECT_TRUE(schemata_agree("L3:0=0", "L3:0=000"));
  EXPECT_FALSE(schemata_agree("L3:0=f", "L3:0=1"));
  EXPECT_FALSE(schemata_agree("L3:0=f", "L3:2=f"));
  EXPECT_FALSE(schemata_agree("", "MB:0=10"));
}

}  // namespace
}  // namespace cooper::container
