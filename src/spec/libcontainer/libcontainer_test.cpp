#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include <functional>

#include "spec/libcontainer/parse.h"
#include "spec/libcontainer/print.h"
#include "spec/libcontainer/validate.h"

namespace cooper::spec::libcontainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string sample(const std::string& name) {
  const std::string path = COOPER_SOURCE_DIR "/src/spec/libcontainer/testdata/" + name + ".json";
  std::string out;
  FILE* file = ::fopen(path.c_str(), "re");
  if (file == nullptr) {
    ADD_FAILURE() << path;
    return "{}";
  }
  char buffer[4096];
  for (std::size_t n = 0; (n = ::fread(buffer, 1, sizeof buffer, file)) > 0;) out.append(buffer, n);
  (void)::fclose(file);
  return out;
}

Config parsed(const std::string& text) {
  auto config = parse_config(text);
  EXPECT_TRUE(config.ok()) << (config.ok() ? "" : config.error().message());
  return config.ok() ? std::move(config).value() : Config();
}

std::string parse_error(const std::string& text) {
  const auto config = parse_config(text);
  EXPECT_FALSE(config.ok());
  return config.ok() ? "" : config.error().message();
}

constexpr const char* kSamples[] = {"minimal", "apparmor", "attach_to_bridge", "host-pid", "selinux", "userns"};

TEST(Parse, SamplesReadAndAreValid) {
  for (const char* name : kSamples) {
    SCOPED_TRACE(name);
    const Config config = parsed(sample(name));
    EXPECT_THAT(config.unknown, IsEmpty());
    const Status valid = validate(config);
    EXPECT_TRUE(valid.ok()) << valid.error().message();
  }
}

TEST(Parse, PrintsWhatItRead) {
  for (const char* name : kSamples) {
    SCOPED_TRACE(name);
    EXPECT_EQ(print_config(parsed(sample(name))) + "\n", sample(name));
  }
}

// Each member of a generation survives, so each is read and printed.
TEST(Parse, EveryMemberOfTheNamedGeneration) {
  const Config config = parsed(sample("every_member_named"));
  EXPECT_EQ(config.generation, Generation::kNamed);
  EXPECT_THAT(config.unknown, IsEmpty());
  EXPECT_THAT(unprintable(config, Generation::kNamed), IsEmpty());
  EXPECT_EQ(print_config(config) + "\n", sample("every_member_named"));
  EXPECT_EQ(config.root_propagation, MS_SHARED | MS_REC);
  EXPECT_EQ(config.mounts[0].premount_cmds[0].dir, "/tmp");
  EXPECT_EQ(config.seccomp->syscalls[0].args[6].op, Operator::kMaskEqualTo);
  EXPECT_EQ(config.cgroups->freezer, FreezerState::kFrozen);
}

TEST(Parse, EveryMemberOfTheNumericGeneration) {
  const Config config = parsed(sample("every_member_numeric"));
  EXPECT_EQ(config.generation, Generation::kNumeric);
  EXPECT_THAT(config.unknown, IsEmpty());
  EXPECT_EQ(print_config(config) + "\n", sample("every_member_numeric"));
  EXPECT_EQ(config.root_propagation, MS_PRIVATE | MS_REC);
  EXPECT_EQ(config.sysctl.at("kernel.shmmni"), "8192");
  const auto& calls = config.seccomp->syscalls;
  EXPECT_EQ(calls[0].action, Action::kErrno);
  EXPECT_EQ(calls[0].errno_value, 1);
  EXPECT_EQ(calls[0].number, 92U);
  EXPECT_EQ(calls[1].action, Action::kKill);
  EXPECT_EQ(calls[2].action, Action::kTrap);
  EXPECT_EQ(calls[3].action, Action::kAllow);
  EXPECT_EQ(calls[4].args[3].op, Operator::kLessThan);
  EXPECT_EQ(config.cgroups->blkio_weight_device.size(), 2U);
  EXPECT_EQ(config.cgroups->blkio_weight_device[1].minor, 16);
  EXPECT_EQ(config.cgroups->write_iops[0].rate, 4U);
}

TEST(Parse, QuotaAndPeriodAreNotTheRealtimeOnes) {
  const Config config = parsed(R"({"cgroups": {"cpu_quota": 50000, "cpu_period": 100000, "cpu_rt_runtime": 1000}})");
  EXPECT_EQ(config.cgroups->cpu_quota, 50000);
  EXPECT_EQ(config.cgroups->cpu_period, 100000);
  EXPECT_EQ(config.cgroups->cpu_rt_runtime, 1000);
  EXPECT_EQ(config.cgroups->cpu_rt_period, 0);
}

TEST(Parse, NullsAreAbsent) {
  const Config config =
      parsed(R"({"mounts": null, "devices": null, "cgroups": null, "seccomp": null, "rlimits": null})");
  EXPECT_FALSE(config.cgroups.has_value());
  EXPECT_THAT(config.mounts, IsEmpty());
}

TEST(Parse, AbsentSwappinessStaysAsItIs) {
  EXPECT_EQ(parsed(R"({"cgroups": {}})").cgroups->memory_swappiness, -1);
  EXPECT_EQ(parsed(R"({"cgroups": {"memory_swappiness": 0}})").cgroups->memory_swappiness, 0);
}

TEST(Parse, ListsUnknownMembers) {
  const Config config = parsed(R"({"rootfs": "/r", "colour": 1, "mounts": [{"destination": "/x", "typo": true}]})");
  EXPECT_EQ(config.unknown.size(), 2U);
  EXPECT_TRUE(config.unknown.contains("/colour"));
  EXPECT_TRUE(config.unknown.contains("/mounts/0/typo"));
}

TEST(Parse, LaterDeviceRulesAreTaken) {
  const Config config = parsed(R"({"cgroups": {"devices": [{"type": 97, "allow": false},
      {"type": 99, "major": 1, "minor": 3, "permissions": "rwm", "allow": true}]}})");
  EXPECT_FALSE(config.cgroups->allow_all_devices);
  EXPECT_EQ(config.cgroups->allowed_devices.at(0).cgroup_string(), "c 1:3 rwm");
}

TEST(Parse, LaterDeviceRulesCountInTheirOrder) {
  const auto cgroup = [](const std::string& rules) {
    return *parsed(R"({"cgroups": {"allowed_devices": [{"type": 99, "major": 1, "minor": 8}], "devices": [)" + rules +
                   "]}}")
                .cgroups;
  };
  const auto rule = [](int type, int major, int minor, const char* letters, bool allow) {
    return R"({"type": )" + std::to_string(type) + R"(, "major": )" + std::to_string(major) + R"(, "minor": )" +
           std::to_string(minor) + R"(, "permissions": ")" + letters + R"(", "allow": )" + (allow ? "true}" : "false}");
  };
  // What stood before a rule for all devices does not count, nor do the two lists.
  const Cgroup plain =
      cgroup(rule(99, 1, 3, "r", true) + "," + rule(97, -1, -1, "rwm", false) + "," + rule(99, 1, 5, "rw", true));
  EXPECT_EQ(plain.allowed_devices.size(), 1U);
  EXPECT_EQ(plain.allowed_devices[0].cgroup_string(), "c 1:5 rw");
  EXPECT_THAT(plain.device_rules, IsEmpty());
  const Cgroup ordered =
      cgroup(rule(97, -1, -1, "rwm", false) + "," + rule(99, -1, -1, "rwm", true) + "," + rule(99, 1, 5, "w", false));
  EXPECT_FALSE(ordered.allow_all_devices);
  EXPECT_THAT(ordered.allowed_devices, IsEmpty());
  ASSERT_EQ(ordered.device_rules.size(), 2U);
  EXPECT_TRUE(ordered.device_rules[0].allow);
  EXPECT_FALSE(ordered.device_rules[1].allow);
  EXPECT_EQ(ordered.device_rules[1].device.cgroup_string(), "c 1:5 w");
  // A rule for some uses of all devices is none for everything.
  const Cgroup nodes = cgroup(rule(97, -1, -1, "m", true));
  EXPECT_FALSE(nodes.allow_all_devices);
  EXPECT_EQ(nodes.device_rules.size(), 1U);
  EXPECT_TRUE(validate_cgroup(nodes).ok());
}

TEST(Parse, SlashesAtTheEndOfTheRootAreLeftOut) {
  EXPECT_EQ(parsed(R"({"rootfs": "/r//"})").rootfs, "/r");
  EXPECT_EQ(parsed(R"({"rootfs": "/"})").rootfs, "/");
}

TEST(Parse, WrongValuesNameTheirPlace) {
  EXPECT_THAT(parse_error(R"({"mounts": [{"flags": "ro"}]})"), HasSubstr("/mounts/0/flags: must be a number"));
  EXPECT_THAT(parse_error(R"({"rootfs": 1})"), HasSubstr("/rootfs: must be a string"));
  EXPECT_THAT(parse_error(R"({"devices": [{"type": "c"}]})"), HasSubstr("/devices/0/type"));
  EXPECT_THAT(parse_error(R"({"devices": [{"type": 0}]})"), HasSubstr("99 for 'c'"));
  EXPECT_THAT(parse_error(R"({"cgroups": {"blkio_throttle_read_bps_device": "8 1"}})"), HasSubstr("MAJOR:MINOR VALUE"));
  EXPECT_THAT(parse_error(R"({"cgroups": {"blkio_weight_device": "8:0 70000"}})"), HasSubstr("between 10 and 1000"));
  EXPECT_THAT(parse_error(R"({"cgroups": {"freezer": "cold"}})"), HasSubstr("/cgroups/freezer"));
  EXPECT_THAT(parse_error(R"({"seccomp": {"default_action": 6}})"), HasSubstr("/seccomp/default_action"));
  EXPECT_THAT(parse_error(R"({"seccomp": {"syscalls": [{"name": "x"}]}})"), HasSubstr("'action' is missing"));
  EXPECT_THAT(parse_error(R"({"seccomp": {"syscalls": [{"name": "x", "action": 0}]}})"), HasSubstr("/action"));
  EXPECT_THAT(parse_error(R"({"seccomp": {"syscalls": [{"value": 1, "action": -4}]}})"), HasSubstr("/action"));
  EXPECT_THAT(parse_error(R"({"seccomp": {"syscalls": [{"value": 1, "action": 1, "args": [{"op": 5}]}]}})"),
              HasSubstr("/args/0/op"));
  EXPECT_THAT(parse_error(R"({"seccomp": {"syscalls": [{"name": "x", "action": 1, "args": [{"op": 8}]}]}})"),
              HasSubstr("/args/0/op"));
  for (const char* value : {"0", "4096", "-1"}) {
    const std::string rule = R"({"name": "x", "action": 2, "errnoRet": )" + std::string(value) + "}";
    EXPECT_THAT(parse_error(R"({"seccomp": {"syscalls": [)" + rule + "]}}"), HasSubstr("/syscalls/0/errnoRet"));
  }
  EXPECT_THAT(parse_error("[]"), HasSubstr("must be an object"));
}

TEST(Parse, TellsTheFormatsApart) {
  EXPECT_TRUE(*looks_like_libcontainer(sample("minimal"), "x"));
  EXPECT_FALSE(*looks_like_libcontainer(R"({"ociVersion": "1.0.0", "hostname": "x"})", "x"));
  EXPECT_FALSE(looks_like_libcontainer("7", "x").ok());
}

// Members of both generations in one file, as somebody writes it who adds to an older one: what is printed and read
// again prints the same, and holds what the first text held.
TEST(Print, MixedGenerationsLoseNothing) {
  constexpr const char* kNumericRules = R"("seccomp": {"syscalls": [{"value": 90, "action": 1},
      {"value": 1, "action": 38, "args": [{"index": 0, "value": 1, "op": 4}]}, {"value": 92, "action": -3}]})";
  for (const char* newer : {R"("version": "1")", R"("sysctl": {"kernel.shmmni": "1"})", R"("oom_score_adj": 5)",
                            R"("Hooks": {"poststop": [{"path": "/h", "args": ["h"]}]})",
                            R"("cgroups": {"blkio_weight_device": [{"major": 8, "weight": 10, "leafWeight": 20}]})",
                            R"("cgroups": {"devices": [{"type": 99, "major": 1, "allow": true},
                                                       {"type": 99, "major": 1, "minor": 3, "allow": false}]})"}) {
    for (const std::string older : {kNumericRules, R"("privatefs": true)", R"("system_properties": {"a": "b"})"}) {
      SCOPED_TRACE(older + " with " + newer);
      const Config first = parsed("{" + older + ", " + newer + R"(, "rootfs": "/r"})");
      EXPECT_EQ(first.generation, Generation::kNamed);
      EXPECT_THAT(unprintable(first, first.generation), IsEmpty());
      const std::string text = print_config(first);
      const Config again = parsed(text);
      EXPECT_EQ(print_config(again), text);
      EXPECT_EQ(again.hooks.has_value(), first.hooks.has_value());
      EXPECT_EQ(again.root_propagation, first.root_propagation);
      EXPECT_EQ(again.sysctl, first.sysctl);
      ASSERT_EQ(again.seccomp.has_value(), first.seccomp.has_value());
      if (first.seccomp) {
        const auto& calls = again.seccomp->syscalls;
        ASSERT_EQ(calls.size(), 3U);
        EXPECT_EQ(calls[1].number, 1U);
        EXPECT_EQ(calls[1].errno_value, 38);
        EXPECT_EQ(calls[1].args.at(0).op, Operator::kMaskEqualTo);
        EXPECT_EQ(calls[2].action, Action::kKill);
      }
      if (!first.cgroups) continue;
      ASSERT_TRUE(again.cgroups.has_value());
      EXPECT_EQ(again.cgroups->blkio_weight_device.size(), first.cgroups->blkio_weight_device.size());
      ASSERT_EQ(again.cgroups->device_rules.size(), first.cgroups->device_rules.size());
      if (!first.cgroups->device_rules.empty()) {
        EXPECT_FALSE(again.cgroups->device_rules[1].allow);
      }
      if (!first.cgroups->blkio_weight_device.empty()) {
        EXPECT_EQ(again.cgroups->blkio_weight_device[0].leaf_weight, 20);
      }
    }
  }
}

TEST(Print, ErrnosOfNamedRules) {
  const Config config =
      parsed(R"({"seccomp": {"default_action": 4, "syscalls": [{"name": "clone3", "action": 2, "errnoRet": 38}]}})");
  EXPECT_EQ(config.seccomp->syscalls[0].errno_value, 38);
  EXPECT_THAT(config.unknown, IsEmpty());
  EXPECT_EQ(parsed(print_config(config)).seccomp->syscalls[0].errno_value, 38);
}

TEST(Print, WhatCannotBeSaidAtAllIsListed) {
  Config config;
  config.seccomp.emplace().syscalls = {{"", 1, Action::kTrace, 0, {}}};
  ASSERT_EQ(unprintable(config, Generation::kNamed).size(), 1U);
  EXPECT_EQ(unprintable(config, Generation::kNamed)[0].pointer, "/seccomp/syscalls/0");
}

TEST(Print, NumericGenerationNamesWhatItCannotHold) {
  std::vector<std::string> pointers;
  for (const Unprintable& entry : unprintable(parsed(sample("every_member_named")), Generation::kNumeric))
    pointers.push_back(entry.pointer);
  EXPECT_THAT(pointers, ElementsAre("/seccomp/architectures", "/seccomp/syscalls/0", "/seccomp/syscalls/1",
                                    "/seccomp/syscalls/2", "/seccomp/syscalls/3", "/rootPropagation", "/oom_score_adj",
                                    "/no_new_privileges", "/Hooks", "/version", "/cgroups/blkio_leaf_weight",
                                    "/cgroups/blkio_weight_device", "/mounts/0/propagation_flags"));
}

TEST(Print, HookState) {
  EXPECT_EQ(print_hook_state({"0.1", "box", 7, "/r"}), R"({"version":"0.1","id":"box","pid":7,"root":"/r"})");
}

TEST(Types, Namespaces) {
  Namespaces spaces{{"NEWNS", ""}, {"NEWPID", "/proc/1/ns/pid"}};
  EXPECT_TRUE(spaces.contains("NEWPID"));
  EXPECT_FALSE(spaces.contains("NEWNET"));
  EXPECT_EQ(spaces.clone_flags(), static_cast<std::uint64_t>(CLONE_NEWNS));
  spaces.add("NEWNET", "");
  spaces.add("NEWPID", "");
  EXPECT_EQ(spaces.entries().size(), 3U);
  EXPECT_EQ(spaces.clone_flags(), static_cast<std::uint64_t>(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID));
  EXPECT_TRUE(spaces.remove("NEWNS"));
  EXPECT_FALSE(spaces.remove("NEWNS"));
  EXPECT_EQ(spaces.find("NEWNET")->path_of(42), "/proc/42/ns/net");
  EXPECT_EQ((Namespace{"NEWNS", ""}.path_of(1)), "/proc/1/ns/mnt");
  EXPECT_EQ((Namespace{"NEWUSER", "/x"}.path_of(1)), "/x");
}

TEST(Types, DeviceStrings) {
  EXPECT_EQ((Device{U'c', "", 1, 3, "rwm", 0, 0, 0}.cgroup_string()), "c 1:3 rwm");
  EXPECT_EQ((Device{U'b', "", kWildcard, kWildcard, "m", 0, 0, 0}.cgroup_string()), "b *:* m");
  EXPECT_EQ((Device{U'c', "", 1, 3, "", 0, 0, 0}.mkdev()), static_cast<std::uint64_t>(makedev(1, 3)));
  EXPECT_EQ((Device{U'c', "", 10, 70000, "", 0, 0, 0}.mkdev()), static_cast<std::uint64_t>(makedev(10, 70000)));
  EXPECT_EQ((WeightDevice{8, 0, 500, 300}.weight_string()), "8:0 500");
  EXPECT_EQ((WeightDevice{8, 0, 500, 300}.leaf_weight_string()), "8:0 300");
  EXPECT_EQ((ThrottleDevice{8, 16, 1048576}.string()), "8:16 1048576");
  EXPECT_EQ((IfPrioMap{"eth0", 5}.cgroup_string()), "eth0 5");
}

TEST(Types, DeviceTables) {
  EXPECT_EQ(simple_devices().size(), 6U);
  EXPECT_EQ(allowed_devices().size(), 14U);
  EXPECT_EQ(allowed_devices()[0].cgroup_string(), "c *:* m");
  EXPECT_EQ(auto_created_devices()[0].path, "/dev/fuse");
  for (const Device& device : simple_devices()) EXPECT_EQ(device.file_mode, 0666U);
}

TEST(Types, HostIds) {
  const Config mapped = parsed(sample("userns"));
  EXPECT_EQ(mapped.host_uid(), 1000);
  EXPECT_EQ(mapped.host_gid(), 1000);
  EXPECT_EQ(parsed(sample("minimal")).host_uid(), 0);
  Config none = mapped;
  none.uid_mappings.clear();
  EXPECT_EQ(none.host_uid(), std::nullopt);
}

std::string problem(const std::function<void(Config&)>& change) {
  Config config = parsed(sample("minimal"));
  config.namespaces.add("NEWUSER", "");
  config.cgroups = Cgroup{};
  change(config);
  const Status valid = validate(config);
  return valid.ok() ? "" : valid.error().message();
}

TEST(Validate, NamesTheOffendingMember) {
  const auto veth = [](Config& c) -> Network& {
    Network network;
    network.type = "veth";
    network.name = "eth0";
    network.bridge = "br0";
    c.networks = {network};
    return c.networks[0];
  };
  EXPECT_EQ(problem([](Config&) {}), "");
  EXPECT_THAT(problem([](Config& c) { c.rootfs = ""; }), HasSubstr("/rootfs"));
  EXPECT_THAT(problem([](Config& c) { c.rootfs = "relative"; }), HasSubstr("/rootfs"));
  EXPECT_THAT(problem([](Config& c) { c.root_propagation = MS_SHARED | MS_SLAVE; }), HasSubstr("/rootPropagation"));
  EXPECT_THAT(problem([](Config& c) { c.namespaces.remove("NEWUTS"); }), HasSubstr("/hostname"));
  EXPECT_THAT(problem([](Config& c) { c.namespaces.remove("NEWNET"); }), HasSubstr("/networks"));
  EXPECT_THAT(problem([](Config& c) { c.namespaces.remove("NEWNS"); }), HasSubstr("/mask_paths"));
  EXPECT_THAT(problem([](Config& c) { c.namespaces.entries()[0].type = "NEWCOLD"; }), HasSubstr("/namespaces/0/type"));
  EXPECT_THAT(problem([](Config& c) { c.namespaces.entries().push_back({"NEWNS", ""}); }), HasSubstr("named twice"));
  EXPECT_THAT(problem([](Config& c) { c.uid_mappings = {{0, 1000, 0}}; }), HasSubstr("/uid_mappings/0/size"));
  EXPECT_THAT(problem([](Config& c) {
                c.namespaces.remove("NEWUSER");
                c.gid_mappings = {{0, 1, 1}};
              }),
              HasSubstr("/gid_mappings"));
  EXPECT_THAT(problem([](Config& c) { c.mounts[0].destination = ""; }), HasSubstr("/mounts/0/destination"));
  EXPECT_THAT(problem([](Config& c) { c.mounts[0].relabel = "q"; }), HasSubstr("/mounts/0/relabel"));
  EXPECT_THAT(problem([](Config& c) { c.mounts[0].propagation_flags = {MS_SHARED | MS_SLAVE}; }),
              HasSubstr("/mounts/0/propagation_flags/0"));
  EXPECT_THAT(problem([](Config& c) { c.mounts[0].premount_cmds = {{}}; }), HasSubstr("/premount_cmds/0/path"));
  EXPECT_THAT(problem([](Config& c) { c.devices[0].type = U'x'; }), HasSubstr("/devices/0/type"));
  EXPECT_THAT(problem([](Config& c) { c.devices[0].major = kWildcard; }), HasSubstr("/devices/0/major"));
  EXPECT_THAT(problem([](Config& c) { c.capabilities = {"CAP_KILL"}; }), HasSubstr("/capabilities/0"));
  EXPECT_THAT(problem([](Config& c) { c.rlimits = {{99, 1, 1}}; }), HasSubstr("/rlimits/0/type"));
  EXPECT_THAT(problem([](Config& c) { c.rlimits = {{7, 1, 2}}; }), HasSubstr("/rlimits/0/soft"));
  EXPECT_THAT(problem([](Config& c) { c.oom_score_adj = 1001; }), HasSubstr("/oom_score_adj"));
  EXPECT_THAT(problem([](Config& c) { c.parent_death_signal = 65; }), HasSubstr("/parent_death_signal"));
  EXPECT_EQ(problem([&](Config& c) { veth(c).address = "10.0.0.2/24"; }), "");
  EXPECT_THAT(problem([&](Config& c) { veth(c).address = "10.0.0.2"; }), HasSubstr("/networks/0/address"));
  EXPECT_THAT(problem([&](Config& c) { veth(c).address = "fd00::1/64"; }), HasSubstr("/networks/0/address"));
  EXPECT_THAT(problem([&](Config& c) { veth(c).ipv6_address = "fd00::1/129"; }), HasSubstr("/ipv6_address"));
  EXPECT_THAT(problem([&](Config& c) { veth(c).gateway = "gw"; }), HasSubstr("/gateway"));
  EXPECT_THAT(problem([&](Config& c) { veth(c).mac_address = "02:42"; }), HasSubstr("/mac_address"));
  EXPECT_THAT(problem([&](Config& c) { veth(c).name = "a-name-beyond-15"; }), HasSubstr("/networks/0/name"));
  EXPECT_THAT(problem([&](Config& c) { veth(c).type = "macvlan"; }), HasSubstr("/networks/0/type"));
  EXPECT_THAT(problem([&](Config& c) {
                veth(c).hairpin_mode = true;
                c.networks[0].bridge = "";
              }),
              HasSubstr("/hairpin_mode"));
  EXPECT_THAT(problem([](Config& c) { c.routes = {{"", "", "", "eth0"}}; }), HasSubstr("/routes/0"));
  EXPECT_THAT(problem([](Config& c) { c.routes = {{"10.0.0.0/8", "", "fd00::1", "eth0"}}; }), HasSubstr("mixes"));
  EXPECT_EQ(problem([](Config& c) { c.routes = {{"10.0.0.0/8", "10.0.0.2/32", "10.0.0.1", "eth0"}}; }), "");
  EXPECT_THAT(problem([](Config& c) { c.cgroups->cpu_shares = 1; }), HasSubstr("/cgroups/cpu_shares"));
  EXPECT_THAT(problem([](Config& c) { c.cgroups->blkio_weight = 9; }), HasSubstr("/cgroups/blkio_weight"));
  EXPECT_THAT(problem([](Config& c) { c.cgroups->memory_swappiness = 101; }), HasSubstr("swappiness"));
  EXPECT_THAT(problem([](Config& c) { c.cgroups->name = "../x"; }), HasSubstr("/cgroups/name"));
  EXPECT_THAT(problem([](Config& c) { c.cgroups->net_cls_classid = "0xzz"; }), HasSubstr("classid"));
  EXPECT_THAT(problem([](Config& c) { c.seccomp = Seccomp{Action::kAllow, {"vax"}, {}}; }), HasSubstr("vax"));
  EXPECT_THAT(problem([](Config& c) {
                c.seccomp = Seccomp{};
                c.seccomp->syscalls = {{"write", {}, Action::kErrno, 0, {{6, 1, 0, Operator::kEqualTo}}}};
              }),
              HasSubstr("/seccomp/syscalls/0/args/0/index"));
}

TEST(Validate, ClassIds) {
  EXPECT_EQ(parse_class_id("0x100001"), 0x100001U);
  EXPECT_EQ(parse_class_id("7"), 7U);
  EXPECT_EQ(parse_class_id("0x"), std::nullopt);
  EXPECT_EQ(parse_class_id("0x1ffffffff"), std::nullopt);
}

}  // namespace
}  // namespace cooper::spec::libcontainer
