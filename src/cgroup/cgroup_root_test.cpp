// The same code on the mounted hierarchies. Needs root and writable cgroups; skipped elsewhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "base/strings.h"
#include "cgroup/cgroup.h"
#include "cgroup/internal/device_filter.h"
#include "io/file.h"
#include "sys/process.h"

// Tests name the members they are about.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace cooper::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The v2 tree of a hybrid host has no controllers but all of v2's own files: seen alone it is a v2 host without limits.
enum class View { kHost, kV2Alone };

class RealTree : public ::testing::TestWithParam<View> {
 protected:
  void SetUp() override {
    if (::getuid() != 0) GTEST_SKIP() << "needs root";
    layout_ = *probe_layout();
    if (layout_.mode == Mode::kNone) GTEST_SKIP() << "needs a mounted cgroup hierarchy";
    if (GetParam() == View::kV2Alone) {
      if (layout_.mode != Mode::kHybrid) GTEST_SKIP() << "needs a hybrid host";
      layout_ = Layout{.mode = Mode::kV2, .hierarchies = {*layout_.v2()}};
    }
    top_ = "/cooper-test-" + std::to_string(::getpid());
    auto probe = Group::create(layout_, top_ + "/probe");
    if (!probe.ok()) GTEST_SKIP() << "needs writable cgroups: " << probe.error().message();
    ASSERT_TRUE(probe->remove().ok());
  }
  void TearDown() override {
    for (const pid_t pid : children_) {
      (void)::kill(pid, SIGKILL);
      (void)!sys::waitpid(pid).ok();
    }
    if (!top_.empty()) (void)!Group::open(layout_, top_)->remove().ok();
  }
  // A child that joins by itself and waits to be killed.
  pid_t start(Group& group, bool forks = false) {
    const sys::Pipe pipe = *sys::pipe2();
    auto cloned = sys::clone3(0, group.v2_fd());
    EXPECT_TRUE(cloned.ok()) << cloned.error().message();
    if (cloned->pid == 0) {
      const bool joined = group.attach_self(group.v2_fd() >= 0 ? Group::Born::kInV2 : Group::Born::kElsewhere).ok();
      (void)!sys::write(pipe.write, joined ? "y" : "n").ok();
      while (true) {
        if (forks && ::fork() == 0) forks = false;
        forks ? ::usleep(2000) : ::pause();
      }
    }
    char answer = 0;
    (void)!sys::read(pipe.read, std::span(&answer, 1)).ok();
    EXPECT_EQ(answer, 'y');
    children_.push_back(cloned->pid);
    return cloned->pid;
  }
  void reap(pid_t pid) {
    (void)!sys::waitpid(pid).ok();
    std::erase(children_, pid);
  }
  std::string read(const Group& group, const std::string& controller, const std::string& file) {
    const auto directories = group.directories();
    const auto found = directories.find(layout_.mode == Mode::kV2 ? "" : controller);
    return found == directories.end()
               ? "(none)"
               : std::string(trim(io::read_file(found->second + "/" + file).value_or("(missing)")));
  }
  Layout layout_;
  std::string top_;
  std::vector<pid_t> children_;
};

INSTANTIATE_TEST_SUITE_P(Views, RealTree, ::testing::Values(View::kHost, View::kV2Alone),
                         [](const auto& view) { return view.param == View::kHost ? "Host" : "V2Alone"; });

TEST_P(RealTree, AChildJoinsEveryHierarchyByItself) {
  auto group = Group::create(layout_, top_ + "/a/b");
  ASSERT_TRUE(group.ok()) << group.error().message();
  const pid_t pid = start(*group);
  const auto paths = parse_own_paths(*io::read_file("/proc/" + std::to_string(pid) + "/cgroup"));
  for (const auto& [controller, directory] : group->directories())
    EXPECT_EQ(paths.at(controller), top_ + "/a/b") << controller;
  EXPECT_THAT(*group->processes(), ElementsAre(pid));
  EXPECT_EQ(Group::create(layout_, top_ + "/a/b").error().code(), Errc::kBusy);
  EXPECT_EQ(group->remove(20).error().code(), Errc::kBusy);
  ASSERT_TRUE(group->kill_all(SIGKILL).ok());
  reap(pid);
  EXPECT_TRUE(group->remove().ok());
}

TEST_P(RealTree, PreparedFilesWorkInANewUserNamespace) {
  auto group = Group::create(layout_, top_ + "/u");
  ASSERT_TRUE(group.ok());
  const auto born = group->v2_fd() >= 0 ? Group::Born::kInV2 : Group::Born::kElsewhere;
  ASSERT_TRUE(group->prepare_attach_self(born).ok());
  auto cloned = sys::clone3(CLONE_NEWUSER, group->v2_fd());
  if (!cloned.ok()) GTEST_SKIP() << "needs user namespaces: " << cloned.error().message();
  if (cloned->pid == 0) ::_exit(group->attach_self(born).ok() ? 0 : 1);
  EXPECT_EQ(sys::waitpid(cloned->pid)->code, 0);
}

TEST_P(RealTree, AttachMovesAForeignProcess) {
  auto group = Group::create(layout_, top_ + "/c");
  auto other = Group::create(layout_, top_ + "/d");
  ASSERT_TRUE(group.ok());
  ASSERT_TRUE(other.ok());
  const pid_t pid = start(*group);
  ASSERT_TRUE(Group::open(layout_, top_ + "/d")->attach(pid).ok());
  EXPECT_TRUE(group->processes()->empty());
  EXPECT_THAT(*other->processes(), ElementsAre(pid));
  // As `exec` does: the group of a running container, a child that joins it.
  auto opened = Group::open(layout_, top_ + "/d");
  EXPECT_EQ(opened->v2_fd() >= 0, layout_.v2() != nullptr);
  const pid_t second = start(*opened);
  EXPECT_THAT(*other->processes(), ::testing::UnorderedElementsAre(pid, second));
  EXPECT_EQ(Group::open(layout_, top_ + "/none")->attach(pid).error().code(), Errc::kNotFound);
}

TEST_P(RealTree, LimitsReachTheKernelAndUpdateOrdersThem) {
  auto group = Group::create(layout_, top_ + "/l");
  ASSERT_TRUE(group.ok());
  oci::Resources resources;
  resources.memory = oci::Memory{.limit = 64 << 20, .reservation = 32 << 20, .swap = 128 << 20};
  resources.cpu = oci::Cpu{.shares = 512, .period = 100000, .quota = 50000, .cpus = "0", .mems = "0"};
  resources.pids_limit = 100;
  const Status applied = group->apply(resources);
  if (!applied.ok() && GetParam() == View::kV2Alone) {
    EXPECT_EQ(applied.error().code(), Errc::kUnsupported);
    GTEST_SKIP() << applied.error().message();
  }
  ASSERT_TRUE(applied.ok()) << applied.error().message();
  const bool v2 = layout_.mode == Mode::kV2;
  EXPECT_EQ(read(*group, "pids", "pids.max"), "100");
  EXPECT_EQ(read(*group, "memory", v2 ? "memory.max" : "memory.limit_in_bytes"), std::to_string(64 << 20));
  EXPECT_EQ(read(*group, "cpuset", "cpuset.cpus"), "0");
  oci::Resources more;
  for (const int factor : {8, 2, 16}) {  // up, down, up
    more.memory = oci::Memory{.limit = factor * (16 << 20), .swap = factor * (32 << 20)};
    more.cpu = oci::Cpu{.period = 10000, .quota = factor * 1000};
    const Status updated = group->update(more);
    ASSERT_TRUE(updated.ok()) << updated.error().message();
    EXPECT_EQ(read(*group, "memory", v2 ? "memory.max" : "memory.limit_in_bytes"), std::to_string(factor * (16 << 20)));
  }
  more = {};
  more.pids_limit = 7;
  more.memory = oci::Memory{.limit = 32 << 20, .swap = 64 << 20};
  more.cpu = oci::Cpu{.cpus = "999"};
  EXPECT_FALSE(group->update(more).ok());
  EXPECT_EQ(read(*group, "pids", "pids.max"), "100");
  EXPECT_EQ(read(*group, "memory", v2 ? "memory.max" : "memory.limit_in_bytes"), std::to_string(256 << 20));
  more = {};
  more.memory = oci::Memory{.limit = -1};
  EXPECT_TRUE(group->update(more).ok());
}

TEST_P(RealTree, FreezeThawAndFrozenParents) {
  auto group = Group::create(layout_, top_ + "/f");
  ASSERT_TRUE(group.ok());
  const pid_t pid = start(*group);
  const Status frozen = group->freeze();
  ASSERT_TRUE(frozen.ok()) << frozen.error().message();
  EXPECT_TRUE(*group->frozen());
  const auto inside = Group::create(layout_, top_ + "/f/inside");
  ASSERT_FALSE(inside.ok());
  EXPECT_THAT(inside.error().message(), HasSubstr("frozen"));
  ASSERT_TRUE(group->thaw().ok());
  EXPECT_FALSE(*group->frozen());
  ASSERT_TRUE(group->freeze().ok());
  ASSERT_TRUE(group->kill_all(SIGKILL).ok());
  reap(pid);
  EXPECT_TRUE(group->remove().ok());
}

TEST_P(RealTree, KillsWhatForksMeanwhile) {
  auto group = Group::create(layout_, top_ + "/k");
  ASSERT_TRUE(group.ok());
  oci::Resources resources;
  resources.pids_limit = 200;
  const bool limited = group->apply(resources).ok();
  EXPECT_TRUE(limited || GetParam() == View::kV2Alone);
  const pid_t pid = start(*group, true);
  ::usleep(30000);
  ASSERT_TRUE(group->kill_all(SIGKILL).ok());
  reap(pid);
  EXPECT_TRUE(group->remove().ok());
}

TEST_P(RealTree, OtherSignalsGoOnceToEach) {
  auto group = Group::create(layout_, top_ + "/s");
  ASSERT_TRUE(group.ok());
  const pid_t pid = start(*group);
  ASSERT_TRUE(group->kill_all(SIGTERM).ok());
  const auto status = sys::waitpid(pid);
  EXPECT_EQ(status->signal, SIGTERM);
  std::erase(children_, pid);
}

TEST_P(RealTree, RealtimeRuntimeIsHandedDown) {
  auto group = Group::create(layout_, top_ + "/rt/inner");
  ASSERT_TRUE(group.ok());
  if (read(*group, "cpu", "cpu.rt_runtime_us") == "(missing)") GTEST_SKIP() << "needs realtime group scheduling";
  if (layout_.find("cpu") == nullptr) GTEST_SKIP() << "needs the v1 cpu controller";
  if (trim(io::read_file(layout_.find("cpu")->mount_point + "/cpu.rt_runtime_us").value_or("0")) == "0")
    GTEST_SKIP() << "this tree has no realtime runtime";
  oci::Resources resources;
  resources.cpu = oci::Cpu{.realtime_period = 1000000, .realtime_runtime = 10000};
  const Status applied = group->apply(resources);
  EXPECT_TRUE(applied.ok()) << applied.error().message();
  EXPECT_EQ(read(*group, "cpu", "cpu.rt_runtime_us"), "10000");
  // The parent has room for one so far.
  auto second = Group::create(layout_, top_ + "/rt/second");
  resources.cpu = oci::Cpu{.realtime_period = 500000, .realtime_runtime = 10000};
  const Status beside = second->apply(resources);
  EXPECT_TRUE(beside.ok()) << beside.error().message();
  EXPECT_EQ(read(*second, "cpu", "cpu.rt_runtime_us"), "10000");
  const auto parent = Group::open(layout_, top_ + "/rt");
  const auto of_parent = [&](const Group& above) {
    return parse_number<double>(read(above, "cpu", "cpu.rt_runtime_us")).value_or(-1);
  };
  EXPECT_NEAR(of_parent(*parent), 30000, 2);
  EXPECT_NEAR(of_parent(*Group::open(layout_, top_)), 30000, 4);
  // An update, and one that cannot be: it leaves the parents as they are.
  resources.cpu = oci::Cpu{.realtime_runtime = 50000};
  const Status more = group->update(resources);
  EXPECT_TRUE(more.ok()) << more.error().message();
  EXPECT_NEAR(of_parent(*parent), 70000, 2);
  const std::string before = read(*parent, "cpu", "cpu.rt_runtime_us");
  resources.cpu->realtime_runtime = 60000;
  const auto refuse = [] { return Status(Error(Errc::kSystem, "no", EPERM)); };
  EXPECT_FALSE(group->update(resources, refuse).ok());
  EXPECT_EQ(read(*group, "cpu", "cpu.rt_runtime_us"), "50000");
  EXPECT_EQ(read(*parent, "cpu", "cpu.rt_runtime_us"), before);
  resources.cpu->realtime_runtime = 990000;  // more than the root has
  EXPECT_EQ(group->update(resources).error().errno_value(), EINVAL);
  EXPECT_EQ(read(*parent, "cpu", "cpu.rt_runtime_us"), before);
  // To a shorter period, for which the old runtime is too long.
  resources.cpu = oci::Cpu{.realtime_period = 600000, .realtime_runtime = 200000};
  EXPECT_TRUE(group->update(resources).ok());
  resources.cpu = oci::Cpu{.realtime_period = 150000, .realtime_runtime = 60000};
  const Status shorter = group->update(resources);
  EXPECT_TRUE(shorter.ok()) << shorter.error().message();
  EXPECT_EQ(read(*group, "cpu", "cpu.rt_period_us"), "150000");
  EXPECT_EQ(read(*group, "cpu", "cpu.rt_runtime_us"), "60000");
}

TEST_P(RealTree, AnUpdateThatIsTakenBackLeavesTheWeight) {
  auto group = Group::create(layout_, top_ + "/idle");
  ASSERT_TRUE(group.ok());
  const bool v2 = layout_.mode == Mode::kV2;
  const char* weight = v2 ? "cpu.weight" : "cpu.shares";
  const auto refuse = [] { return Status(Error(Errc::kSystem, "no", EPERM)); };
  oci::Resources resources;
  if (read(*group, "cpu", "cpu.idle") != "0") GTEST_SKIP() << "needs the controller cpu, kernel 5.15";
  resources.cpu = oci::Cpu{.shares = 512};
  ASSERT_TRUE(group->apply(resources).ok());
  const std::string before = read(*group, "cpu", weight);
  resources.cpu = oci::Cpu{.idle = 1};
  EXPECT_FALSE(group->update(resources, refuse).ok());
  EXPECT_EQ(read(*group, "cpu", "cpu.idle") + read(*group, "cpu", weight), "0" + before);
  resources.cpu = oci::Cpu{.shares = 300, .idle = 1};
  EXPECT_FALSE(group->update(resources, refuse).ok());
  EXPECT_EQ(read(*group, "cpu", "cpu.idle") + read(*group, "cpu", weight), "0" + before);
  for (int times = 0; times < 2; ++times) EXPECT_TRUE(group->update(resources).ok());
  EXPECT_EQ(read(*group, "cpu", "cpu.idle"), "1");
  resources.cpu = oci::Cpu{.shares = 512, .idle = 0};
  EXPECT_FALSE(group->update(resources, refuse).ok());
  EXPECT_EQ(read(*group, "cpu", "cpu.idle"), "1");
  EXPECT_TRUE(group->update(resources).ok());
  EXPECT_EQ(read(*group, "cpu", "cpu.idle") + read(*group, "cpu", weight), "0" + before);
}

TEST_P(RealTree, DeviceRulesOfV1) {
  if (layout_.find("devices") == nullptr) GTEST_SKIP() << "needs the v1 devices controller";
  auto group = Group::create(layout_, top_ + "/dev");
  ASSERT_TRUE(group.ok());
  oci::Resources resources;
  resources.devices = {{.allow = false, .access = "rwm"}};
  for (auto& rule : default_device_rules()) resources.devices.push_back(rule);
  const Status applied = group->apply(resources);
  ASSERT_TRUE(applied.ok()) << applied.error().message();
  EXPECT_THAT(read(*group, "devices", "devices.list"), HasSubstr("c 1:3 rwm"));
  EXPECT_THAT(read(*group, "devices", "devices.list"), ::testing::Not(HasSubstr("a *:*")));
}

// The v2 filter works on the v2 tree of a hybrid host too.
TEST_P(RealTree, DeviceFilterOfV2) {
  auto group = Group::create(layout_, top_ + "/bpf");
  ASSERT_TRUE(group.ok());
  if (group->v2_fd() < 0) GTEST_SKIP() << "needs a cgroup v2 tree";
  const auto directory = sys::openat(sys::kCwd, group->directories().at(""), O_RDONLY | O_DIRECTORY);
  oci::Resources resources;
  std::vector<oci::DeviceRule>& rules = resources.devices;
  rules = {{.allow = false, .access = "rwm"}};
  for (auto& rule : default_device_rules()) rules.push_back(rule);
  // Through apply() where that would use it.
  const auto attach = [&] {
    return layout_.mode == Mode::kV2 ? group->apply(resources) : attach_device_filter(*directory, rules);
  };
  const auto opens = [&](const char* path) {
    auto cloned = sys::clone3(0, group->v2_fd());
    if (cloned->pid == 0) ::_exit(::open(path, O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno);
    return sys::waitpid(cloned->pid)->code;
  };
  const Status attached = attach();
  if (!attached.ok() && attached.error().code() == Errc::kPermission) GTEST_SKIP() << attached.error().message();
  ASSERT_TRUE(attached.ok()) << attached.error().message();
  EXPECT_EQ(opens("/dev/null"), 0);
  EXPECT_EQ(opens("/dev/kmsg"), EPERM);
  rules.push_back({.allow = false, .type = "c", .major = 1, .minor = 3, .access = "r"});
  ASSERT_TRUE(attach().ok());  // replaces
  EXPECT_EQ(opens("/dev/null"), EPERM);
  EXPECT_EQ(opens("/dev/zero"), 0);
  ASSERT_TRUE(attach_device_filter(*directory, {{.allow = true, .access = "rwm"}}).ok());
  EXPECT_EQ(opens("/dev/null"), 0);
}

}  // namespace
}  // namespace cooper::cgroup
