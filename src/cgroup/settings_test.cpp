#include "cgroup/internal/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cgroup/cgroup.h"

// Tests name the members they are about.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace cooper::cgroup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "controller file=value" of each setting, in order.
std::vector<std::string> texts(const Result<std::vector<Setting>>& settings) {
  std::vector<std::string> out;
  if (!settings.ok()) return {"error: " + settings.error().message()};
  for (const Setting& setting : *settings) out.push_back(setting.controller + " " + setting.file + "=" + setting.value);
  return out;
}

TEST(SettingsV1, NothingAskedNothingWritten) {
  EXPECT_THAT(texts(settings_v1({})), IsEmpty());
}

TEST(SettingsV1, MemoryLimitsBeforeSum) {
  oci::Resources resources;
  resources.memory =
      oci::Memory{.limit = 1 << 20, .reservation = 4096, .swap = 1 << 21, .swappiness = 10, .disable_oom_killer = true};
  EXPECT_THAT(texts(settings_v1(resources)),
              ElementsAre("memory memory.limit_in_bytes=1048576", "memory memory.memsw.limit_in_bytes=2097152",
                          "memory memory.soft_limit_in_bytes=4096", "memory memory.swappiness=10",
                          "memory memory.oom_control=1"));
}

TEST(SettingsV1, UnlimitedMemoryFreesTheSumFirst) {
  oci::Resources resources;
  resources.memory = oci::Memory{.limit = -1};
  EXPECT_THAT(texts(settings_v1(resources)),
              ElementsAre("memory memory.memsw.limit_in_bytes=-1", "memory memory.limit_in_bytes=-1"));
}

TEST(SettingsV1, ZerosAndUnsetValuesAreNoLimits) {
  oci::Resources resources;
  resources.memory = oci::Memory{
      .limit = 0, .reservation = 0, .swap = 0, .kernel = 5, .swappiness = UINT64_MAX, .disable_oom_killer = false};
  resources.cpu = oci::Cpu{.shares = 0, .period = 0, .quota = 0};
  resources.block_io = oci::BlockIo{.weight = 0};
  resources.network_class_id = 0;
  EXPECT_THAT(texts(settings_v1(resources)), IsEmpty());
}

TEST(SettingsV1, RefusesWhatTheKernelWouldClampOrRefuse) {
  oci::Resources resources;
  resources.memory = oci::Memory{.limit = 2000, .swap = 1000};
  EXPECT_EQ(settings_v1(resources).error().code(), Errc::kInvalidArgument);
  resources.memory = oci::Memory{.swappiness = 101};
  EXPECT_EQ(settings_v1(resources).error().code(), Errc::kInvalidArgument);
  resources.memory.reset();
  for (const std::uint64_t shares : {std::uint64_t{1}, std::uint64_t{262145}}) {
    resources.cpu = oci::Cpu{.shares = shares};
    EXPECT_EQ(settings_v1(resources).error().code(), Errc::kInvalidArgument);
  }
  resources.cpu.reset();
  resources.hugepage_limits = {{"2MB/../x", 1}};
  EXPECT_EQ(settings_v1(resources).error().code(), Errc::kInvalidArgument);
  resources.hugepage_limits.clear();
  resources.unified = {{"memory.max", "1"}};
  EXPECT_EQ(settings_v1(resources).error().code(), Errc::kUnsupported);
}

TEST(SettingsV1, CpuAndCpuset) {
  oci::Resources resources;
  resources.cpu = oci::Cpu{.shares = 512,
                           .period = 100000,
                           .realtime_period = 1000000,
                           .burst = 1000,
                           .quota = 50000,
                           .realtime_runtime = 900,
                           .idle = 1,
                           .cpus = "0-1",
                           .mems = "0"};
  const auto settings = settings_v1(resources);
  EXPECT_THAT(texts(settings),
              ElementsAre("cpu cpu.rt_period_us=1000000", "cpu cpu.rt_runtime_us=900", "cpu cpu.shares=512",
                          "cpu cpu.cfs_period_us=100000", "cpu cpu.cfs_burst_us=1000", "cpu cpu.cfs_quota_us=50000",
                          "cpu cpu.idle=1", "cpuset cpuset.cpus=0-1", "cpuset cpuset.mems=0"));
  EXPECT_TRUE((*settings)[0].retry_last);  // the old runtime may not fit into the new period
  EXPECT_TRUE((*settings)[3].retry_last);
  EXPECT_TRUE((*settings)[4].retry_last);
}

TEST(SettingsV1, AnRtPeriodAloneIsRefusedForGood) {
  oci::Resources resources;
  resources.cpu = oci::Cpu{.realtime_period = 1000000};
  EXPECT_FALSE(settings_v1(resources)->front().retry_last);
}

TEST(SettingsV1, PidsZeroIsAValueAndMinusOneIsNone) {
  oci::Resources resources;
  resources.pids_limit = 0;
  EXPECT_THAT(texts(settings_v1(resources)), ElementsAre("pids pids.max=0"));
  resources.pids_limit = -1;
  EXPECT_THAT(texts(settings_v1(resources)), ElementsAre("pids pids.max=max"));
  EXPECT_EQ((*settings_v1(resources))[0].missing, Setting::Missing::kIgnore);
}

TEST(SettingsV1, BlockIoNetworkHugePagesRdma) {
  oci::Resources resources;
  resources.block_io = oci::BlockIo{.weight = 500,
                                    .leaf_weight = 300,
                                    .weight_devices = {{8, 0, 600, 700}},
                                    .read_bps = {{8, 0, 1}},
                                    .write_bps = {{8, 0, 2}},
                                    .read_iops = {{8, 0, 3}},
                                    .write_iops = {{8, 16, 4}}};
  resources.hugepage_limits = {{"2MB", 4096}, {"1GB", UINT64_MAX}};
  resources.network_class_id = 0x100001;
  resources.network_priorities = {{"eth0", 5}};
  resources.rdma["mlx4_0"] = {.hca_handles = 3, .hca_objects = {}};
  const auto settings = settings_v1(resources);
  EXPECT_THAT(
      texts(settings),
      ElementsAre("blkio blkio.bfq.weight=500", "blkio blkio.leaf_weight=300", "blkio blkio.bfq.weight_device=8:0 600",
                  "blkio blkio.leaf_weight_device=8:0 700", "blkio blkio.throttle.read_bps_device=8:0 1",
                  "blkio blkio.throttle.write_bps_device=8:0 2", "blkio blkio.throttle.read_iops_device=8:0 3",
                  "blkio blkio.throttle.write_iops_device=8:16 4", "hugetlb hugetlb.2MB.limit_in_bytes=4096",
                  "hugetlb hugetlb.2MB.rsvd.limit_in_bytes=4096",
                  "hugetlb hugetlb.1GB.limit_in_bytes=18446744073709551615",
                  "hugetlb hugetlb.1GB.rsvd.limit_in_bytes=18446744073709551615", "net_cls net_cls.classid=1048577",
                  "net_prio net_prio.ifpriomap=eth0 5", "rdma rdma.max=mlx4_0 hca_handle=3"));
  EXPECT_EQ((*settings)[0].other_file, "blkio.weight");
  EXPECT_EQ((*settings)[8].missing, Setting::Missing::kError);
  EXPECT_EQ((*settings)[9].missing, Setting::Missing::kIgnore);
  EXPECT_EQ((*settings)[10].missing, Setting::Missing::kIgnore);
}

TEST(SettingsV1, HierarchyIsNeverTurnedOff) {
  oci::Resources resources;
  resources.memory = oci::Memory{};
  resources.memory->use_hierarchy = false;
  EXPECT_THAT(texts(settings_v1(resources)), ElementsAre());
  resources.memory->use_hierarchy = true;
  const auto settings = settings_v1(resources);
  EXPECT_THAT(texts(settings), ElementsAre("memory memory.use_hierarchy=1"));
  EXPECT_EQ((*settings)[0].missing, Setting::Missing::kIgnore);
}

TEST(SettingsV1, OrdersMemoryByTheCurrentSum) {
  const auto order = [](std::int64_t current, std::int64_t limit, std::int64_t sum) {
    oci::Resources resources;
    resources.memory = oci::Memory{.limit = limit, .swap = sum};
    auto settings = settings_v1(resources);
    order_memory_v1(*settings, current);
    return settings->front().file;
  };
  EXPECT_EQ(order(200, 300, 600), "memory.memsw.limit_in_bytes");  // growing
  EXPECT_EQ(order(600, 100, 200), "memory.limit_in_bytes");        // shrinking
  EXPECT_EQ(order(-1, 100, 200), "memory.limit_in_bytes");
  EXPECT_EQ(order(200, 100, -1), "memory.memsw.limit_in_bytes");
}

TEST(SettingsV2, Memory) {
  oci::Resources resources;
  resources.memory = oci::Memory{.limit = 1000, .reservation = 500, .swap = 3000};
  EXPECT_THAT(texts(settings_v2(resources)),
              ElementsAre("memory memory.swap.max=2000", "memory memory.max=1000", "memory memory.low=500"));
  resources.memory = oci::Memory{.limit = 1000, .swap = -1};
  EXPECT_THAT(texts(settings_v2(resources)), ElementsAre("memory memory.swap.max=max", "memory memory.max=1000"));
  resources.memory = oci::Memory{.limit = -1};
  EXPECT_THAT(texts(settings_v2(resources)), ElementsAre("memory memory.swap.max=max", "memory memory.max=max"));
  resources.memory = oci::Memory{.limit = -1, .swap = 3000};
  EXPECT_THAT(texts(settings_v2(resources)), ElementsAre("memory memory.swap.max=3000", "memory memory.max=max"));
  resources.memory = oci::Memory{.limit = 1000};
  EXPECT_THAT(texts(settings_v2(resources)), ElementsAre("memory memory.max=1000"));
  for (const auto& bad : {oci::Memory{.limit = 1000, .swap = 999}, oci::Memory{.swap = 999}}) {
    resources.memory = bad;
    EXPECT_EQ(settings_v2(resources).error().code(), Errc::kInvalidArgument);
  }
  for (const auto& bad : {oci::Memory{.swappiness = 60}, oci::Memory{.disable_oom_killer = true}}) {
    resources.memory = bad;
    EXPECT_EQ(settings_v2(resources).error().code(), Errc::kUnsupported);
  }
}

TEST(SettingsV2, CpuAndIo) {
  oci::Resources resources;
  resources.cpu =
      oci::Cpu{.shares = 1024, .period = 50000, .burst = 5, .quota = 25000, .idle = 0, .cpus = "1", .mems = "0"};
  EXPECT_THAT(texts(settings_v2(resources)),
              ElementsAre("cpu cpu.idle=0", "cpu cpu.weight=100", "cpu cpu.max.burst=5", "cpu cpu.max=25000 50000",
                          "cpuset cpuset.cpus=1", "cpuset cpuset.mems=0"));
  resources.cpu = oci::Cpu{.quota = -1};
  EXPECT_THAT(texts(settings_v2(resources)), ElementsAre("cpu cpu.max=max"));
  resources.cpu = oci::Cpu{.period = 1000};
  EXPECT_THAT(texts(settings_v2(resources)), ElementsAre("cpu cpu.max=max 1000"));
  resources.cpu = oci::Cpu{.realtime_runtime = 1};
  EXPECT_EQ(settings_v2(resources).error().code(), Errc::kUnsupported);
  resources.cpu.reset();
  resources.block_io = oci::BlockIo{
      .weight = 1000, .weight_devices = {{8, 0, 10, {}}}, .read_bps = {{8, 0, 7}}, .write_iops = {{8, 0, 0}}};
  const auto settings = settings_v2(resources);
  EXPECT_THAT(texts(settings), ElementsAre("io io.bfq.weight=1000", "io io.bfq.weight=8:0 10", "io io.max=8:0 rbps=7",
                                           "io io.max=8:0 wiops=max"));
  EXPECT_EQ((*settings)[0].other_value, "default 10000");
  EXPECT_EQ((*settings)[1].other_value, "8:0 1");
}

TEST(SettingsV2, UnifiedIsLastAndLiteral) {
  oci::Resources resources;
  resources.pids_limit = 5;
  resources.unified = {{"pids.max", "7"}, {"io.max", "8:0 rbps=1\n8:16 rbps=2\n"}};
  EXPECT_THAT(texts(settings_v2(resources)),
              ElementsAre("pids pids.max=5", "io io.max=8:0 rbps=1", "io io.max=8:16 rbps=2", "pids pids.max=7"));
  for (const char* file : {"a/b.c", "../x.y", "noprefix", ".x", "cgroup.procs"}) {
    resources.unified = {{file, "1"}};
    EXPECT_EQ(settings_v2(resources).error().code(), Errc::kInvalidArgument) << file;
  }
}

// Which weights are no error in a group that is idle already.
std::vector<std::string> moot(const Result<std::vector<Setting>>& settings) {
  std::vector<std::string> out;
  for (const Setting& setting : *settings) {
    if (setting.moot_when_idle) out.push_back(setting.file);
  }
  return out;
}

TEST(Idle, WeightsAreWrittenToGroupsThatAreNotIdle) {
  oci::Resources resources;
  resources.cpu = oci::Cpu{.shares = 1024, .idle = 0};
  EXPECT_THAT(texts(settings_v1(resources)), ElementsAre("cpu cpu.idle=0", "cpu cpu.shares=1024"));
  EXPECT_THAT(texts(settings_v2(resources)), ElementsAre("cpu cpu.idle=0", "cpu cpu.weight=100"));
  EXPECT_THAT(moot(settings_v2(resources)), IsEmpty());
  resources.cpu->idle = 1;
  EXPECT_THAT(texts(settings_v1(resources)), ElementsAre("cpu cpu.shares=1024", "cpu cpu.idle=1"));
  EXPECT_THAT(texts(settings_v2(resources)), ElementsAre("cpu cpu.weight=100", "cpu cpu.idle=1"));
  EXPECT_THAT(moot(settings_v1(resources)), ElementsAre("cpu.shares"));
}

TEST(Idle, LiteralOnesToo) {
  oci::Resources resources;
  resources.unified = {{"cpu.idle", "1"}, {"cpu.max", "max"}, {"cpu.weight", "50"}};
  EXPECT_THAT(texts(settings_v2(resources)), ElementsAre("cpu cpu.max=max", "cpu cpu.weight=50", "cpu cpu.idle=1"));
  EXPECT_THAT(moot(settings_v2(resources)), ElementsAre("cpu.weight"));
  // The literal value is the last word.
  resources.cpu = oci::Cpu{.shares = 1024, .idle = 1};
  resources.unified["cpu.idle"] = "0\n";
  EXPECT_THAT(texts(settings_v2(resources)), ElementsAre("cpu cpu.idle=1", "cpu cpu.idle=0", "cpu cpu.weight=100",
                                                         "cpu cpu.max=max", "cpu cpu.weight=50"));
  EXPECT_THAT(moot(settings_v2(resources)), IsEmpty());
}

TEST(Weights, EndsAndDefaultsOfBothScales) {
  EXPECT_EQ(cpu_weight_from_shares(0), 0U);
  EXPECT_EQ(cpu_weight_from_shares(2), 1U);
  EXPECT_EQ(cpu_weight_from_shares(1024), 100U);
  EXPECT_EQ(cpu_weight_from_shares(262144), 10000U);
  EXPECT_EQ(cpu_weight_from_shares(1U << 30), 10000U);
  std::uint64_t last = 0;
  for (std::uint64_t shares = 2; shares <= 262144; shares *= 2) {
    EXPECT_GE(cpu_weight_from_shares(shares), last);
    last = cpu_weight_from_shares(shares);
  }
  EXPECT_EQ(io_weight_from_blkio(10), 1U);
  EXPECT_EQ(io_weight_from_blkio(1000), 10000U);
}

TEST(SettingsV2, APeriodAloneKeepsTheQuota) {
  const auto only = [](oci::Cpu cpu) {
    oci::Resources resources;
    resources.cpu = std::move(cpu);
    return settings_v2(resources)->front();
  };
  const Setting period = only({.period = 200000});
  EXPECT_EQ(period.value, "max 200000");
  ASSERT_TRUE(period.keep_first);
  EXPECT_EQ(completed_value(period, "50000 100000\n"), "50000 200000");
  EXPECT_EQ(completed_value(period, "max 100000\n"), "max 200000");
  EXPECT_EQ(completed_value(period, ""), "max 200000");
  EXPECT_FALSE(only({.quota = 50000}).keep_first);
  EXPECT_FALSE(only({.period = 200000, .quota = -1}).keep_first);
}

TEST(Undo, KeyedFilesGoBackToTheirLine) {
  const Setting setting{.controller = "blkio", .file = "f", .value = "8:0 100", .key = "8:0", .reset = "8:0 0"};
  EXPECT_EQ(undo_value(setting, "8:16 5\n8:0 77\n"), "8:0 77");
  EXPECT_EQ(undo_value(setting, "8:16 5\n"), "8:0 0");
  EXPECT_TRUE(is_current(setting, "8:16 5\n8:0 100\n"));
  EXPECT_FALSE(is_current(setting, "8:0 1000\n"));
  const Setting plain{.controller = "pids", .file = "pids.max", .value = "max"};
  EXPECT_EQ(undo_value(plain, "12\n"), "12");
  EXPECT_TRUE(is_current(plain, "max\n"));
}

TEST(Undo, AnEmptyFileIsEmptiedByALine) {
  const Setting setting{.controller = "cpuset", .file = "cpuset.cpus", .value = "0"};
  EXPECT_EQ(undo_value(setting, "\n"), "\n");
  EXPECT_EQ(undo_value(setting, ""), "\n");
  EXPECT_EQ(undo_value(setting, "0-3\n"), "0-3");
}

TEST(Undo, OomControlGoesBackToTheNumberThatAWriteSets) {
  oci::Resources resources;
  resources.memory = oci::Memory{.disable_oom_killer = true};
  const Setting setting = settings_v1(resources)->front();
  EXPECT_EQ(undo_value(setting, "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n"), "0");
  EXPECT_FALSE(is_current(setting, "oom_kill_disable 0\nunder_oom 1\noom_kill 4\n"));
  EXPECT_TRUE(is_current(setting, "oom_kill_disable 1\nunder_oom 0\noom_kill 4\n"));
}

TEST(Undo, WeightsBesideThoseOfDevices) {
  oci::Resources resources;
  resources.block_io = oci::BlockIo{.weight = 500, .weight_devices = {{8, 0, 600, {}}}};
  const auto v2 = settings_v2(resources);
  const char* text = "default 100\n8:0 70\n8:16 90\n";
  EXPECT_EQ(undo_value((*v2)[0], text), "default 100");
  EXPECT_EQ(undo_value((*v2)[1], text), "8:0 70");
  EXPECT_EQ(undo_value((*v2)[1], "default 100\n8:16 90\n"), "8:0 default");
  const auto v1 = settings_v1(resources);
  EXPECT_EQ(undo_value((*v1)[0], "100\n"), "100");
  EXPECT_EQ(undo_value((*v1)[1], "default 100\n8:16 90\n"), "8:0 default");  // BFQ refuses a weight of 0
}

TEST(Undo, LiteralLinesOfKeyedFiles) {
  const auto undo = [](const char* file, const char* value, const char* text) {
    oci::Resources resources;
    resources.unified = {{file, value}};
    return undo_value(settings_v2(resources)->front(), text);
  };
  EXPECT_EQ(undo("io.max", "8:0 rbps=1", ""), "8:0 rbps=max wbps=max riops=max wiops=max");
  EXPECT_EQ(undo("io.max", "8:0 rbps=1",
                 "8:16 rbps=2 wbps=max riops=max wiops=max\n8:0 rbps=max wbps=9 riops=max "
                 "wiops=max\n"),
            "8:0 rbps=max wbps=9 riops=max wiops=max");
  EXPECT_EQ(undo("io.latency", "8:0 target=75", ""), "8:0 target=max");
  EXPECT_EQ(undo("io.weight", "8:0 50", "default 100\n"), "8:0 default");
  EXPECT_EQ(undo("io.weight", "50", "default 100\n8:0 7\n"), "default 100");
  EXPECT_EQ(undo("io.bfq.weight", "default 50", "default 70\n8:0 7\n"), "default 70");
  EXPECT_EQ(undo("rdma.max", "mlx4_0 hca_handle=2", "mlx5 hca_handle=max hca_object=max\n"),
            "mlx4_0 hca_handle=max hca_object=max");
  EXPECT_EQ(undo("misc.max", "res_a 1", "res_b 5\nres_a 3\n"), "res_a 3");
  EXPECT_EQ(undo("dmem.low", "drm/0000:03:00.0/vram0 1", "drm/0000:03:00.0/vram0 0\n"), "drm/0000:03:00.0/vram0 0");
  EXPECT_EQ(undo("cpu.max", "5000 10000", "max 100000\n"), "max 100000");
}

}  // namespace
}  // namespace cooper::cgroup
