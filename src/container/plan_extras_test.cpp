#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "container/mount_commands.h"
#include "container/plan.h"
#include "container/plan_parts.h"
#include "spec/oci_runtime/defaults.h"

namespace cooper::container {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

PlanOptions with(Extras extras) {
  PlanOptions out;
  out.id = "box";
  out.bundle = "/bundle";
  out.extras = std::move(extras);
  return out;
}

std::vector<std::string> words(const Plan& plan) {
  std::vector<std::string> out;
  for (const Step& step : plan.steps) {
    std::string word(step_name(step.body));
    if (const auto* wait = std::get_if<WaitForParent>(&step.body)) word += ":" + wait->what;
    if (const auto* commands = std::get_if<RunMountCommands>(&step.body)) word += ":" + commands->when;
    if (const auto* mount = std::get_if<Mount>(&step.body)) word += ":" + mount->destination;
    out.push_back(std::move(word));
  }
  return out;
}

Plan plan_of(const oci::Config& config, const PlanOptions& options) {
  auto plan = make_plan(config, options);
  EXPECT_TRUE(plan.ok()) << plan.error().message();
  return std::move(plan).value();
}

std::size_t place(const std::vector<std::string>& all, const std::string& word) {
  const auto found = std::find(all.begin(), all.end(), word);
  EXPECT_NE(found, all.end()) << word;
  return static_cast<std::size_t>(found - all.begin());
}

Interface eth0() {
  Interface out;
  out.name = "eth0";
  out.host_name = "veth0";
  out.bridge = "br0";
  out.mac = "02:42:00:00:00:01";
  out.addresses = {"10.0.0.2/24"};
  out.gateways = {"10.0.0.1"};
  out.mtu_bytes = 1400;
  out.hairpin = true;
  return out;
}

TEST(Extras, WithoutThemThePlanHasNoStepForThem) {
  PlanOptions options;
  options.id = "box";
  options.bundle = "/bundle";
  const auto all = words(plan_of(oci::default_config(), options));
  for (const char* word :
       {"create-interfaces", "configure-interface", "add-route", "relabel", "wait-for-parent:network"})
    EXPECT_THAT(all, Not(Contains(word)));
  EXPECT_THAT(all, Contains("new-network-namespace"));
}

TEST(Extras, NetworksAreMadeByTheParentAndConfiguredByTheChild) {
  Extras extras;
  extras.interfaces = {eth0()};
  extras.routes = {{"192.168.0.0/16", "", "10.0.0.1", "eth0"}};
  const Plan plan = plan_of(oci::default_config(), with(extras));
  const auto all = words(plan);
  EXPECT_GT(place(all, "create-interfaces"), place(all, "clone"));
  EXPECT_GT(place(all, "configure-interface"), place(all, "wait-for-parent:network"));
  EXPECT_GT(place(all, "add-route"), place(all, "configure-interface"));
  EXPECT_LT(place(all, "add-route"), place(all, "root-propagation"));
  // It was not asked for.
  EXPECT_THAT(all, Not(Contains("loopback-up")));
  const std::string text = print_text(plan);
  EXPECT_THAT(text, HasSubstr("create-interfaces eth0=name=eth0,host=veth0,bridge=br0,mtu=1400,hairpin"));
  EXPECT_THAT(text,
              HasSubstr("configure-interface name=eth0 mac=02:42:00:00:00:01 addresses=10.0.0.2/24 gateways=10.0.0.1"));
  EXPECT_THAT(text, HasSubstr("add-route interface=eth0 destination=192.168.0.0/16 gateway=10.0.0.1"));
  EXPECT_THAT(print_json(plan), HasSubstr("\"step\": \"add-route\""));
}

TEST(Extras, JoinedNetworkNamespacesGetTheirEndByPath) {
  oci::Config config = oci::default_config();
  for (oci::Namespace& entry : config.linux->namespaces) {
    if (entry.type == "network") entry.path = "/proc/1/ns/net";
  }
  Extras extras;
  extras.interfaces = {eth0()};
  extras.loopback = true;
  const Plan plan = plan_of(config, with(extras));
  EXPECT_THAT(print_text(plan), HasSubstr("namespace=/proc/1/ns/net"));
  EXPECT_THAT(words(plan), Contains("loopback-up"));
}

TEST(Extras, CommandsStandAroundTheirMount) {
  Extras extras;
  MountExtras entry;
  entry.index = 1;
  entry.before = {{"touch", {"/x"}, {}, {}}};
  entry.after = {{"true", {}, {}, {}}};
  extras.mounts = {entry};
  const oci::Config config = oci::default_config();
  const auto all = words(plan_of(config, with(extras)));
  const std::size_t mount = place(all, "mount:" + config.mounts[1].destination);
  EXPECT_EQ(all[mount - 1], "run-mount-commands:before");
  EXPECT_EQ(all[mount + 1], "run-mount-commands:after");
}

TEST(Extras, LabelsNeedSelinux) {
  oci::Config config = oci::default_config();
  config.mounts.push_back({"/data", "bind", "/srv", {"rbind"}, {}, {}});
  config.linux->mount_label = "u:object_r:t:s0:c1,c2";
  Extras extras;
  MountExtras entry;
  entry.index = config.mounts.size() - 1;
  entry.relabel = "z";
  extras.mounts = {entry};
  PlanOptions options = with(extras);
  EXPECT_THAT(plan_of(config, options).warnings, Contains(HasSubstr("relabelling '/srv' is ignored")));
  options.selinux_enabled = true;
  EXPECT_THAT(print_text(plan_of(config, options)), HasSubstr("relabel path=/srv label=u:object_r:t:s0\n"));
}

TEST(Extras, LabelsForSeveralContainersHaveNoCategories) {
  EXPECT_EQ(relabel_to("u:r:t:s0:c1,c2", true), "u:r:t:s0");
  EXPECT_EQ(relabel_to("u:r:t:s0:c1,c2", false), "u:r:t:s0:c1,c2");
  EXPECT_EQ(relabel_to("nonsense", true), "nonsense");
}

TEST(Extras, NodesAndRulesAreThoseThatAreListed) {
  oci::Config config = oci::default_config();
  config.linux->devices = {{"c", "/dev/null", 1, 3, {}, {}, {}}};
  config.linux->resources = oci::Resources{};
  config.linux->resources->devices = {{true, "a", {}, {}, "rwm"}};
  Extras extras;
  extras.device_nodes = DeviceNodes::kListed;
  extras.exact_device_rules = true;
  Plan plan = plan_of(config, with(extras));
  const auto count = [&](std::string_view word) {
    return std::count_if(plan.steps.begin(), plan.steps.end(),
                         [&](const Step& step) { return step_name(step.body) == word; });
  };
  EXPECT_EQ(count("create-device"), 1);
  EXPECT_GT(count("create-symlink"), 0);
  const auto* group = std::get_if<CgroupCreate>(&plan.steps.front().body);
  ASSERT_NE(group, nullptr);
  EXPECT_EQ(group->resources.devices.size(), 1U);
  extras.device_nodes = DeviceNodes::kNone;
  plan = plan_of(config, with(extras));
  EXPECT_EQ(count("create-device"), 0);
  EXPECT_EQ(count("create-symlink"), 0);
}

TEST(MountCommands, FailuresNameTheCommandAndItsWords) {
  EXPECT_TRUE(run_mount_commands("before the mount on '/x'", {{"true", {}, {}, {}}}).ok());
  EXPECT_TRUE(run_mount_commands("before", {{"sh", {"-c", "test $PWD = /tmp -a $A = b"}, {"A=b"}, "/tmp"}}).ok());
  const Status failed = run_mount_commands("before the mount on '/x'",
                                           {{"true", {}, {}, {}}, {"sh", {"-c", "echo why >&2; exit 3"}, {}, {}}});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message(),
            "command #1 'sh' before the mount on '/x': ended with exit status 3, saying 'why'");
  EXPECT_THAT(run_mount_commands("x", {{"no-such-program", {}, {}, {}}}).error().message(), HasSubstr("ENOENT"));
  EXPECT_THAT(run_mount_commands("x", {{"sh", {"-c", "kill -9 $$"}, {}, {}}}).error().message(), HasSubstr("SIGKILL"));
}

TEST(Relabel, PlacesOfTheHostAreRefused) {
  for (const char* path : {"/", "/usr", "/etc/", "//usr/."}) {
    const Status refused = relabel_tree(path, "l");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument) << path;
  }
}

TEST(Entries, StandBetweenTheMountsTheyAreFor) {
  Extras extras;
  RootEntry first, last;
  first.before_mount = 1;
  first.path = "/first";
  last.kind = RootEntry::Kind::kSymlink;
  last.path = "/last";
  last.target = "first";
  oci::Config config = oci::default_config();
  last.before_mount = config.mounts.size();
  extras.entries = {first, last};
  const Plan plan = plan_of(config, with(extras));
  const auto all = words(plan);
  const std::size_t at = place(all, "make-entry");
  EXPECT_EQ(all[at - 1], "mount:/proc");
  EXPECT_EQ(all[at + 1], "mount:/dev");
  EXPECT_EQ(all[place(all, "mount:/sys/fs/cgroup") + 1], "make-entry");
  EXPECT_THAT(print_text(plan), HasSubstr("make-entry path=/last kind=symlink target=first"));
}

TEST(InnerUser, ComesAfterAllThatNeedsRoot) {
  Extras extras;
  extras.inner_user = InnerUser{1000, 1001};
  oci::Config config = oci::default_config();
  config.linux->namespaces.push_back({"user", ""});
  config.linux->uid_mappings = config.linux->gid_mappings = {{0, 1000, 1}};
  config.process->terminal = true;
  config.process->user.uid = 1000;
  const Plan plan = plan_of(config, with(extras));
  const auto all = words(plan);
  const std::size_t at = place(all, "enter-inner-user-namespace");
  EXPECT_EQ(all[at + 1], "wait-for-parent:start");
  EXPECT_GT(at, place(all, "cgroup-join"));
  for (const Step& step : plan.steps) {
    // Its own root owns the terminal, and setgroups is given up.
    const auto* console = std::get_if<SetupConsole>(&step.body);
    EXPECT_TRUE(console == nullptr || console->uid == 0U);
    const auto* credentials = std::get_if<SetCredentials>(&step.body);
    EXPECT_TRUE(credentials == nullptr || !credentials->set_groups);
  }
}

TEST(Extras, WorkingDirectoriesInitAndFilter) {
  Extras extras;
  extras.working_directories = {"/a", "/"};
  extras.init = true;
  extras.seccomp_filter = "12345678";
  oci::Config config = oci::default_config();
  config.linux->seccomp.reset();
  const std::string text = print_text(plan_of(config, with(extras)));
  EXPECT_THAT(text, HasSubstr("prepare-cwd first_of=/a,/"));
  EXPECT_THAT(text, HasSubstr("load-seccomp filter_bytes=8"));
  EXPECT_THAT(text, HasSubstr("init=true"));
}

}  // namespace
}  // namespace cooper::container
