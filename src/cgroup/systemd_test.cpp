#include "cgroup/systemd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace cooper::cgroup {
namespace {

using dbus::Bus;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// "Name=text@since"
std::vector<std::string> texts(const std::vector<UnitProperty>& properties) {
  std::vector<std::string> out;
  for (const UnitProperty& p : properties)
    out.push_back(p.name + "=" + dbus::print_text(p.value) + (p.since != 0 ? "@" + std::to_string(p.since) : ""));
  return out;
}
std::vector<std::string> limits(const oci::Resources& resources, Tree tree, Occasion occasion = Occasion::kUpdate) {
  const auto made = resource_properties(resources, tree, occasion);
  return made.ok() ? texts(*made) : std::vector<std::string>{"error: " + made.error().message()};
}

TEST(UnitName, Defaults) {
  const auto name = parse_unit_name("", "box", Bus::kSystem);
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(*name, (UnitName{"system.slice", "coop-box.scope", "/system.slice/coop-box.scope"}));
  EXPECT_EQ(parse_unit_name("", "box", Bus::kUser)->slice, "user.slice");
  EXPECT_EQ(parse_unit_name("", "a+b", Bus::kSystem)->unit, "coop-a\\x2bb.scope");
}

TEST(UnitName, SlicePrefixName) {
  EXPECT_EQ(parse_unit_name("machine.slice:libpod:0a", "x", Bus::kSystem)->path, "/machine.slice/libpod-0a.scope");
  EXPECT_EQ(parse_unit_name("a-b.slice::n", "x", Bus::kSystem)->path, "/a.slice/a-b.slice/n.scope");
  EXPECT_EQ(parse_unit_name("-.slice:p:n", "x", Bus::kSystem)->path, "/p-n.scope");
  EXPECT_EQ(parse_unit_name(":p:n", "x", Bus::kSystem)->path, "/system.slice/p-n.scope");
  const auto slice = parse_unit_name("a.slice:p:a-b.slice", "x", Bus::kSystem);
  EXPECT_TRUE(slice->is_slice());
  EXPECT_EQ(slice->path, "/a.slice/a-b.slice");
}

TEST(UnitName, Mistakes) {
  for (const auto bad :
       {"/a/b", "a:b", "a:b:c:d", "x:p:n", ".slice:p:n", "a--b.slice:p:n", "-a.slice:p:n", "a/b.slice:p:n",
        "a.slice:p:", "a.slice:p:n/m", "a.slice:p:n m", "a.slice:p@:n", "a.slice:p:-.slice"}) {
    const auto name = parse_unit_name(bad, "x", Bus::kSystem);
    ASSERT_FALSE(name.ok()) << bad;
    EXPECT_EQ(name.error().code(), Errc::kInvalidArgument) << bad;
    EXPECT_THAT(name.error().message(), HasSubstr("/linux/cgroupsPath")) << bad;
  }
  EXPECT_FALSE(parse_unit_name("a.slice:p:" + std::string(300, 'n'), "x", Bus::kSystem).ok());
}

TEST(Slice, Expands) {
  EXPECT_EQ(*expand_slice("a-b-c.slice"), "/a.slice/a-b.slice/a-b-c.slice");
  EXPECT_EQ(*expand_slice("system.slice"), "/system.slice");
  EXPECT_EQ(*expand_slice("-.slice"), "");
  EXPECT_FALSE(expand_slice("system.scope").ok());
}

TEST(Unit, Properties) {
  const auto name = parse_unit_name("m.slice:p:n", "box", Bus::kSystem);
  EXPECT_THAT(
      texts(unit_properties(*name, "box", Tree::kV2)),
      ElementsAre("Description='coop container box'", "Slice='m.slice'", "Delegate=true", "MemoryAccounting=true",
                  "CPUAccounting=true", "IOAccounting=true", "TasksAccounting=true", "DefaultDependencies=false"));
  EXPECT_THAT(texts(unit_properties(*name, "box", Tree::kV1)),
              AllOf(Contains("BlockIOAccounting=true"), Not(Contains("IOAccounting=true"))));
  const auto slice = parse_unit_name("m.slice:p:m-n.slice", "box", Bus::kSystem);
  EXPECT_THAT(texts(unit_properties(*slice, "box", Tree::kV2)),
              AllOf(Contains("Wants=['m.slice']"), Not(Contains("Delegate=true"))));
}

TEST(Limits, NothingAskedNothingSent) {
  EXPECT_THAT(limits({}, Tree::kV1), IsEmpty());
  EXPECT_THAT(limits({}, Tree::kV2), IsEmpty());
}

TEST(Limits, Memory) {
  oci::Resources r;
  r.memory = oci::Memory{.limit = 100, .reservation = 50, .swap = 150};
  EXPECT_THAT(limits(r, Tree::kV1), ElementsAre("MemoryLimit=uint64 100"));
  EXPECT_THAT(limits(r, Tree::kV2),
              ElementsAre("MemoryMax=uint64 100", "MemoryLow=uint64 50", "MemorySwapMax=uint64 50"));
  r.memory = oci::Memory{.limit = -1};
  EXPECT_THAT(limits(r, Tree::kV2),
              ElementsAre("MemoryMax=uint64 18446744073709551615", "MemorySwapMax=uint64 18446744073709551615"));
  r.memory = oci::Memory{.limit = -1, .swap = 150};
  EXPECT_THAT(limits(r, Tree::kV2), ElementsAre("MemoryMax=uint64 18446744073709551615", "MemorySwapMax=uint64 150"));
}

TEST(Limits, Cpu) {
  oci::Resources r;
  r.cpu = oci::Cpu{.shares = 1024};
  EXPECT_THAT(limits(r, Tree::kV1), ElementsAre("CPUShares=uint64 1024"));
  EXPECT_THAT(limits(r, Tree::kV2), ElementsAre("CPUWeight=uint64 100"));
  r.cpu->idle = 1;
  EXPECT_THAT(limits(r, Tree::kV2), ElementsAre("CPUWeight=uint64 0@252"));
  EXPECT_THAT(limits(r, Tree::kV1), ElementsAre("CPUShares=uint64 1024"));
  // systemd takes the last word on a property.
  r.unified = {{"cpu.idle", "1"}, {"cpu.weight", "50"}};
  for (const std::int64_t idle : {0, 1}) {
    r.cpu->idle = idle;
    EXPECT_THAT(limits(r, Tree::kV2), ElementsAre("CPUWeight=uint64 0@252"));
  }
  r.unified["cpu.idle"] = "0";
  EXPECT_THAT(limits(r, Tree::kV2), ElementsAre("CPUWeight=uint64 100", "CPUWeight=uint64 50"));
  r.unified.clear();
  r.cpu = oci::Cpu{.period = 200000, .quota = 50000};
  EXPECT_THAT(limits(r, Tree::kV2),
              ElementsAre("CPUQuotaPeriodUSec=uint64 200000@242", "CPUQuotaPerSecUSec=uint64 250000"));
  r.cpu = oci::Cpu{.quota = -1};
  EXPECT_THAT(limits(r, Tree::kV1), ElementsAre("CPUQuotaPerSecUSec=uint64 18446744073709551615"));
  r.cpu = oci::Cpu{.cpus = "0-2,5,9", .mems = "0"};
  EXPECT_THAT(limits(r, Tree::kV2),
              ElementsAre("AllowedCPUs=[byte 39, byte 2]@244", "AllowedMemoryNodes=[byte 1]@244"));
  r.cpu->cpus = "2-1";
  EXPECT_THAT(limits(r, Tree::kV2), ElementsAre(HasSubstr("error: '2-1' is no list")));
}

TEST(Limits, QuotaIsRoundedUpToWholePercents) {
  oci::Resources r;
  r.cpu = oci::Cpu{.period = 100000, .quota = 33333};
  EXPECT_THAT(limits(r, Tree::kV2), Contains("CPUQuotaPerSecUSec=uint64 340000"));
  round_quota(r);
  EXPECT_EQ(r.cpu->quota, 34000);
  r.cpu = oci::Cpu{.quota = 20000};
  round_quota(r);
  EXPECT_EQ(r.cpu->quota, 20000);
  r.cpu = oci::Cpu{.quota = -1};
  round_quota(r);
  EXPECT_EQ(r.cpu->quota, -1);
  r.cpu = oci::Cpu{.period = 1, .quota = INT64_MAX};
  round_quota(r);
  EXPECT_EQ(r.cpu->quota, INT64_MAX);
}

TEST(Limits, ProcessesAndWeights) {
  oci::Resources r;
  r.pids_limit = 0;
  EXPECT_THAT(limits(r, Tree::kV2), ElementsAre("TasksMax=uint64 1"));
  r.pids_limit = -1;
  EXPECT_THAT(limits(r, Tree::kV1), ElementsAre("TasksMax=uint64 18446744073709551615"));
  r.pids_limit.reset();
  r.block_io = oci::BlockIo{.weight = 10};
  EXPECT_THAT(limits(r, Tree::kV1), ElementsAre("BlockIOWeight=uint64 10"));
  EXPECT_THAT(limits(r, Tree::kV2), ElementsAre("IOWeight=uint64 1"));
}

TEST(Limits, SingleBlockDevices) {
  oci::Resources r;
  r.block_io = oci::BlockIo{};
  r.block_io->weight_devices = {{8, 0, 10, {}}, {8, 16, {}, 5}};
  r.block_io->read_bps = {{8, 0, 1000}, {253, 1, 0}};
  r.block_io->write_bps = {{8, 0, 2000}};
  r.block_io->read_iops = {{8, 0, 30}};
  r.block_io->write_iops = {{8, 0, 40}};
  EXPECT_THAT(
      limits(r, Tree::kV2),
      ElementsAre("IODeviceWeight=[('/dev/block/8:0', uint64 1)]",
                  "IOReadBandwidthMax=[('/dev/block/8:0', uint64 1000), ('/dev/block/253:1', uint64 "
                  "18446744073709551615)]",
                  "IOWriteBandwidthMax=[('/dev/block/8:0', uint64 2000)]",
                  "IOReadIOPSMax=[('/dev/block/8:0', uint64 30)]", "IOWriteIOPSMax=[('/dev/block/8:0', uint64 40)]"));
  EXPECT_THAT(limits(r, Tree::kV1),
              ElementsAre("BlockIODeviceWeight=[('/dev/block/8:0', uint64 10)]",
                          "BlockIOReadBandwidth=[('/dev/block/8:0', uint64 1000), ('/dev/block/253:1', uint64 "
                          "18446744073709551615)]",
                          "BlockIOWriteBandwidth=[('/dev/block/8:0', uint64 2000)]"));
}

TEST(Limits, Unified) {
  oci::Resources r;
  r.unified = {{"cpu.max", "50000 100000"}, {"memory.high", "max"}, {"memory.min", "7"},
               {"pids.max", "0"},           {"cpuset.cpus", "1"},   {"memory.oom.group", "1"},
               {"io.max", "8:0 rbps=1"},    {"cgroup.freeze", "0"}};
  EXPECT_THAT(limits(r, Tree::kV2),
              ElementsAre("CPUQuotaPeriodUSec=uint64 100000@242", "CPUQuotaPerSecUSec=uint64 500000",
                          "AllowedCPUs=[byte 2]@244", "MemoryHigh=uint64 18446744073709551615", "MemoryMin=uint64 7",
                          "TasksMax=uint64 1"));
  EXPECT_THAT(limits(r, Tree::kV2, Occasion::kCreate), Contains("OOMPolicy='kill'@253"));
  r.unified = {{"memory.max", "lots"}};
  EXPECT_THAT(limits(r, Tree::kV2), ElementsAre(HasSubstr("error: unified resource 'memory.max'")));
  r.unified = {{"cpu.max", "1 0"}};
  EXPECT_THAT(limits(r, Tree::kV2), ElementsAre(HasSubstr("error: unified resource 'cpu.max'")));
}

TEST(Devices, AllowedOnesAfterDenyAll) {
  oci::Resources r;
  r.devices = {{false, "a", {}, {}, "rwm"}, {true, "c", 1, 3, "rw"},  {true, "c", 1, 3, "m"},
               {true, "c", 136, {}, "rwm"}, {true, "b", {}, {}, "m"}, {true, "c", 10, 200, ""},
               {false, "c", 10, 200, "w"}};
  EXPECT_THAT(limits(r, Tree::kV1, Occasion::kCreate),
              ElementsAre("DeviceAllow=@a(ss) []", "DevicePolicy='strict'",
                          "DeviceAllow=[('/dev/char/1:3', 'rwm'), ('char-136', 'rwm'), ('block-*', 'm'), "
                          "('/dev/char/10:200', 'rm')]"));
  // Everything again: what is denied afterwards cannot be said.
  r.devices.push_back({true, "a", {}, {}, "rwm"});
  EXPECT_THAT(limits(r, Tree::kV2, Occasion::kCreate), ElementsAre("DeviceAllow=@a(ss) []", "DevicePolicy='auto'"));
  // Those of an update too, or systemd would write the old ones again.
  EXPECT_THAT(limits(r, Tree::kV2, Occasion::kUpdate), ElementsAre("DeviceAllow=@a(ss) []", "DevicePolicy='auto'"));
}

TEST(Annotations, BecomeProperties) {
  const auto made = annotation_properties({{"a", "b"},
                                           {"org.systemd.property.CollectMode", "'inactive-or-failed'"},
                                           {"org.systemd.property.TimeoutStopSec", "1.5"},
                                           {"org.systemd.property.TimeoutStopUSec", "uint64 7"},
                                           {"org.systemd.propertyx", "1"}});
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_THAT(texts(*made), ElementsAre("CollectMode='inactive-or-failed'", "TimeoutStopUSec=uint64 1500000",
                                        "TimeoutStopUSec=uint64 7"));
}

TEST(Annotations, Mistakes) {
  for (const auto& [name, value] : std::map<std::string, std::string>{{"CollectMode", "inactive"},
                                                                      {"TimeoutStopSec", "'5'"},
                                                                      {"TimeoutStartSec", "-1"},
                                                                      {"a", "1"},
                                                                      {"Timeout1", "1"}}) {
    const auto made = annotation_properties({{"org.systemd.property." + name, value}});
    ASSERT_FALSE(made.ok()) << name;
    EXPECT_EQ(made.error().code(), Errc::kInvalidArgument);
    EXPECT_THAT(made.error().message(), HasSubstr("annotation 'org.systemd.property." + name));
  }
}

TEST(Versions, OlderManagersAreNotAskedForMore) {
  const std::vector<UnitProperty> all{{"A", dbus::Value::boolean(true)}, {"B", dbus::Value::boolean(true), 253}};
  EXPECT_EQ(newest_needed(all), 253);
  EXPECT_EQ(for_version(all, 252).size(), 1U);
  EXPECT_EQ(for_version(all, 253).size(), 2U);
}

}  // namespace
}  // namespace cooper::cgroup
