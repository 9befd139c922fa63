#include "convert/convert.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>

#include <algorithm>

#include "container/plan.h"
#include "convert/internal/words.h"
#include "io/file.h"
#include "seccomp/seccomp.h"
#include "spec/libcontainer/parse.h"
#include "spec/libcontainer/print.h"
#include "spec/libcontainer/validate.h"
#include "spec/oci_runtime/defaults.h"
#include "spec/oci_runtime/parse.h"
#include "spec/oci_runtime/print.h"

namespace cooper::convert {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

libcontainer::Config sample(const std::string& name) {
  auto text = io::read_file(COOPER_SOURCE_DIR "/src/spec/libcontainer/testdata/" + name + ".json");
  EXPECT_TRUE(text.ok()) << name;
  auto config = libcontainer::parse_config(std::move(text).value_or("{}"));
  EXPECT_TRUE(config.ok()) << config.error().message();
  return std::move(config).value();
}

OciResult oci_of(const libcontainer::Config& config) {
  auto result = to_oci(config, {});
  EXPECT_TRUE(result.ok()) << result.error().message();
  return std::move(result).value();
}

std::vector<std::string> pointers(const std::vector<Lost>& lost) {
  std::vector<std::string> out;
  for (const Lost& entry : lost) out.push_back(entry.pointer);
  return out;
}

// COOPER_UPDATE_GOLDEN=1 accepts what is there now.
void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = COOPER_SOURCE_DIR "/src/convert/testdata/" + name;
  if (::getenv("COOPER_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(io::write_file_atomic(path, text).ok());
    return;
  }
  EXPECT_EQ(text, io::read_file(path).value_or("(missing)")) << name;
}

constexpr const char* kSamples[] = {"minimal", "apparmor", "attach_to_bridge", "host-pid", "selinux", "userns"};

TEST(ToOci, SamplesAsGoldenFiles) {
  for (const char* name : kSamples) {
    SCOPED_TRACE(name);
    const OciResult result = oci_of(sample(name));
    expect_golden(std::string(name) + ".config.json", oci::print_config(result.config) + "\n");
    expect_golden(std::string(name) + ".lost.txt", report(result.lost));
    container::PlanOptions options;
    options.id = "box";
    options.bundle = "/bundle";
    options.extras = result.extras;
    options.apparmor_enabled = true;
    const auto plan = container::make_plan(result.config, options);
    EXPECT_TRUE(plan.ok()) << plan.error().message();
  }
}

// What the specification can say survives the way there and back.
TEST(RoundTrip, SamplesComeBack) {
  for (const char* name : kSamples) {
    SCOPED_TRACE(name);
    libcontainer::Config config = sample(name);
    const OciResult there = oci_of(config);
    auto back = to_libcontainer(there.config, "/bundle");
    ASSERT_TRUE(back.ok());
    EXPECT_TRUE(libcontainer::validate(back->config).ok());
    // Networks are in the extras, and loopback comes back without its decoration.
    config.networks.clear();
    back->config.networks.clear();
    EXPECT_EQ(back->config.cgroups->parent, "/system");
    config.cgroups->parent = "/system";
    const auto strip = [](libcontainer::Config& c) {
      for (auto& device : c.cgroups->allowed_devices) {
        device.path.clear();
        device.file_mode = 0;
      }
      for (auto& mount : c.mounts) mount.flags &= ~MS_STRICTATIME;
      c.version.clear();  // comes back as that of the specification
    };
    strip(config);
    strip(back->config);
    EXPECT_EQ(libcontainer::print_config(back->config), libcontainer::print_config(config));
  }
}

TEST(RoundTrip, DefaultBundleComesBack) {
  const oci::Config config = oci::default_config();
  const auto there = to_libcontainer(config, "/bundle");
  ASSERT_TRUE(there.ok());
  const Status valid = libcontainer::validate(there->config);
  EXPECT_TRUE(valid.ok()) << valid.error().message();
  const OciResult back = oci_of(there->config);
  EXPECT_EQ(back.config.root->path, "/bundle/rootfs");
  ASSERT_EQ(back.config.mounts.size(), config.mounts.size());
  for (std::size_t i = 0; i < config.mounts.size(); ++i) {
    SCOPED_TRACE(config.mounts[i].destination);
    EXPECT_EQ(back.config.mounts[i].type, config.mounts[i].type);
    EXPECT_THAT(back.config.mounts[i].options, ::testing::UnorderedElementsAreArray(config.mounts[i].options));
  }
  EXPECT_EQ(back.config.linux->masked_paths, config.linux->masked_paths);
  EXPECT_EQ(back.config.process->capabilities->bounding, config.process->capabilities->bounding);
}

TEST(ToOci, EveryMemberIsSaidOrListed) {
  const OciResult result = oci_of(sample("every_member_named"));
  EXPECT_THAT(pointers(result.lost),
              ::testing::IsSupersetOf({"/additional_groups/0", "/mounts/0/data", "/mounts/0/premount_cmds",
                                       "/mounts/0/postmount_cmds", "/mounts/0/relabel", "/devices", "/cgroups/slice",
                                       "/cgroups/freezer", "/networks/0", "/routes/0", "/no_pivot_root", "/pivot_dir",
                                       "/parent_death_signal", "/version", "/Hooks", "/Hooks/prestart/0/dir"}));
  const container::Extras& extras = result.extras;
  ASSERT_EQ(extras.interfaces.size(), 1U);
  EXPECT_EQ(extras.interfaces[0].host_name, "vethh");
  EXPECT_THAT(extras.interfaces[0].addresses, ElementsAre("10.0.0.2/24", "fd00::2/64"));
  EXPECT_THAT(extras.interfaces[0].gateways, ElementsAre("10.0.0.1", "fd00::1"));
  EXPECT_EQ(extras.interfaces[0].mtu_bytes, 1400U);
  EXPECT_EQ(extras.interfaces[0].tx_queue_len, 500U);
  EXPECT_TRUE(extras.interfaces[0].hairpin);
  ASSERT_EQ(extras.mounts.size(), 1U);
  EXPECT_EQ(extras.mounts[0].before[0].path, "/bin/cp");
  EXPECT_EQ(extras.mounts[0].after.size(), 2U);
  EXPECT_EQ(extras.device_nodes, container::DeviceNodes::kListed);
  EXPECT_TRUE(result.no_pivot);
  EXPECT_EQ(result.parent_death_signal, 9);

  const oci::Linux& linux = *result.config.linux;
  EXPECT_EQ(linux.rootfs_propagation, "rshared");
  EXPECT_EQ(linux.cgroups_path, "/q");
  EXPECT_THAT(result.config.mounts[0].options, ElementsAre("rbind", "ro", "slave", "rprivate"));
  EXPECT_EQ(linux.resources->devices.size(), 2U);
  EXPECT_TRUE(linux.resources->devices[0].allow);
  EXPECT_EQ(linux.resources->memory->swap, -1);
  EXPECT_EQ(linux.resources->cpu->realtime_runtime, 7);
  EXPECT_EQ(linux.resources->block_io->weight_devices[0].leaf_weight, 300);
  EXPECT_EQ(linux.resources->block_io->write_iops[0].rate, 4U);
  EXPECT_EQ(linux.resources->network_class_id, 0x100001U);
  EXPECT_EQ(linux.resources->network_priorities[0].priority, 5U);
  EXPECT_EQ(linux.resources->hugepage_limits[0].limit, 4194304U);
  EXPECT_EQ(result.config.process->rlimits[0].type, "RLIMIT_NOFILE");
  EXPECT_EQ(result.config.process->oom_score_adj, -5);
  EXPECT_TRUE(result.config.process->no_new_privileges);
  EXPECT_THAT(result.config.process->user.additional_gids, ElementsAre(5U));
  EXPECT_EQ(result.config.hooks.prestart[0].args, (std::vector<std::string>{"/a", "/b"}));
}

TEST(ToOci, SeccompOperators) {
  const oci::Seccomp profile = *oci_of(sample("every_member_named")).config.linux->seccomp;
  EXPECT_EQ(profile.default_action, "SCMP_ACT_ALLOW");
  EXPECT_THAT(profile.architectures, ElementsAre("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"));
  std::vector<std::string> operators;
  for (const auto& arg : profile.syscalls[0].args) operators.push_back(arg.op);
  EXPECT_THAT(operators, ElementsAre("SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_LT",
                                     "SCMP_CMP_LE", "SCMP_CMP_MASKED_EQ"));
  EXPECT_EQ(profile.syscalls[1].action, "SCMP_ACT_KILL");
  EXPECT_EQ(profile.syscalls[2].action, "SCMP_ACT_TRAP");
  EXPECT_EQ(profile.syscalls[3].action, "SCMP_ACT_TRACE");
  EXPECT_TRUE(seccomp::compile(profile).ok());
}

TEST(ToOci, NumericSeccompGetsNames) {
  const OciResult result = oci_of(sample("every_member_numeric"));
  const oci::Seccomp profile = *result.config.linux->seccomp;
  EXPECT_EQ(profile.default_action, "SCMP_ACT_ALLOW");
#ifdef __x86_64__
  EXPECT_THAT(profile.syscalls[0].names, ElementsAre("chown"));
  EXPECT_THAT(profile.syscalls[4].names, ElementsAre("write"));
#endif
  EXPECT_EQ(profile.syscalls[0].action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(profile.syscalls[0].errno_ret, std::nullopt);
  EXPECT_EQ(profile.syscalls[4].errno_ret, 38U);
  EXPECT_EQ(result.config.linux->rootfs_propagation, "rprivate");
  EXPECT_TRUE(seccomp::compile(profile).ok());
  auto back = to_libcontainer(result.config, "/b", libcontainer::Generation::kNumeric);
  EXPECT_EQ(back->config.seccomp->syscalls[4].number, sample("every_member_numeric").seccomp->syscalls[4].number);
}

TEST(ToOci, NothingIsLostThatIsNotThere) {
  libcontainer::Config config;
  config.rootfs = "/r";
  config.namespaces = {{"NEWNS", ""}};
  config.devices = libcontainer::simple_devices();
  EXPECT_THAT(oci_of(config).lost, IsEmpty());
}

TEST(ToOci, DestinationsMayNameTheRoot) {
  libcontainer::Config config;
  config.rootfs = "/r";
  libcontainer::Mount mount;
  mount.device = "tmpfs";
  mount.destination = "/r/tmp";
  config.mounts = {mount};
  mount.destination = "run";
  config.mounts.push_back(mount);
  const OciResult result = oci_of(config);
  EXPECT_EQ(result.config.mounts[0].destination, "/tmp");
  EXPECT_EQ(result.config.mounts[1].destination, "/run");
}

TEST(ToOci, CgroupPaths) {
  libcontainer::Config config;
  config.rootfs = "/r";
  const auto path = [&](const char* parent, const char* name, bool systemd = false) {
    config.cgroups = libcontainer::Cgroup{};
    config.cgroups->parent = parent;
    config.cgroups->name = name;
    return to_oci(config, {}, systemd)->config.linux->cgroups_path;
  };
  EXPECT_EQ(path("system", "box"), "/system/box");
  EXPECT_EQ(path("/system", "box"), "/system/box");
  EXPECT_EQ(path("", "box"), "/box");
  EXPECT_EQ(path("system", "/box"), "/box");
  EXPECT_EQ(path("", ""), "");
  EXPECT_EQ(path("p", "box", true), "system.slice:p:box");
  EXPECT_EQ(path("/a/b", "box", true), "system.slice:a-b:box");
}

// The generation that has the member always wrote it; the other one left the caller's.
TEST(ToOci, OomScoreOfZero) {
  libcontainer::Config config;
  config.rootfs = "/r";
  EXPECT_EQ(oci_of(config).config.process->oom_score_adj, 0);
  config.generation = libcontainer::Generation::kNumeric;
  EXPECT_EQ(oci_of(config).config.process->oom_score_adj, std::nullopt);
}

TEST(ToOci, DeviceRulesThatRuntimesAdd) {
  libcontainer::Config config;
  config.rootfs = "/r";
  config.cgroups.emplace().allowed_devices = libcontainer::allowed_devices();
  EXPECT_THAT(pointers(oci_of(config).lost), ::testing::Not(Contains("/cgroups/allowed_devices")));
  config.cgroups->allowed_devices.pop_back();
  EXPECT_THAT(pointers(oci_of(config).lost), Contains("/cgroups/allowed_devices"));
  config.cgroups->allow_all_devices = true;
  EXPECT_THAT(pointers(oci_of(config).lost), ::testing::Not(Contains("/cgroups/denied_devices")));
  config.cgroups->denied_devices = {libcontainer::allowed_devices().back()};
  EXPECT_THAT(pointers(oci_of(config).lost), Contains("/cgroups/denied_devices"));
}

std::vector<std::string> rules_of(const std::vector<oci::DeviceRule>& rules) {
  std::vector<std::string> out;
  for (const oci::DeviceRule& rule : rules) {
    const auto number = [](const std::optional<std::int64_t>& n) { return n ? std::to_string(*n) : "*"; };
    out.push_back(std::string(rule.allow ? "+" : "-") + rule.type + " " + number(rule.major) + ":" +
                  number(rule.minor) + " " + rule.access);
  }
  return out;
}

TEST(ToOci, LaterDeviceRulesStayInOrder) {
  const auto config = libcontainer::parse_config(R"({"rootfs": "/r", "cgroups": {"devices": [
    {"type": 97, "allow": false}, {"type": 99, "major": -1, "minor": -1, "permissions": "rwm", "allow": true},
    {"type": 99, "major": 1, "minor": 5, "permissions": "rwm", "allow": false}]}})");
  ASSERT_TRUE(config.ok());
  const OciResult result = oci_of(*config);
  EXPECT_THAT(rules_of(result.config.linux->resources->devices), ElementsAre("-a *:* rwm", "+c *:* rwm", "-c 1:5 rwm"));
  EXPECT_THAT(pointers(result.lost), Contains("/cgroups/devices"));
}

TEST(ToOci, ScopesWithoutANameAreListed) {
  libcontainer::Config config;
  config.rootfs = "/r";
  config.cgroups.emplace().parent = "p";
  const auto result = to_oci(config, {}, true);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->config.linux->cgroups_path, "");
  EXPECT_THAT(pointers(result->lost), Contains("/cgroups/name"));
}

TEST(ToOci, MountsBelowARootWithASlash) {
  const auto config =
      libcontainer::parse_config(R"({"rootfs": "/r/", "mounts": [{"device": "tmpfs", "destination": "/r/tmp"}]})");
  EXPECT_EQ(oci_of(*config).config.mounts[0].destination, "/tmp");
}

TEST(ToOci, UnknownMembersAreListed) {
  const auto config = libcontainer::parse_config(R"({"rootfs": "/r", "colour": "blue"})");
  EXPECT_THAT(pointers(oci_of(*config).lost), Contains("/colour"));
}

TEST(ToLibcontainer, MappingsWithoutUserNamespace) {
  oci::Config config = oci::default_config();
  config.linux->uid_mappings = config.linux->gid_mappings = {{0, 100000, 10}};
  const auto result = to_libcontainer(config, "/b");
  EXPECT_TRUE(result->config.uid_mappings.empty() && result->config.gid_mappings.empty());
  EXPECT_THAT(pointers(result->lost), Contains("/linux/uidMappings"));
}

TEST(ToLibcontainer, LaterThingsAreListed) {
  const auto config = oci::parse_config(R"({
    "ociVersion": "1.1.0", "root": {"path": "/r"}, "domainname": "d", "annotations": {"a": "b"},
    "process": {"args": ["sh"], "cwd": "/home", "env": ["A=1"], "terminal": true, "user": {"uid": 1, "gid": 0, "umask": 18},
      "capabilities": {"bounding": ["CAP_KILL"], "effective": [], "permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
      "scheduler": {"policy": "SCHED_OTHER"}, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1}},
    "mounts": [{"destination": "/a", "type": "bind", "source": "a", "options": ["rbind", "rro", "rw", "nodev"]},
               {"destination": "/b", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "size=1k", "rslave"]}],
    "hooks": {"createContainer": [{"path": "/c"}], "createRuntime": [{"path": "/d", "timeout": 1}]},
    "linux": {"namespaces": [{"type": "mount"}, {"type": "cgroup"}, {"type": "network"}],
      "resources": {"unified": {"memory.high": "1"}, "cpu": {"burst": 1},
        "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"},
                    {"allow": false, "type": "c", "major": 1, "minor": 3, "access": "r"}]},
      "seccomp": {"defaultAction": "SCMP_ACT_LOG", "flags": ["SECCOMP_FILTER_FLAG_LOG"], "syscalls": [
        {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}, {"names": ["chown"], "action": "SCMP_ACT_NOTIFY"}]},
      "cgroupsPath": "machine.slice:cooper:box", "personality": {"domain": "LINUX32"}}})");
  ASSERT_TRUE(config.ok()) << config.error().message();
  const auto result = to_libcontainer(*config, "/bundle");
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(pointers(result->lost), ::testing::IsSupersetOf({"/domainname",
                                                               "/annotations",
                                                               "/process/args",
                                                               "/process/env",
                                                               "/process/cwd",
                                                               "/process/user",
                                                               "/process/user/umask",
                                                               "/process/terminal",
                                                               "/process/capabilities",
                                                               "/process/capabilities/ambient",
                                                               "/process/scheduler",
                                                               "/process/ioPriority",
                                                               "/mounts/0/options",
                                                               "/mounts/1/options",
                                                               "/hooks/createContainer",
                                                               "/hooks/createRuntime/0/timeout",
                                                               "/linux/namespaces/1",
                                                               "/linux/resources/unified",
                                                               "/linux/resources/cpu/burst",
                                                               "/linux/resources/devices/2",
                                                               "/linux/seccomp/defaultAction",
                                                               "/linux/seccomp/flags",
                                                               "/linux/seccomp/syscalls/0/errnoRet",
                                                               "/linux/seccomp/syscalls/1",
                                                               "/linux/personality"}));
  const libcontainer::Config& out = result->config;
  EXPECT_EQ(out.mounts[0].source, "/bundle/a");
  EXPECT_EQ(out.mounts[0].flags, MS_BIND | MS_REC | MS_NODEV);
  EXPECT_EQ(out.mounts[1].data, "size=1k");
  EXPECT_THAT(out.mounts[1].propagation_flags, ElementsAre(MS_SLAVE | MS_REC));
  EXPECT_EQ(out.networks.at(0).type, "loopback");
  EXPECT_EQ(out.cgroups->slice, "machine.slice");
  EXPECT_EQ(out.cgroups->allowed_devices[0].cgroup_string(), "c 10:229 rw");
  EXPECT_EQ(out.cgroups->allowed_devices.size(), 15U);
  EXPECT_EQ(out.devices.size(), 6U);
}

std::vector<std::string> lost_of(const std::string& json,
                                 libcontainer::Generation generation = libcontainer::Generation::kNamed) {
  const auto config = oci::parse_config(json);
  EXPECT_TRUE(config.ok()) << config.error().message();
  return pointers(to_libcontainer(*config, "/b", generation)->lost);
}

TEST(ToLibcontainer, NothingIsLeftOutInSilence) {
  const auto lost = lost_of(R"({
    "ociVersion": "1.3.0", "root": {"path": "/r"},
    "process": {"args": ["sh"], "cwd": "/", "consoleSize": {"height": 24, "width": 80}, "user": {"uid": 0, "gid": 0},
      "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]}},
    "mounts": [{"destination": "/a", "type": "bind", "source": "/a",
                "gidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]},
               {"destination": "/b", "type": "tmpfs", "source": "tmpfs", "options": ["rsuid"]}],
    "hooks": {"createRuntime": [{"path": "/d"}]},
    "linux": {"resources": {"pids": {"limit": 0}, "memory": {"swappiness": 200}}}})");
  EXPECT_THAT(lost,
              ::testing::IsSupersetOf({"/process/consoleSize", "/process/capabilities", "/process/oomScoreAdj",
                                       "/mounts/0/gidMappings", "/mounts/1/options", "/hooks", "/hooks/createRuntime",
                                       "/linux/resources/pids/limit", "/linux/resources/memory/swappiness"}));
}

TEST(ToLibcontainer, LimitsOfZeroHadNoMeaningBefore) {
  EXPECT_THAT(
      lost_of(R"({"ociVersion": "1.2.1", "root": {"path": "/r"}, "linux": {"resources": {"pids": {"limit": 0}}}})"),
      ::testing::Not(Contains("/linux/resources/pids/limit")));
}

TEST(ToLibcontainer, OomScoreIsSaidOrListed) {
  constexpr const char* kZero =
      R"({"ociVersion": "1.2.1", "root": {"path": "/r"}, "process": {"args": ["x"], "cwd": "/", "oomScoreAdj": 0}})";
  EXPECT_THAT(lost_of(kZero), ::testing::Not(Contains("/process/oomScoreAdj")));
  EXPECT_THAT(lost_of(kZero, libcontainer::Generation::kNumeric), Contains("/process/oomScoreAdj"));
}

TEST(ToLibcontainer, LaterOptionsTakeBackEarlierOnes) {
  const auto config = oci::parse_config(R"({"ociVersion": "1.2.1", "root": {"path": "/r"}, "mounts": [
    {"destination": "/a", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "nosuid", "rw", "noexec"]}]})");
  ASSERT_TRUE(config.ok());
  const auto result = to_libcontainer(*config, "/b");
  EXPECT_EQ(result->config.mounts[0].flags, MS_NOSUID | MS_NOEXEC);
  EXPECT_EQ(result->config.version, "1.2.1");
}

LibcontainerResult libcontainer_of(const std::string& members,
                                   libcontainer::Generation generation = libcontainer::Generation::kNamed) {
  const auto config = oci::parse_config(R"({"ociVersion": "1.2.1", "root": {"path": "/r"}, )" + members + "}");
  EXPECT_TRUE(config.ok()) << config.error().message();
  auto result = to_libcontainer(*config, "/b", generation);
  return std::move(result).value();
}

constexpr const char* kTakenBack = R"("linux": {"resources": {"devices": [{"allow": false},
  {"allow": true, "type": "c", "access": "rw"}, {"allow": false, "type": "c", "major": 1, "minor": 5, "access": "w"}]}})";

TEST(ToLibcontainer, DenialsAfterAllowancesStay) {
  const LibcontainerResult made = libcontainer_of(kTakenBack);
  EXPECT_THAT(pointers(made.lost), Contains("/linux/resources/devices/2"));
  const auto again = libcontainer::parse_config(libcontainer::print_config(made.config));
  ASSERT_TRUE(again.ok());
  const auto rules = rules_of(resources_of(*again->cgroups).devices);
  EXPECT_THAT(std::vector(rules.begin(), rules.begin() + 3), ElementsAre("-a *:* rwm", "+c *:* rw", "-c 1:5 w"));
  EXPECT_EQ(rules.size(), 3U + libcontainer::allowed_devices().size());
}

TEST(ToLibcontainer, DenialsAfterAllowancesAreListedForTheNumericGeneration) {
  const LibcontainerResult made = libcontainer_of(kTakenBack, libcontainer::Generation::kNumeric);
  const auto found = std::ranges::find(made.lost, "/linux/resources/devices/2", &Lost::pointer);
  ASSERT_NE(found, made.lost.end());
  EXPECT_EQ(found->reason, "a device cannot be denied again after it was allowed");
  EXPECT_THAT(made.config.cgroups->device_rules, IsEmpty());
}

TEST(ToLibcontainer, DenialsOfWholeAllowancesTakeThemAway) {
  const LibcontainerResult made = libcontainer_of(R"("linux": {"resources": {"devices": [{"allow": false},
    {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"},
    {"allow": false, "type": "c", "major": 10, "access": "rwm"}]}})");
  EXPECT_THAT(made.config.cgroups->device_rules, IsEmpty());
  EXPECT_EQ(made.config.cgroups->allowed_devices.size(), libcontainer::allowed_devices().size());
  EXPECT_THAT(pointers(made.lost), ::testing::Not(Contains("/linux/resources/devices/2")));
}

TEST(ToLibcontainer, AllowingSomeUsesOfAllDevicesDoesNotAllowAll) {
  const LibcontainerResult made =
      libcontainer_of(R"("linux": {"resources": {"devices": [{"allow": false}, {"allow": true, "access": "m"}]}})");
  EXPECT_FALSE(made.config.cgroups->allow_all_devices);
  EXPECT_EQ(made.config.cgroups->allowed_devices.at(0).cgroup_string(), "c *:* m");
  EXPECT_EQ(made.config.cgroups->allowed_devices.at(1).cgroup_string(), "b *:* m");
}

// Every denial of a profile that allows the rest denies still.
TEST(ToLibcontainer, DenialsOfLaterActionsStay) {
  const std::string profile = R"("linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mount"], "action": "SCMP_ACT_KILL_PROCESS"}, {"names": ["chown"], "action": "SCMP_ACT_NOTIFY"},
    {"names": ["chmod"], "action": "SCMP_ACT_LOG"}, {"names": ["link"], "action": "SCMP_ACT_TRACE"},
    {"names": ["unlink"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
    {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4294967295}]}})";
  using libcontainer::Action;
  const LibcontainerResult named = libcontainer_of(profile);
  const auto& calls = named.config.seccomp->syscalls;
  ASSERT_EQ(calls.size(), 6U);
  EXPECT_EQ(calls[0].action, Action::kKill);
  EXPECT_EQ(calls[1].action, Action::kErrno);
  EXPECT_EQ(calls[1].errno_value, ENOSYS);
  EXPECT_EQ(calls[2].action, Action::kAllow);
  EXPECT_EQ(calls[3].action, Action::kTrace);
  EXPECT_EQ(calls[4].errno_value, EPERM);
  EXPECT_EQ(calls[5].errno_value, 4095);
  EXPECT_THAT(pointers(named.lost),
              ::testing::IsSupersetOf({"/linux/seccomp/syscalls/0/action", "/linux/seccomp/syscalls/1/action",
                                       "/linux/seccomp/syscalls/2/action", "/linux/seccomp/syscalls/4/errnoRet"}));
  const LibcontainerResult numeric = libcontainer_of(profile, libcontainer::Generation::kNumeric);
  EXPECT_THAT(pointers(numeric.lost),
              ::testing::IsSupersetOf({"/linux/seccomp/syscalls/3/action", "/linux/seccomp/syscalls/4/errnoRet"}));
  const auto again = libcontainer::parse_config(libcontainer::print_config(numeric.config));
  ASSERT_TRUE(again.ok());
  ASSERT_EQ(again->seccomp->syscalls.size(), 6U);
  EXPECT_EQ(again->seccomp->syscalls[3].action, Action::kErrno);
  EXPECT_EQ(again->seccomp->syscalls[5].action, Action::kErrno);
}

TEST(ToLibcontainer, SharesThatTheKernelWouldChange) {
  for (const auto& [given, made] : {std::pair<const char*, std::int64_t>{"1", 2},
                                    {"262145", 262144},
                                    {"18446744073709551615", 262144},
                                    {"1024", 1024},
                                    {"0", 0}}) {
    SCOPED_TRACE(given);
    const LibcontainerResult result =
        libcontainer_of(R"("linux": {"resources": {"cpu": {"shares": )" + std::string(given) + "}}}");
    EXPECT_EQ(result.config.cgroups->cpu_shares, made);
    EXPECT_EQ(std::ranges::count(pointers(result.lost), "/linux/resources/cpu/shares"),
              std::to_string(made) == given ? 0 : 1);
    EXPECT_TRUE(check(result).ok());
  }
}

TEST(Check, NamesTheMemberOfTheSource) {
  const auto problem = [](const std::string& members) {
    const Status done = check(libcontainer_of(members));
    return done.ok() ? "" : done.error().message();
  };
  using ::testing::StartsWith;
  EXPECT_EQ(problem(R"("mounts": [{"destination": "/a", "type": "tmpfs", "source": "t"}])"), "");
  EXPECT_THAT(problem(R"("mounts": [{"destination": "/a", "source": "t"}])"),
              StartsWith("config.json: /mounts/0/type: "));
  EXPECT_THAT(problem(R"("linux": {"maskedPaths": ["/a"]})"), StartsWith("config.json: /linux/maskedPaths: "));
  libcontainer::Config config;
  config.rootfs = "/r";
  config.namespaces = {{"NEWNS", ""}};
  EXPECT_TRUE(check(oci_of(config)).ok());
  config.sysctl = {{"kernel.hostname", "x"}};
  const Status done = check(oci_of(config));
  ASSERT_FALSE(done.ok());
  EXPECT_THAT(done.error().message(), StartsWith("container.json: /sysctl"));
}

TEST(Check, SourcesMayLackTheirProcess) {
  EXPECT_TRUE(check_source(*oci::parse_config(R"({"ociVersion": "1.2.1", "root": {"path": "r"}})"), "/b").ok());
  EXPECT_FALSE(check_source(*oci::parse_config(R"({"ociVersion": "1.2.1"})"), "/b").ok());
}

TEST(Words, DataKeepsQuotedCommas) {
  EXPECT_THAT(split_data("mode=755,context=\"a:b:c1,c2\",,x"), ElementsAre("mode=755", "context=\"a:b:c1,c2\"", "x"));
  EXPECT_THAT(split_data(""), IsEmpty());
}

TEST(Report, OneLineEach) {
  EXPECT_EQ(report({{"/a", "why", false}, {"/b", "how", true}}), "/a: why\n/b: how (cooper libcontainer does it)\n");
}

}  // namespace
}  // namespace cooper::convert
