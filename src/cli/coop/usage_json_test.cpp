#include "cli/coop/usage_json.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "codec/json.h"

namespace cooper::cli::coop {
namespace {

TEST(Events, Intervals) {
  EXPECT_EQ(*parse_interval("5s"), 5000);
  EXPECT_EQ(*parse_interval("500ms"), 500);
  EXPECT_EQ(*parse_interval("1m30s"), 90000);
  EXPECT_EQ(*parse_interval("1.5h"), 5400000);
  EXPECT_EQ(*parse_interval("10us"), 1);
  for (const char* bad : {"", "5", "s", "-5s", "0s", "5x", "5s ", "1..5s", "99999999h", "nan", "inf"})
    EXPECT_FALSE(parse_interval(bad).ok()) << bad;
}

TEST(Events, Interfaces) {
  const auto found = parse_interfaces(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n"
      "    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0\n"
      "  eth0: 12 2 3 4 0 0 0 0 56 6 7 8 0 0 0 0\n"
      "broken: 1 2 3\n");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].name, "eth0");
  EXPECT_EQ(found[0].rx_bytes, 12U);
  EXPECT_EQ(found[0].rx_dropped, 4U);
  EXPECT_EQ(found[0].tx_bytes, 56U);
  EXPECT_EQ(found[0].tx_dropped, 8U);
}

// What runc prints for a container that has counted nothing, member for member.
TEST(Events, EmptyStatsHaveTheShapeOfRunc) {
  EXPECT_EQ(
      stats_line("c", {}, {}),
      "{\"type\":\"stats\",\"id\":\"c\",\"data\":{\"cpu\":{\"usage\":{\"kernel\":0,\"user\":0},\"throttling\":{}},"
      "\"cpuset\":{\"cpu_exclusive\":0,\"mem_hardwall\":0,\"mem_exclusive\":0,\"memory_migrate\":0,"
      "\"memory_spread_page\":0,\"memory_spread_slab\":0,\"memory_pressure\":0,\"sched_load_balance\":0,"
      "\"sched_relax_domain_level\":0},\"memory\":{\"usage\":{\"limit\":0,\"failcnt\":0},\"swap\":{\"limit\":0,"
      "\"failcnt\":0},\"kernel\":{\"limit\":0,\"failcnt\":0},\"kernelTCP\":{\"limit\":0,\"failcnt\":0}},"
      "\"pids\":{},\"blkio\":{},\"hugetlb\":{},\"intel_rdt\":{},\"network_interfaces\":null}}\n");
  EXPECT_EQ(oom_line("c"), "{\"type\":\"oom\",\"id\":\"c\"}\n");
}

TEST(Events, FullStats) {
  cgroup::Usage usage;
  usage.cpu.pressure = cgroup::Pressure{{1.5, 0, 0, 9}, {}};
  usage.cpu.percpu_ns = {1, 2};
  usage.cpuset.cpus = {0, 3};
  usage.io.service_bytes = {{8, 0, "Read", 5}};
  usage.hugetlb["2MB"] = {1, 2, 3};
  usage.rdma_current = {{"mlx", 4, 5}};
  const std::string line = stats_line("c", usage, {{.name = "eth0", .rx_bytes = 1}});
  const auto document = codec::json::Document::parse(line, "line");
  ASSERT_TRUE(document.ok());
  const auto data = *document->root().find("data");
  EXPECT_EQ(data.find("cpu")->find("psi")->find("some")->find("avg10")->as_double(), 1.5);
  EXPECT_EQ(data.find("cpu")->find("usage")->find("percpu")->element(1).as_uint64(), 2U);
  EXPECT_EQ(data.find("cpuset")->find("cpus")->element(1).as_uint64(), 3U);
  EXPECT_EQ(data.find("blkio")->find("ioServiceBytesRecursive")->element(0).find("op")->as_string(), "Read");
  EXPECT_EQ(data.find("hugetlb")->find("2MB")->find("failcnt")->as_uint64(), 3U);
  EXPECT_EQ(data.find("rdma")->find("current")->element(0).find("hcaObjects")->as_uint64(), 5U);
  EXPECT_EQ(data.find("network_interfaces")->element(0).find("Name")->as_string(), "eth0");
}

// A directory that looks like a mounted resctrl.
class ResctrlFiles : public ::testing::Test {
 protected:
  ResctrlFiles() {
    std::string name = (std::filesystem::temp_directory_path() / "resctrl-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~ResctrlFiles() override { std::filesystem::remove_all(root_); }
  void file(const std::string& path, const std::string& text) const {
    const std::filesystem::path full = root_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  // The member intel_rdt of a container with these groups.
  std::string shown(const container::ResctrlGroups& groups) const {
    const std::string line = stats_line("c", {}, {}, read_resctrl_usage(root_, groups));
    const std::string_view begin = "\"intel_rdt\":";
    const auto from = line.find(begin) + begin.size();
    return line.substr(from, line.find(",\"network_interfaces\"") - from);
  }
  std::string root_;
};

TEST_F(ResctrlFiles, AreShownAsByRunc) {
  file("/schemata", "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n");
  file("/box/schemata", "    MB:0=20;1=70\n    L3:0=ff;1=f\n");
  file("/info/L3/cbm_mask", "fffff\n");
  file("/info/L3/min_cbm_bits", "2\n");
  file("/info/L3/num_closids", "16\n");
  file("/info/MB/bandwidth_gran", "10\n");
  file("/info/MB/delay_linear", "1\n");
  file("/info/MB/min_bandwidth", "10\n");
  file("/info/MB/num_closids", "8\n");
  const std::string before_counters =
      "{\"l3_cache_info\":{\"cbm_mask\":\"fffff\",\"min_cbm_bits\":2,\"num_closids\":16},"
      "\"l3_cache_schema_root\":\"L3:0=fffff;1=fffff\",\"l3_cache_schema\":\"L3:0=ff;1=f\","
      "\"mem_bw_info\":{\"bandwidth_gran\":10,\"delay_linear\":1,\"min_bandwidth\":10,\"num_closids\":8},"
      "\"mem_bw_schema_root\":\"MB:0=100;1=100\",\"mem_bw_schema\":\"MB:0=20;1=70\"";
  container::ResctrlGroups groups{.class_path = root_ + "/box", .monitor_path = {}};
  EXPECT_EQ(shown(groups), before_counters + "}");
  file("/box/mon_data/mon_L3_01/mbm_total_bytes", "30\n");
  file("/box/mon_data/mon_L3_01/mbm_local_bytes", "Unavailable\n");
  file("/box/mon_data/mon_L3_01/llc_occupancy", "4096\n");
  file("/box/mon_data/mon_L3_00/mbm_total_bytes", "10\n");
  file("/box/mon_data/mon_L3_00/mbm_local_bytes", "5\n");
  file("/box/mon_data/mon_L3_00/llc_occupancy", "Unavailable\n");
  EXPECT_EQ(shown(groups), before_counters +
                               ",\"mbm_stats\":[{\"mbm_total_bytes\":10,\"mbm_local_bytes\":5},"
                               "{\"mbm_total_bytes\":30}],\"cmt_stats\":[{\"llc_occupancy\":4096}]}");
  // Its own monitoring group counts it alone.
  groups.monitor_path = root_ + "/box/mon_groups/c";
  file("/box/mon_groups/c/mon_data/mon_L3_00/llc_occupancy", "7\n");
  EXPECT_EQ(shown(groups), before_counters + ",\"cmt_stats\":[{\"llc_occupancy\":7}]}");
}

TEST_F(ResctrlFiles, WhatTheHardwareHasNotIsLeftOut) {
  file("/schemata", "L3CODE:0=fff\nL3DATA:0=fff\n");
  file("/info/L3CODE/cbm_mask", "fff\n");
  EXPECT_EQ(shown({.class_path = root_, .monitor_path = {}}),
            "{\"l3_cache_info\":{\"cbm_mask\":\"fff\"},\"l3_cache_schema_root\":\"L3CODE:0=fff\","
            "\"l3_cache_schema\":\"L3CODE:0=fff\"}");
  EXPECT_EQ(shown({}), "{}");
}

}  // namespace
}  // namespace cooper::cli::coop
