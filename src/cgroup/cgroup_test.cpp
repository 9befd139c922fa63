#include "cgroup/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "cgroup/internal/files.h"
#include "cgroup/memory_events.h"
#include "io/file.h"
#include "sys/file.h"

// Tests name the members they are about.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace cooper::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr const char* kHybrid =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 /docker/abc /mnt/other\\040place rw shared:1 - cgroup cgroup rw,memory\n"
    "36 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:1 master:2 - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(Layout, Hybrid) {
  const auto layout = parse_layout(kHybrid);
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->mode, Mode::kHybrid);
  ASSERT_EQ(layout->hierarchies.size(), 4U);
  EXPECT_THAT(layout->find("cpuacct")->controllers, ElementsAre("cpu", "cpuacct"));
  EXPECT_EQ(layout->find("memory")->mount_point, "/sys/fs/cgroup/memory");
  EXPECT_EQ(layout->find("name=systemd")->mount_point, "/sys/fs/cgroup/systemd");
  EXPECT_EQ(layout->v2()->mount_point, "/sys/fs/cgroup/unified");
  EXPECT_EQ(layout->find("pids"), nullptr);
}

TEST(Layout, OtherModesAndBadLines) {
  EXPECT_EQ(parse_layout("")->mode, Mode::kNone);
  EXPECT_EQ(parse_layout("41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")->mode, Mode::kV2);
  EXPECT_EQ(parse_layout("32 31 0:29 / /c rw - cgroup cgroup rw,pids")->mode, Mode::kV1);
  EXPECT_EQ(parse_layout(" - cgroup\n - cgroup2\nx - cgroup cgroup rw,memory\n1 2 3 4 5 6 - cgroupx a b\n")->mode,
            Mode::kNone);
  EXPECT_EQ(parse_layout("35 31 0:32 / /a\\040b\\134 rw - cgroup cgroup rw,memory")->hierarchies[0].mount_point,
            "/a b\\");
}

TEST(Layout, SaysWhyThereCanBeNoGroup) {
  EXPECT_EQ(parse_layout("")->why_none(), "no cgroup file system is mounted");
  const std::string memory = "36 31 0:32 / /sys/fs/cgroup/memory ";
  const std::string pids = "37 31 0:33 / /sys/fs/cgroup/pids ";
  EXPECT_EQ(parse_layout(memory + "ro,relatime - cgroup cgroup rw,memory\n" + pids + "rw - cgroup cgroup rw,pids\n")
                ->why_none(),
            "");
  EXPECT_EQ(parse_layout(memory + "ro,relatime - cgroup cgroup rw,memory\n" + pids + "ro - cgroup cgroup rw,pids\n")
                ->why_none(),
            "the cgroup file systems are mounted read-only");
  // What is mounted later on the same directory covers what is there.
  EXPECT_EQ(parse_layout(pids + "rw - cgroup cgroup rw,pids\n" + pids + "ro - cgroup cgroup rw,pids\n")->why_none(),
            "the cgroup file systems are mounted read-only");
}

TEST(Resources, ControllersOfLimits) {
  oci::Resources resources;
  EXPECT_THAT(limited_controllers(resources), ::testing::IsEmpty());
  resources.devices.push_back({.allow = false, .access = "rwm"});
  resources.pids_limit = -1;
  resources.memory.emplace();
  EXPECT_THAT(limited_controllers(resources), ::testing::IsEmpty());
  resources.memory->limit = 1 << 20;
  resources.pids_limit = 5;
  resources.unified["io.max"] = "8:0 rbps=1";
  EXPECT_THAT(limited_controllers(resources), ElementsAre("io", "memory", "pids"));
}

TEST(Layout, OwnPaths) {
  const auto paths = parse_own_paths("9:name=systemd:/a:b\n2:cpu,cpuacct:/c\n0::/d\nbroken\n");
  EXPECT_EQ(paths.at("name=systemd"), "/a:b");
  EXPECT_EQ(paths.at("cpuacct"), "/c");
  EXPECT_EQ(paths.at(""), "/d");
}

TEST(Paths, Normalized) {
  EXPECT_EQ(*normalize_path("/a//b/"), "/a/b");
  for (const char* bad : {"", "a", "/", "//", "/a/../b", "/./a", "/a\nb"})
    EXPECT_FALSE(normalize_path(bad).ok()) << bad;
  EXPECT_FALSE(normalize_path("/" + std::string(256, 'x')).ok());
  EXPECT_EQ(directory_of("/sys/fs/cgroup/memory", "/", "/a"), "/sys/fs/cgroup/memory/a");
  EXPECT_EQ(directory_of("/m", "/docker/abc", "/docker/abc/x"), "/m/x");
  EXPECT_EQ(directory_of("/m", "/docker/abc", "/docker/abcd"), "/m/docker/abcd");
}

// A tree of plain files that looks like the mounted hierarchies.
class FakeTree : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "cooper-cgroup-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override {
    const auto slash = root_.rfind('/');
    const auto parent = sys::openat(sys::kCwd, root_.substr(0, slash), O_RDONLY | O_DIRECTORY);
    (void)!io::remove_tree(*parent, root_.substr(slash + 1)).ok();
  }
  void file(const std::string& path, const std::string& text = "") {
    ASSERT_TRUE(io::make_directories(root_ + path.substr(0, path.rfind('/'))).ok());
    ASSERT_TRUE(io::write_file_atomic(root_ + path, text).ok());
  }
  std::string read(const std::string& path) { return io::read_file(root_ + path).value_or("(missing)"); }
  Layout v1(const std::vector<std::string>& controllers) {
    Layout layout{.mode = Mode::kV1, .hierarchies = {}};
    for (const auto& name : controllers) {
      EXPECT_TRUE(io::make_directories(root_ + "/" + name).ok());
      layout.hierarchies.push_back({.controllers = {name}, .mount_point = root_ + "/" + name, .mount_root = "/"});
    }
    return layout;
  }
  Layout v2() {
    return {.mode = Mode::kV2,
            .hierarchies = {{.controllers = {}, .mount_point = root_, .mount_root = "/", .v2 = true}}};
  }
  std::string root_;
};

TEST_F(FakeTree, CreatesNestedDirectoriesAndRemovesThem) {
  const Layout layout = v1({"memory", "pids"});
  auto group = Group::create(layout, "/cooper/pod/app");
  ASSERT_TRUE(group.ok()) << group.error().message();
  EXPECT_EQ(::access((root_ + "/pids/cooper/pod/app").c_str(), F_OK), 0);
  EXPECT_THAT(group->directories(),
              UnorderedElementsAre(std::pair<std::string, std::string>("memory", root_ + "/memory/cooper/pod/app"),
                                   std::pair<std::string, std::string>("pids", root_ + "/pids/cooper/pod/app")));
  EXPECT_EQ(group->v2_fd(), -1);
  ASSERT_TRUE(io::make_directories(root_ + "/pids/cooper/pod/app/inner/most").ok());
  ASSERT_TRUE(group->remove().ok());
  ASSERT_TRUE(group->remove().ok());
  EXPECT_NE(::access((root_ + "/pids/cooper/pod/app").c_str(), F_OK), 0);
  EXPECT_EQ(::access((root_ + "/pids/cooper/pod").c_str(), F_OK), 0);
  remove_empty_parents(layout, "/cooper/pod", "/cooper");
  EXPECT_NE(::access((root_ + "/pids/cooper/pod").c_str(), F_OK), 0);
  EXPECT_EQ(::access((root_ + "/pids/cooper").c_str(), F_OK), 0);
}

TEST_F(FakeTree, RefusesAGroupInUse) {
  const Layout layout = v1({"memory", "pids"});
  file("/pids/x/inner/cgroup.procs", "17\n");
  const auto group = Group::create(layout, "/x");
  ASSERT_FALSE(group.ok());
  EXPECT_EQ(group.error().code(), Errc::kBusy);
  EXPECT_THAT(group.error().message(), HasSubstr("container's cgroup is not empty"));
  EXPECT_NE(::access((root_ + "/memory/x").c_str(), F_OK), 0) << "what create made must be gone";
  EXPECT_EQ(::access((root_ + "/pids/x").c_str(), F_OK), 0) << "what was there must stay";
}

TEST_F(FakeTree, RefusesAFrozenGroup) {
  file("/freezer/x/freezer.state", "FREEZING\n");
  const auto group = Group::create(v1({"freezer"}), "/x");
  ASSERT_FALSE(group.ok());
  EXPECT_EQ(group.error().code(), Errc::kBusy);
  EXPECT_THAT(group.error().message(), HasSubstr("frozen"));
}

TEST_F(FakeTree, RefusesWithoutHierarchies) {
  EXPECT_EQ(Group::create({}, "/x").error().code(), Errc::kUnsupported);
  auto group = Group::create({}, "/x", Policy::kBestEffort);
  ASSERT_TRUE(group.ok());
  oci::Resources resources;
  resources.pids_limit = 5;
  EXPECT_TRUE(group->apply(resources).ok());
  EXPECT_TRUE(group->attach(1).ok());
  EXPECT_TRUE(group->remove().ok());
}

TEST_F(FakeTree, InheritsCpusetsDownwards) {
  file("/cpuset/cpuset.cpus", "0-3\n");
  file("/cpuset/cpuset.mems", "0\n");
  for (const char* dir : {"/cpuset/a", "/cpuset/a/b"}) {
    file(std::string(dir) + "/cpuset.cpus", "\n");
    file(std::string(dir) + "/cpuset.mems", "");
  }
  ASSERT_TRUE(Group::create(v1({"cpuset"}), "/a/b").ok());
  EXPECT_THAT(read("/cpuset/a/cpuset.cpus"), ::testing::StartsWith("0-3"));
  EXPECT_THAT(read("/cpuset/a/b/cpuset.cpus"), ::testing::StartsWith("0-3"));
  EXPECT_THAT(read("/cpuset/a/b/cpuset.mems"), ::testing::StartsWith("0"));
}

TEST_F(FakeTree, AppliesInOrderAndNamesWhatIsMissing) {
  file("/devices/x/devices.deny");
  file("/devices/x/devices.allow");
  file("/pids/x/pids.max");
  file("/blkio/x/blkio.weight");
  auto group = Group::create(v1({"devices", "pids", "blkio", "memory"}), "/x");
  ASSERT_TRUE(group.ok()) << group.error().message();
  oci::Resources resources;
  resources.pids_limit = 0;
  resources.block_io = oci::BlockIo{.weight = 500};
  resources.devices = {{.allow = false, .access = "rwm"},
                       {.allow = true, .type = "c", .major = 1, .minor = 3, .access = "rwm"},
                       {.allow = true, .type = "c", .major = 1, .minor = 5, .access = "r"}};
  ASSERT_TRUE(group->apply(resources).ok());
  EXPECT_EQ(read("/pids/x/pids.max"), "0");
  EXPECT_EQ(read("/blkio/x/blkio.weight"), "500");
  EXPECT_EQ(read("/devices/x/devices.deny"), "a");
  EXPECT_EQ(read("/devices/x/devices.allow"), "c 1:3 rwmc 1:5 r");

  oci::Resources huge;
  huge.hugepage_limits = {{"2MB", 0}};
  const Status missing = group->apply(huge);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), Errc::kUnsupported);
  EXPECT_THAT(missing.error().message(), HasSubstr("'hugetlb'"));
  huge.hugepage_limits = {{"2MB", UINT64_MAX}};
  EXPECT_TRUE(group->apply(huge).ok());

  oci::Resources memory;
  memory.memory = oci::Memory{.limit = 4096};
  const Status no_file = group->apply(memory);
  ASSERT_FALSE(no_file.ok());
  EXPECT_EQ(no_file.error().errno_value(), ENOENT);
  EXPECT_THAT(no_file.error().message(), HasSubstr("memory.limit_in_bytes"));
}

TEST_F(FakeTree, UpdateWritesBackWhatItChanged) {
  file("/pids/x/pids.max", "5\n");
  file("/cpu/x/cpu.shares", "1024\n");
  auto group = Group::open(v1({"pids", "cpu"}), "/x");
  ASSERT_TRUE(group.ok());
  oci::Resources resources;
  resources.cpu = oci::Cpu{.shares = 2048, .idle = 1};  // cpu.idle does not exist
  resources.pids_limit = 7;
  EXPECT_FALSE(group->update(resources).ok());
  EXPECT_EQ(read("/cpu/x/cpu.shares"), "1024\n");
  EXPECT_EQ(read("/pids/x/pids.max"), "5\n");
}

TEST_F(FakeTree, UpdateTakesBackWhatIsNotConfirmed) {
  file("/cpuset/x/cpuset.cpus", "");
  file("/memory/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n");
  file("/cpu/x/cpu.shares", "512\n");
  file("/cpu/x/cpu.idle", "0\n");
  auto group = Group::open(v1({"cpuset", "memory", "cpu"}), "/x");
  oci::Resources resources;
  resources.cpu = oci::Cpu{.idle = 1, .cpus = "0"};
  resources.memory = oci::Memory{.disable_oom_killer = true};
  std::string during;
  const Status refused = group->update(resources, [&]() -> Status {
    during = read("/cpuset/x/cpuset.cpus") + read("/cpu/x/cpu.idle").substr(0, 1);
    // As the kernel does when a group is idle no more.
    file("/cpu/x/cpu.shares", "1024\n");
    return Error(Errc::kSystem, "no", EPERM);
  });
  EXPECT_EQ(refused.error().message(), "no");
  EXPECT_EQ(during, "01");
  EXPECT_EQ(read("/cpuset/x/cpuset.cpus"), "\n");
  EXPECT_EQ(read("/memory/x/memory.oom_control").front(), '0');
  EXPECT_EQ(read("/cpu/x/cpu.idle").front(), '0');
  EXPECT_EQ(read("/cpu/x/cpu.shares").substr(0, 3), "512");
}

TEST_F(FakeTree, DeviceRulesThatCannotBeAreRefusedBeforeAnythingIsWritten) {
  file("/pids/x/pids.max", "5\n");
  auto group = Group::open(v1({"pids"}), "/x");
  oci::Resources resources;
  resources.pids_limit = 7;
  resources.devices = {{.allow = true, .type = "x", .access = "rwm"}};
  bool asked = false;
  const Status refused = group->update(resources, [&]() -> Status {
    asked = true;
    return {};
  });
  EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument);
  EXPECT_FALSE(asked);
  EXPECT_EQ(read("/pids/x/pids.max"), "5\n");
}

TEST_F(FakeTree, SystemdIsToldOfTheWeightAfterIdleness) {
  file("/x/cpu.idle", "1\n");
  auto group = Group::open(v2(), "/x");
  oci::Resources resources;
  resources.cpu = oci::Cpu{.idle = 0};
  EXPECT_EQ(group->completed(resources)->cpu->shares, 1024U);
  resources.cpu->shares = 512;
  EXPECT_EQ(group->completed(resources)->cpu->shares, 512U);
  resources.cpu = oci::Cpu{.idle = 1};
  EXPECT_EQ(group->completed(resources)->cpu->shares, std::nullopt);
  file("/x/cpu.idle", "0\n");
  resources.cpu->idle = 0;
  EXPECT_EQ(group->completed(resources)->cpu->shares, std::nullopt);
}

TEST_F(FakeTree, OnlyKillsAreOutOfMemoryEvents) {
  file("/x/memory.events", "low 0\noom 1\noom_kill 0\n");
  auto group = Group::open(v2(), "/x");
  auto events = MemoryEvents::oom(*group);
  ASSERT_TRUE(events.ok()) << events.error().message();
  const auto rewrite = [&](const char* text) { ASSERT_TRUE(write_control(root_ + "/x/memory.events", text).ok()); };
  rewrite("low 0\noom 3\noom_kill 0\n");  // the allocation failed, or was no reason to kill
  EXPECT_EQ(*events->take(), 0U);
  rewrite("low 0\noom 4\noom_kill 2\n");
  EXPECT_EQ(*events->take(), 2U);
  EXPECT_EQ(*events->take(), 0U);
}

TEST_F(FakeTree, UpdateSkipsWhatIsThereAndChecksUsage) {
  file("/memory/x/memory.limit_in_bytes", "8192\n");
  file("/memory/x/memory.usage_in_bytes", "6000\n");
  ASSERT_EQ(::chmod((root_ + "/memory/x/memory.limit_in_bytes").c_str(), 0444), 0);
  auto group = Group::open(v1({"memory"}), "/x");
  oci::Resources resources;
  resources.memory = oci::Memory{.limit = 8200};  // the same number of pages
  EXPECT_TRUE(group->update(resources).ok());
  EXPECT_EQ(read("/memory/x/memory.limit_in_bytes"), "8192\n");
  resources.memory = oci::Memory{.limit = 4096, .check_before_update = true};
  EXPECT_EQ(group->update(resources).error().code(), Errc::kBusy);
}

TEST_F(FakeTree, V2EnablesControllersAndWritesFiles) {
  file("/cgroup.controllers", "cpu memory pids\n");
  file("/cgroup.subtree_control", "");
  file("/a/cgroup.controllers", "cpu memory pids\n");
  file("/a/cgroup.subtree_control", "");
  file("/a/b/cgroup.controllers", "");
  file("/a/b/cgroup.events", "populated 0\nfrozen 0\n");
  for (const char* name : {"pids.max", "memory.max", "cpu.max"}) file(std::string("/a/b/") + name);
  auto group = Group::create(v2(), "/a/b");
  ASSERT_TRUE(group.ok()) << group.error().message();
  EXPECT_EQ(read("/cgroup.subtree_control"), "+cpu +memory +pids");
  EXPECT_EQ(read("/a/cgroup.subtree_control"), "+cpu +memory +pids");
  EXPECT_GE(group->v2_fd(), 0);
  oci::Resources resources;
  resources.pids_limit = 3;
  resources.memory = oci::Memory{.limit = 4096, .swap = 4096};  // swap.max 0 where there is no swap
  resources.cpu = oci::Cpu{.quota = 1000};
  ASSERT_TRUE(group->apply(resources).ok());
  EXPECT_EQ(read("/a/b/pids.max"), "3");
  EXPECT_EQ(read("/a/b/memory.max"), "4096");
  EXPECT_EQ(read("/a/b/cpu.max"), "1000");
  resources = {};
  resources.unified = {{"rdma.max", "x hca_handle=1"}};
  const Status missing = group->apply(resources);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message(), HasSubstr("'rdma' is not available"));
  resources = {};
  resources.pids_limit = 0;
  ASSERT_TRUE(group->apply(resources).ok());
  EXPECT_EQ(group->v2_fd(), -1);
}

TEST_F(FakeTree, V2FrozenAndStats) {
  file("/x/cgroup.events", "populated 1\nfrozen 1\n");
  file("/x/cgroup.freeze", "0");
  file("/x/cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_throttled 9\n");
  file("/x/memory.current", "77\n");
  file("/x/memory.max", "max\n");
  file("/x/memory.stat", "anon 5\nfile 6\n");
  file("/x/memory.events", "low 0\noom_kill 2\nmax 4\n");
  file("/x/io.stat", "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1\n");
  file("/x/pids.current", "3\n");
  file("/x/pids.max", "max\n");
  auto group = Group::open(v2(), "/x");
  EXPECT_TRUE(*group->frozen());
  EXPECT_TRUE(group->freeze(100).ok());
  EXPECT_EQ(read("/x/cgroup.freeze"), "1");
  EXPECT_EQ(group->thaw(30).error().code(), Errc::kTimeout);
  const auto stats = read_stats(*group);
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(stats->cpu_usage_ns, 5000U);
  EXPECT_EQ(stats->cpu_throttled_periods, 9U);
  EXPECT_EQ(stats->memory_usage_bytes, 77U);
  EXPECT_EQ(stats->memory_limit_bytes, std::nullopt);
  EXPECT_EQ(stats->memory_raw.at("anon"), 5U);
  EXPECT_EQ(stats->oom_kills, 2U);
  EXPECT_EQ(stats->io_read_bytes, 11U);
  EXPECT_EQ(stats->io_write_bytes, 20U);
  EXPECT_EQ(stats->pids_current, 3U);
}

TEST_F(FakeTree, V1StatsAndProcesses) {
  file("/cpuacct/x/cpuacct.usage", "123\n");
  file("/memory/x/memory.limit_in_bytes", "9223372036854771712\n");
  file("/memory/x/memory.stat", "cache 1\ntotal_cache 2\ntotal_rss 3\n");
  file("/memory/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
  file("/memory/x/cgroup.procs", "12\n0\n7\n");
  file("/memory/x/in/cgroup.procs", "9\n7\n");
  file("/blkio/x/blkio.throttle.io_service_bytes_recursive", "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n");
  auto group = Group::open(v1({"memory", "cpuacct", "blkio"}), "/x");
  EXPECT_THAT(*group->processes(), ElementsAre(7, 9, 12));
  const auto stats = read_stats(*group);
  EXPECT_EQ(stats->cpu_usage_ns, 123U);
  EXPECT_EQ(stats->memory_limit_bytes, std::nullopt);
  EXPECT_EQ(stats->memory_cache_bytes, 2U);
  EXPECT_EQ(stats->oom_kills, 4U);
  EXPECT_EQ(stats->io_read_bytes, 5U);
  EXPECT_EQ(stats->io_write_bytes, 6U);
}

TEST_F(FakeTree, FreezerV1TimesOutAndThaws) {
  file("/freezer/x/freezer.state", "FREEZING");
  auto group = Group::open(v1({"freezer"}), "/x");
  EXPECT_TRUE(*group->frozen());
  // In a plain file the old tail stays: neither FROZEN nor THAWED, as a group that never gets there.
  EXPECT_EQ(group->freeze(50).error().code(), Errc::kTimeout);
  EXPECT_THAT(read("/freezer/x/freezer.state"), ::testing::StartsWith("THAWED"));
  EXPECT_EQ(Group::open(v1({"pids"}), "/x")->freeze(10).error().code(), Errc::kUnsupported);
}

// The descriptor of another directory tells which paths are looked up from it.
TEST_F(FakeTree, PathsBelowSysFsCgroupAreLookedUpFromTheDirectoryHeldOpen) {
  file("/held/memory/x", "7\n");
  auto held = sys::openat(sys::kCwd, root_ + "/held", O_PATH | O_DIRECTORY);
  ASSERT_TRUE(held.ok());
  const Base base(*held);
  EXPECT_EQ(*read_value("/sys/fs/cgroup/memory/x", base), "7");
  EXPECT_EQ(*read_value("/sys/fs/cgroup//memory/x", base), "7");
  EXPECT_EQ(*read_value(root_ + "/held/memory/x", base), "7");
  ASSERT_TRUE(base.mkdir("/sys/fs/cgroup/memory/cooper-test-dir").ok());
  EXPECT_EQ(sys::fstatat(*held, "memory/cooper-test-dir")->st_mode & S_IFMT, mode_t{S_IFDIR});
  ASSERT_TRUE(base.rmdir("/sys/fs/cgroup/memory/cooper-test-dir").ok());
  EXPECT_FALSE(sys::fstatat(*held, "memory/cooper-test-dir").ok());
  const Error missing = base.openat("/sys/fs/cgroup/memory/no-such-file", O_RDONLY).error();
  EXPECT_EQ(missing.errno_value(), ENOENT);
  EXPECT_THAT(missing.message(), ::testing::HasSubstr("'/sys/fs/cgroup/memory/no-such-file'"));
  // Nothing is held where there is no such directory.
  EXPECT_EQ(*read_value(root_ + "/held/memory/x", Base()), "7");
}

}  // namespace
}  // namespace cooper::cgroup
