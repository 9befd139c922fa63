#include "container/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "codec/json.h"
#include "container/validate_rules.h"
#include "io/file.h"
#include "spec/oci_runtime/defaults.h"
#include "spec/oci_runtime/parse.h"
#include "sys/mount.h"

namespace cooper::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PlanOptions options() {
  PlanOptions out;
  out.id = "box";
  out.bundle = "/bundle";
  return out;
}

Plan plan_of(const oci::Config& config, const PlanOptions& with = options()) {
  auto plan = make_plan(config, with);
  EXPECT_TRUE(plan.ok()) << (plan.ok() ? "" : plan.error().message());
  return plan.ok() ? std::move(plan).value() : Plan();
}

// The words of the plan in order, one actor's only; a step's main field after it.
std::vector<std::string> words(const Plan& plan, Actor actor) {
  std::vector<std::string> out;
  for (const Step& step : plan.steps) {
    if (step.actor != actor) continue;
    std::string word(step_name(step.body));
    if (const auto* wait = std::get_if<WaitForParent>(&step.body)) word += ":" + wait->what;
    if (const auto* wait_child = std::get_if<WaitForChild>(&step.body)) word += ":" + wait_child->what;
    if (const auto* hooks = std::get_if<RunParentHooks>(&step.body)) word += ":" + hooks->kind;
    if (const auto* child_hooks = std::get_if<RunChildHooks>(&step.body)) word += ":" + child_hooks->kind;
    if (const auto* join = std::get_if<JoinNamespace>(&step.body)) word += ":" + join->type;
    out.push_back(std::move(word));
  }
  return out;
}

std::size_t place(const std::vector<std::string>& all, const std::string& word) {
  const auto found = std::find(all.begin(), all.end(), word);
  EXPECT_NE(found, all.end()) << word;
  return static_cast<std::size_t>(found - all.begin());
}

template <typename T>
std::vector<T> steps(const Plan& plan) {
  std::vector<T> out;
  for (const Step& step : plan.steps) {
    if (const auto* body = std::get_if<T>(&step.body)) out.push_back(*body);
  }
  return out;
}

template <typename T>
T only(const Plan& plan) {
  const auto all = steps<T>(plan);
  EXPECT_EQ(all.size(), 1U);
  return all.empty() ? T{} : all[0];
}

Mount mount_at(const Plan& plan, const std::string& destination) {
  for (const Mount& mount : steps<Mount>(plan)) {
    if (mount.destination == destination) return mount;
  }
  ADD_FAILURE() << "no mount at " << destination;
  return {};
}

// Compares with a file; COOPER_UPDATE_GOLDEN=1 accepts what is there now.
void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = COOPER_SOURCE_DIR "/src/container/testdata/" + name;
  if (::getenv("COOPER_UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(io::write_file_atomic(path, text).ok());
    return;
  }
  const auto wanted = io::read_file(path);
  ASSERT_TRUE(wanted.ok()) << path;
  EXPECT_EQ(text, *wanted) << "COOPER_UPDATE_GOLDEN=1 accepts the new text of " << name;
}

// One of everything, so that each kind of step is printed.
oci::Config rich_config() {
  oci::Config config = oci::default_config();
  config.domainname = "example";
  config.annotations = {{"a", "b"}};
  const oci::Hook hook{"/bin/hook", {"hook", "a b"}, {}, 5};
  config.hooks = {{hook}, {hook}, {hook}, {hook}, {hook}, {hook}};
  oci::Process& process = *config.process;
  process.args = {"sh", "-c", "echo 'x'"};
  process.user = {1000, 1001, 027, {5, 29}};
  process.console_size = {24, 80};
  process.oom_score_adj = 100;
  process.scheduler = {"SCHED_FIFO", 0, 10, {"SCHED_FLAG_RESET_ON_FORK"}, 0, 0, 0};
  process.io_priority = {"IOPRIO_CLASS_BE", 4};
  process.no_new_privileges = false;
  process.capabilities->bounding.push_back("CAP_NOSUCH");
  oci::Linux& linux = *config.linux;
  linux.namespaces = {{"pid", "/proc/7/ns/pid"},
                      {"network", ""},
                      {"ipc", "/run/ns/ipc"},
                      {"uts", ""},
                      {"mount", ""},
                      {"user", ""},
                      {"cgroup", ""},
                      {"time", ""}};
  linux.uid_mappings = {{0, 100000, 65536}};
  linux.gid_mappings = {{0, 200000, 65536}};
  linux.time_offsets = {{"boottime", {5, 6}}, {"monotonic", {-7, 8}}};
  linux.sysctl = {{"net.ipv4.ip_forward", "1"}, {"kernel/shmmni", "4096"}};
  linux.devices = {{"c", "/dev/fuse", 10, 229, 0600, 0, 1}, {"p", "/dev/pipe", 0, 0, {}, {}, {}}};
  linux.rootfs_propagation = "rslave";
  linux.personality = oci::Personality{"LINUX32", {}};
  linux.cgroups_path = "/machine/box";
  linux.seccomp = oci::Seccomp{"SCMP_ACT_ERRNO",
                               38,
                               {"SCMP_ARCH_X86_64"},
                               {"SECCOMP_FILTER_FLAG_LOG"},
                               "",
                               "",
                               {{{"read", "write"}, "SCMP_ACT_ALLOW", {}, {}}}};
  config.mounts.push_back({"/data", "bind", "data", {"rbind", "rro", "nosuid", "rshared", "idmap"}, {}, {}});
  config.mounts.push_back({"/tmp", "tmpfs", "", {"tmpcopyup", "ro", "sync", "size=1m"}, {}, {}});
  return config;
}

TEST(Plan, DefaultConfigGolden) {
  const Plan plan = plan_of(oci::default_config());
  expect_golden("default_plan.txt", print_text(plan));
  expect_golden("default_plan.json", print_json(plan));
}

TEST(Plan, RichConfigGolden) {
  const Plan plan = plan_of(rich_config());
  expect_golden("rich_plan.txt", print_text(plan));
  expect_golden("rich_plan.json", print_json(plan));
}

TEST(Plan, JsonIsJson) {
  EXPECT_TRUE(codec::json::Document::parse(print_json(plan_of(rich_config())), "plan").ok());
}

TEST(Plan, ParentSteps) {
  EXPECT_THAT(words(plan_of(oci::default_config()), Actor::kParent),
              ElementsAre("cgroup-create", "new-network-namespace", "clone", "wait-for-child:prepared"));
  EXPECT_THAT(words(plan_of(rich_config()), Actor::kParent),
              ElementsAre("cgroup-create", "join-pid-namespace", "new-time-namespace", "clone", "write-id-maps",
                          "wait-for-child:ready-for-hooks", "run-hooks:prestart", "run-hooks:createRuntime",
                          "wait-for-child:prepared", "run-hooks:poststart"));
}

TEST(Plan, ChildOrder) {
  const auto all = words(plan_of(rich_config()), Actor::kChild);
  const std::vector<std::string> order{"set-oom-score-adj",
                                       "wait-for-parent:id-maps",
                                       "become-root",
                                       "join-namespace:ipc",
                                       "new-session",
                                       "new-keyring",
                                       "loopback-up",
                                       "set-sysctl",
                                       "set-hostname",
                                       "set-domainname",
                                       "root-propagation",
                                       "mount-root",
                                       "mount",
                                       "cgroup-join",
                                       "new-cgroup-namespace",
                                       "create-device",
                                       "create-symlink",
                                       "setup-console",
                                       "wait-for-parent:create-runtime-hooks",
                                       "run-hooks:createContainer",
                                       "pivot-root",
                                       "prepare-cwd",
                                       "readonly-path",
                                       "mask-path",
                                       "final-root-propagation",
                                       "readonly-root",
                                       "set-scheduler",
                                       "set-io-priority",
                                       "set-personality",
                                       "find-executable",
                                       "wait-for-parent:start",
                                       "run-hooks:startContainer",
                                       "set-rlimits",
                                       "load-seccomp",
                                       "set-credentials",
                                       "exec"};
  for (std::size_t i = 1; i < order.size(); ++i)
    EXPECT_LT(place(all, order[i - 1]), place(all, order[i])) << order[i - 1] << " < " << order[i];
  EXPECT_EQ(all.back(), "exec");
}

TEST(Plan, CgroupNamespaceComesBeforeItsMountAndAfterTheJoin) {
  oci::Config config = oci::default_config();
  config.linux->namespaces.push_back({"cgroup", ""});
  const auto all = words(plan_of(config), Actor::kChild);
  const std::size_t unshare = place(all, "new-cgroup-namespace");
  EXPECT_EQ(all[unshare - 1], "cgroup-join");
  EXPECT_EQ(all[unshare + 1], "mount");
  EXPECT_EQ(std::count(all.begin(), all.end(), "cgroup-join"), 1);
  EXPECT_EQ(std::count(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(unshare), "mount"), 6);
}

TEST(Plan, JoinsTheCgroupLastWithoutANamespace) {
  const auto all = words(plan_of(oci::default_config()), Actor::kChild);
  EXPECT_EQ(place(all, "cgroup-join") + 1, place(all, "find-executable"));
}

TEST(Plan, HooksInTheContainerRunInItsCgroup) {
  oci::Config config = oci::default_config();
  config.hooks.create_container = {{"/bin/hook", {}, {}, {}}};
  const auto all = words(plan_of(config), Actor::kChild);
  EXPECT_LT(place(all, "cgroup-join"), place(all, "run-hooks:createContainer"));
}

TEST(Plan, NetworkNamespaceIsMadeAhead) {
  const Plan plan = plan_of(oci::default_config());
  EXPECT_TRUE(only<NewNetworkNamespace>(plan).loopback);
  EXPECT_EQ(only<Clone>(plan).flags & CLONE_NEWNET, 0U);
  const auto child = words(plan, Actor::kChild);
  EXPECT_EQ(std::count(child.begin(), child.end(), "enter-network-namespace"), 1);
  EXPECT_EQ(std::count(child.begin(), child.end(), "loopback-up"), 0);
}

TEST(Plan, NetworkNamespaceIsMadeByTheCloneWhenItsOwnerOrItsFillerNeedsThat) {
  const auto made_by_clone = [](const oci::Config& config) {
    const Plan plan = plan_of(config);
    const auto parent = words(plan, Actor::kParent);
    return (only<Clone>(plan).flags & CLONE_NEWNET) != 0 &&
           std::count(parent.begin(), parent.end(), "new-network-namespace") == 0;
  };
  oci::Config user = oci::default_config();
  user.linux->namespaces.push_back({"user", ""});
  user.linux->uid_mappings = user.linux->gid_mappings = {{0, 100000, 65536}};
  EXPECT_TRUE(made_by_clone(user));
  oci::Config joined = oci::default_config();
  joined.linux->namespaces.push_back({"user", "/proc/1/ns/user"});
  EXPECT_TRUE(made_by_clone(joined));
  oci::Config devices = oci::default_config();
  devices.linux->net_devices["dummy0"] = {};
  EXPECT_TRUE(made_by_clone(devices));
}

TEST(Plan, IpcNamespaceOfAUserNamespaceIsMadeByItsRoot) {
  oci::Config config = oci::default_config();
  EXPECT_NE(only<Clone>(plan_of(config)).flags & CLONE_NEWIPC, 0U);
  const auto plain = words(plan_of(config), Actor::kChild);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), "new-ipc-namespace"), 0);
  config.linux->namespaces.push_back({"user", "/proc/1/ns/user"});
  EXPECT_EQ(only<Clone>(plan_of(config)).flags & CLONE_NEWIPC, 0U);
  const auto all = words(plan_of(config), Actor::kChild);
  EXPECT_EQ(place(all, "new-ipc-namespace"), place(all, "become-root") + 1);
}

TEST(Plan, TimeNamespaceIsMadeByTheChildWhereNobodyComesBackFromOne) {
  oci::Config config = oci::default_config();
  config.linux->namespaces.push_back({"time", ""});
  config.linux->namespaces.push_back({"user", "/proc/1/ns/user"});
  PlanOptions with = options();
  const auto actors = [&] {
    const Plan plan = plan_of(config, with);
    return std::pair(words(plan, Actor::kParent), words(plan, Actor::kChild));
  };
  const auto count = [](const auto& all) { return std::count(all.begin(), all.end(), "new-time-namespace"); };
  const auto privileged = actors();
  EXPECT_EQ(count(privileged.first), 1);
  EXPECT_EQ(count(privileged.second), 0);
  with.rootless = true;
  const auto rootless = actors();
  EXPECT_EQ(count(rootless.first), 0);
  EXPECT_EQ(count(rootless.second), 1);
}

TEST(Plan, NamespacesOfTheClone) {
  const Clone clone = only<Clone>(plan_of(rich_config()));
  EXPECT_EQ(clone.flags, static_cast<std::uint64_t>(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWUSER));
}

TEST(Plan, SeccompIsLoadedLastWhenTheCredentialsAllowIt) {
  oci::Config config = oci::default_config();
  config.linux->seccomp = oci::Seccomp{"SCMP_ACT_ALLOW", {}, {}, {}, "", "", {}};
  const auto last = [&] {
    const auto all = words(plan_of(config), Actor::kChild);
    return place(all, "load-seccomp") > place(all, "set-credentials");
  };
  EXPECT_TRUE(last());  // no_new_privs
  config.process->no_new_privileges = false;
  EXPECT_FALSE(last());
  config.process->capabilities->effective.push_back("CAP_SYS_ADMIN");
  EXPECT_FALSE(last());  // not permitted, so not effective
  config.process->capabilities->permitted.push_back("CAP_SYS_ADMIN");
  EXPECT_TRUE(last());
}

TEST(Plan, MountOptions) {
  oci::Config config = oci::default_config();
  config.mounts = {{"data/../x/./y/", "bind", "data", {"bind", "ro", "noatime", "rw", "private"}, {}, {}},
                   {"/none", "none", "/host", {"rbind"}, {}, {}},
                   {"/fs", "ext4", "/dev/sda1", {"ro", "data=ordered"}, {}, {}},
                   {"/cg", "cgroup", "cgroup", {"ro"}, {}, {}},
                   {"/up", "tmpfs", "tmpfs", {"tmpcopyup", "ro"}, {}, {}}};
  const Plan plan = plan_of(config);
  const Mount bind = mount_at(plan, "/x/y");
  EXPECT_EQ(bind.kind, MountKind::kBind);
  EXPECT_EQ(bind.source, "/bundle/data");
  EXPECT_FALSE(bind.recursive);
  EXPECT_EQ(bind.attr_set, static_cast<std::uint64_t>(MOUNT_ATTR_NOATIME));
  EXPECT_EQ(bind.attr_clear, static_cast<std::uint64_t>(MOUNT_ATTR__ATIME | MOUNT_ATTR_RDONLY));
  EXPECT_THAT(bind.propagation, ElementsAre(std::uint64_t{MS_PRIVATE}));
  EXPECT_FALSE(bind.source_is_dev_fd);
  const Mount none = mount_at(plan, "/none");
  EXPECT_EQ(none.kind, MountKind::kBind);
  EXPECT_TRUE(none.recursive);
  const Mount fs = mount_at(plan, "/fs");
  EXPECT_EQ(fs.superblock_flags, std::uint64_t{MS_RDONLY});
  EXPECT_THAT(fs.data, ElementsAre("data=ordered"));
  EXPECT_EQ(mount_at(plan, "/cg").kind, MountKind::kCgroup);
  EXPECT_TRUE(mount_at(plan, "/up").copy_up);
}

TEST(Plan, ReadOnlyCgroupsTakeMountPointsFirst) {
  const auto late = [](bool below, bool v2) {
    oci::Config config = oci::default_config();
    config.mounts = {{"/cg", "cgroup", "cgroup", {"ro"}, {}, {}}};
    config.mounts.push_back({below ? "/cg/more" : "/cgroup", "bind", "/host", {"bind"}, {}, {}});
    PlanOptions with = options();
    with.cgroup_v2_only = v2;
    const Plan plan = plan_of(config, with);
    const auto remounts = std::ranges::count_if(plan.steps, [](const Step& step) {
      const auto* mount = std::get_if<Mount>(&step.body);
      return mount != nullptr && mount->remount && mount->destination == "/cg" &&
             mount->attr_set == std::uint64_t{MOUNT_ATTR_RDONLY};
    });
    const Mount mount = mount_at(plan, "/cg");
    EXPECT_EQ(mount.attr_set, std::uint64_t{MOUNT_ATTR_RDONLY});  // of the hierarchies
    EXPECT_EQ(mount.read_only_later, remounts == 1);
    return mount.read_only_later;
  };
  EXPECT_TRUE(late(true, false));
  EXPECT_FALSE(late(false, false));
  EXPECT_FALSE(late(true, true));
}

TEST(Plan, ReadOnlyTmpfsTakesMountPointsFirst) {
  oci::Config config = oci::default_config();
  config.mounts[1].options.push_back("ro");  // /dev
  const Plan plan = plan_of(config);
  std::vector<const Mount*> dev;
  std::size_t device = 0, remount = 0, index = 0;
  for (const Step& step : plan.steps) {
    ++index;
    if (std::holds_alternative<CreateDevice>(step.body)) device = index;
    const auto* mount = std::get_if<Mount>(&step.body);
    if (mount == nullptr || mount->destination != "/dev") continue;
    dev.push_back(mount);
    remount = index;
  }
  ASSERT_EQ(dev.size(), 2U);
  EXPECT_EQ(dev[0]->attr_set & MOUNT_ATTR_RDONLY, 0U);
  EXPECT_EQ(dev[0]->superblock_flags & MS_RDONLY, 0U);
  EXPECT_TRUE(dev[1]->remount);
  EXPECT_EQ(dev[1]->attr_set, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_GT(remount, device);
}

TEST(Plan, ReadOnlyTmpfsIsSealedBeforeItIsCovered) {
  oci::Config config = oci::default_config();
  config.mounts.clear();
  const auto add = [&](const char* destination, std::vector<std::string> options) {
    config.mounts.push_back({destination, "tmpfs", "tmpfs", std::move(options), {}, {}});
  };
  add("/a/b", {"ro"});
  add("/a/b/c", {"ro"});
  add("/ab", {});
  add("/a", {"ro"});
  add("/a/b", {});
  const Plan plan = plan_of(config);
  std::vector<std::string> order;
  for (const Step& step : plan.steps) {
    const auto* mount = std::get_if<Mount>(&step.body);
    if (mount != nullptr) order.push_back((mount->remount ? "seal " : "") + mount->destination);
  }
  EXPECT_THAT(order, ElementsAre("/a/b", "/a/b/c", "/ab", "seal /a/b", "seal /a/b/c", "/a", "/a/b", "seal /a"));
}

TEST(Plan, DevicesOfTheConfigReplaceTheDefaultOnes) {
  oci::Config config = oci::default_config();
  config.linux->devices = {{"c", "/dev/null", 1, 3, 0600, 7, 8}, {"c", "/dev/ptmx", 5, 2, {}, {}, {}}};
  const auto all = steps<CreateDevice>(plan_of(config));
  ASSERT_EQ(all.size(), 6U);
  EXPECT_EQ(all[0].path, "/dev/null");
  EXPECT_EQ(all[0].mode, static_cast<mode_t>(S_IFCHR | 0600));
  EXPECT_EQ(all[0].uid, 7U);
  EXPECT_FALSE(all[0].bind);
  for (const CreateDevice& device : all) EXPECT_NE(device.path, "/dev/ptmx");
}

TEST(Plan, NothingIsCreatedInABoundDev) {
  oci::Config config = oci::default_config();
  config.mounts.erase(config.mounts.begin() + 1, config.mounts.begin() + 5);
  config.mounts.push_back({"/dev/", "none", "/dev", {"rbind"}, {}, {}});
  EXPECT_THAT(steps<CreateDevice>(plan_of(config)), IsEmpty());
  EXPECT_THAT(steps<CreateSymlink>(plan_of(config)), IsEmpty());
}

TEST(Plan, UserNamespaceBindsDevices) {
  const Plan plan = plan_of(rich_config());
  for (const CreateDevice& device : steps<CreateDevice>(plan))
    EXPECT_EQ(device.bind, device.path != "/dev/pipe") << device.path;
  const Mount data = mount_at(plan, "/data");
  EXPECT_TRUE(data.source_is_dev_fd);
  EXPECT_TRUE(data.idmap);
  ASSERT_EQ(data.uid_mappings.size(), 1U);
  EXPECT_EQ(data.uid_mappings[0].host_id, 100000U);
}

TEST(Plan, CgroupPathAndDeviceRules) {
  oci::Config config = oci::default_config();
  EXPECT_EQ(only<CgroupCreate>(plan_of(config)).path, "/coop/box");
  config.linux->cgroups_path = "/a//b/";
  EXPECT_EQ(only<CgroupCreate>(plan_of(config)).path, "/a/b");
  config.linux->cgroups_path = "rel/x";
  EXPECT_EQ(only<CgroupCreate>(plan_of(config)).path, "/coop/rel/x");
  config.linux->resources.reset();
  const auto denied = only<CgroupCreate>(plan_of(config)).resources.devices;
  ASSERT_GT(denied.size(), 1U);
  EXPECT_FALSE(denied[0].allow);
  config.linux->resources.emplace().devices = {{true, "a", {}, {}, "rwm"}};
  const auto allowed = only<CgroupCreate>(plan_of(config)).resources.devices;
  EXPECT_FALSE(allowed[0].allow);
  EXPECT_TRUE(allowed[1].allow);
  EXPECT_EQ(allowed[1].type, "a");
}

TEST(Plan, CgroupOwner) {
  oci::Config config = oci::default_config();
  const auto owner = [&](bool v2 = true) {
    PlanOptions with = options();
    with.cgroup_v2_only = v2;
    with.hybrid_or_v1 = !v2;
    return only<CgroupCreate>(plan_of(config, with)).owner;
  };
  config.linux->namespaces.push_back({"cgroup", ""});
  config.linux->namespaces.push_back({"user", ""});
  config.linux->uid_mappings = {{0, 100000, 1000}, {1000, 7, 1}};
  config.linux->gid_mappings = {{0, 100000, 65536}};
  std::erase_if(config.mounts, [](const oci::Mount& mount) { return mount.destination == "/sys/fs/cgroup"; });
  EXPECT_EQ(owner(), std::nullopt);
  config.mounts.push_back({"/sys/fs/cgroup/", "cgroup", "cgroup", {"nosuid", "ro"}, {}, {}});
  EXPECT_EQ(owner(), std::nullopt);
  config.mounts.back().options = {"nosuid"};
  EXPECT_EQ(owner(), 100000U);
  EXPECT_EQ(owner(false), std::nullopt);
  config.process->user.uid = 1000;
  EXPECT_EQ(owner(), 7U);
  config.linux->namespaces.pop_back();
  config.linux->uid_mappings.clear();
  config.linux->gid_mappings.clear();
  EXPECT_EQ(owner(), 1000U);
  config.process->user.uid = 0;
  EXPECT_EQ(owner(), std::nullopt);
  config.process->user.uid = 1000;
  config.linux->namespaces.pop_back();
  EXPECT_EQ(owner(), std::nullopt);
}

TEST(Plan, CoreScheduling) {
  oci::Config config = oci::default_config();
  EXPECT_THAT(steps<SetCoreScheduling>(plan_of(config)), IsEmpty());
  config.annotations["io.cooper.core-scheduling"] = "new";
  EXPECT_EQ(only<SetCoreScheduling>(plan_of(config)).share_with, 0);
  EXPECT_THAT(print_text(plan_of(config)), HasSubstr("set-core-scheduling"));
  config.annotations["io.cooper.core-scheduling"] = "yes";
  EXPECT_THAT(make_plan(config, options()).error().message(),
              HasSubstr("/annotations/io.cooper.core-scheduling: must be 'new', not 'yes'"));
}

TEST(Plan, SystemdMakesTheGroupFirst) {
  oci::Config config = oci::default_config();
  config.annotations["org.systemd.property.CollectMode"] = "'inactive-or-failed'";
  config.linux->resources.emplace().cpu.emplace().quota = 33333;
  PlanOptions with = options();
  with.systemd_cgroup = true;
  EXPECT_THAT(words(plan_of(config, with), Actor::kParent),
              ElementsAre("start-unit", "cgroup-create", "new-network-namespace", "clone", "wait-for-child:prepared"));
  const auto unit = only<StartUnit>(plan_of(config, with));
  EXPECT_EQ(unit.name.unit, "coop-box.scope");
  EXPECT_FALSE(unit.user_manager);
  EXPECT_EQ(unit.properties.back().name, "CollectMode");
  const auto create = only<CgroupCreate>(plan_of(config, with));
  EXPECT_EQ(create.path, "/system.slice/coop-box.scope");
  EXPECT_EQ(create.resources.cpu->quota, 34000) << "what systemd will write, too";
  EXPECT_THAT(print_text(plan_of(config, with)), HasSubstr("CollectMode="));
  config.linux->cgroups_path = "/a/b";
  EXPECT_THAT(make_plan(config, with).error().message(), HasSubstr("slice:prefix:name"));
}

TEST(Plan, SystemdForOtherUsersNeedsCgroup2) {
  oci::Config config = oci::default_config();
  PlanOptions with = options();
  with.systemd_cgroup = true;
  with.rootless = true;
  EXPECT_EQ(make_plan(config, with).error().code(), Errc::kUnsupported);
  with.hybrid_or_v1 = false;
  with.cgroup_v2_only = true;
  const auto unit = only<StartUnit>(plan_of(config, with));
  EXPECT_TRUE(unit.user_manager);
  EXPECT_EQ(unit.name.slice, "user.slice");
}

TEST(Plan, RootPropagation) {
  const auto flags = [](const char* word) {
    oci::Config config = oci::default_config();
    config.linux->rootfs_propagation = word;
    const Plan plan = plan_of(config);
    const auto last = steps<FinalRootPropagation>(plan);
    return std::pair(only<RootPropagation>(plan).flags, last.empty() ? std::uint64_t{0} : last[0].flags);
  };
  const auto pair = [](std::uint64_t first, std::uint64_t last) { return std::pair(first, last); };
  EXPECT_EQ(flags(""), pair(MS_SLAVE | MS_REC, 0));
  EXPECT_EQ(flags("slave"), pair(MS_SLAVE | MS_REC, MS_SLAVE));
  EXPECT_EQ(flags("shared"), pair(MS_SHARED, MS_SHARED));
  EXPECT_EQ(flags("rprivate"), pair(MS_PRIVATE | MS_REC, MS_PRIVATE));
  EXPECT_EQ(flags("rshared"), pair(MS_SHARED | MS_REC, MS_SHARED));
  // An unbindable tree could not be bound as the root.
  EXPECT_EQ(flags("runbindable"), pair(MS_PRIVATE | MS_REC, MS_UNBINDABLE | MS_REC));
}

TEST(Plan, ACopyMayReplaceTheRoot) {
  const auto may = [](auto change) {
    oci::Config config = oci::default_config();
    change(config);
    return only<PivotRoot>(plan_of(config)).may_replace;
  };
  EXPECT_TRUE(may([](oci::Config&) {}));
  EXPECT_TRUE(may([](oci::Config& c) { c.linux->rootfs_propagation = "rprivate"; }));
  EXPECT_TRUE(may([](oci::Config& c) { c.mounts.back().options.emplace_back("rshared"); }));
  EXPECT_FALSE(may([](oci::Config& c) { c.linux->rootfs_propagation = "shared"; }));
  EXPECT_FALSE(may([](oci::Config& c) { c.linux->rootfs_propagation = "runbindable"; }));
  EXPECT_FALSE(may([](oci::Config& c) { c.mounts.back().options.emplace_back("unbindable"); }));
  EXPECT_FALSE(may([](oci::Config& c) { c.hooks.create_container.push_back({"/bin/true", {}, {}, {}}); }));
  EXPECT_FALSE(may([](oci::Config& c) { c.hooks.create_runtime.push_back({"/bin/true", {}, {}, {}}); }));
  EXPECT_FALSE(may([](oci::Config& c) {
    c.linux->namespaces.push_back({"user", {}});
    c.linux->uid_mappings = {{0, 100000, 65536}};
    c.linux->gid_mappings = {{0, 100000, 65536}};
  }));
}

TEST(Plan, CredentialsAndWarnings) {
  oci::Config config = oci::default_config();
  config.process->capabilities = oci::Capabilities{{"CAP_KILL", "CAP_NOSUCH", "kill"},
                                                   {"CAP_KILL", "CAP_CHOWN"},
                                                   {"CAP_KILL"},
                                                   {"CAP_KILL"},
                                                   {"CAP_KILL", "CAP_CHOWN"}};
  const Plan plan = plan_of(config);
  const auto credentials = only<SetCredentials>(plan);
  constexpr std::uint64_t kKill = 1 << 5;
  EXPECT_EQ(credentials.bounding, kKill);
  EXPECT_EQ(credentials.effective, kKill);  // CAP_CHOWN is not permitted
  EXPECT_EQ(credentials.ambient, kKill);
  EXPECT_EQ(credentials.umask, 0022U);
  EXPECT_THAT(plan.warnings, ElementsAre("capability 'CAP_NOSUCH' is unknown and is ignored",
                                         "capability 'kill' is unknown and is ignored",
                                         "capability 'CAP_CHOWN' is effective but not permitted, and is ignored"));

  config.process->capabilities = oci::Capabilities{{"CAP_KILL"}, {}, {"CAP_KILL", "CAP_CHOWN"}, {"CAP_CHOWN"}, {}};
  const Plan unbound = plan_of(config);
  EXPECT_EQ(only<SetCredentials>(unbound).inheritable, kKill);
  EXPECT_THAT(unbound.warnings,
              ElementsAre("capability 'CAP_CHOWN' is inheritable but not in the bounding set, and is ignored"));

  config.process->capabilities.reset();
  const auto none = only<SetCredentials>(plan_of(config));
  EXPECT_TRUE(none.has_capabilities);
  EXPECT_EQ(none.bounding | none.permitted | none.effective, 0U);

  auto with = options();
  with.kernel_last_cap = 37;
  config.process->capabilities = oci::Capabilities{{"CAP_BPF"}, {}, {}, {}, {}};
  EXPECT_THAT(plan_of(config, with).warnings, ElementsAre(HasSubstr("not known to this kernel")));
}

// As with runc and crun; nothing is even looked at.
TEST(Plan, MappingsWithoutUserNamespaceAreIgnored) {
  oci::Config config = oci::default_config();
  config.linux->uid_mappings = {{0, 100000, 10}, {0, 100000, 10}};
  const Plan plan = plan_of(config);
  EXPECT_THAT(plan.warnings, ElementsAre(HasSubstr("uidMappings and gidMappings are ignored")));
  config.mounts.push_back({"/x", "bind", "/x", {"bind", "idmap"}, {}, {}});
  EXPECT_THAT(make_plan(config, options()).error().message(), HasSubstr("needs mappings"));
}

// What differs by version, and what cannot occur here, is said without being a warning.
TEST(Plan, Notes) {
  oci::Config config = oci::default_config();
  config.oci_version = "1.2.1";
  config.linux->resources.emplace().pids_limit = 0;
  config.linux->seccomp.emplace().default_action = "SCMP_ACT_ALLOW";
  config.linux->seccomp->architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_S390X", "SCMP_ARCH_AARCH64"};
  auto with = options();
  with.notes = {"of the caller"};
  const Plan plan = plan_of(config, with);
  EXPECT_THAT(plan.notes, ElementsAre("of the caller", HasSubstr("/linux/resources/pids/limit: 0 is no limit"),
                                      HasSubstr("SCMP_ARCH_S390X")));
  EXPECT_THAT(plan.warnings, IsEmpty());
  EXPECT_THAT(print_text(plan), HasSubstr("note: of the caller\n"));
  EXPECT_EQ(only<CgroupCreate>(plan).resources.pids_limit, -1);
  config.oci_version = "1.3.0";
  EXPECT_EQ(only<CgroupCreate>(plan_of(config)).resources.pids_limit, 0);
  config.linux->seccomp->architectures = {"SCMP_ARCH_VAX"};
  EXPECT_THAT(make_plan(config, options()).error().message(),
              HasSubstr("/linux/seccomp/architectures/0: unknown architecture 'SCMP_ARCH_VAX'"));
}

TEST(Plan, Labels) {
  oci::Config config = oci::default_config();
  config.process->selinux_label = "label";
  config.process->apparmor_profile = "unconfined";
  const Plan plan = plan_of(config);
  EXPECT_THAT(steps<SetLabels>(plan), IsEmpty());
  EXPECT_THAT(plan.warnings, ElementsAre(HasSubstr("SELinux is not enabled")));
  EXPECT_EQ(only<NewKeyring>(plan).label, "");
  auto with = options();
  with.selinux_enabled = with.apparmor_enabled = true;
  config.process->apparmor_profile = "docker-default";
  config.linux->mount_label = "mnt,label";
  const Plan labelled = plan_of(config, with);
  EXPECT_EQ(only<SetLabels>(labelled).apparmor, "docker-default");
  EXPECT_EQ(only<SetLabels>(labelled).selinux, "label");
  EXPECT_EQ(only<NewKeyring>(labelled).label, "label");
  EXPECT_THAT(print_text(labelled), HasSubstr("label=label"));
  EXPECT_THAT(mount_at(labelled, "/dev/shm").data, ElementsAre("mode=1777", "size=65536k", "context=\"mnt,label\""));
  EXPECT_THAT(mount_at(labelled, "/proc").data, IsEmpty());
}

TEST(Plan, EnvironmentKeepsTheLastOfEachName) {
  oci::Config config = oci::default_config();
  config.process->env = {"A=1", "B=2", "A=3", "AB=4"};
  auto with = options();
  with.extra_env = {"B=5", "NEW="};
  EXPECT_THAT(only<Exec>(plan_of(config, with)).env, ElementsAre("A=3", "B=5", "AB=4", "NEW="));
}

TEST(Plan, RootOverrideAndExtraMounts) {
  oci::Config config = oci::default_config();
  config.root.reset();
  auto with = options();
  with.root_override = MountRoot{"/pods/x/rootfs", "overlay", {{"lowerdir", "/a:/b"}, {"index", ""}}, {}};
  with.extra_mounts = {{"/run/notify", "bind", "/host/notify", {"bind", "ro"}, {}, {}}};
  const Plan plan = plan_of(config, with);
  EXPECT_EQ(only<MountRoot>(plan).fstype, "overlay");
  EXPECT_EQ(steps<Mount>(plan).back().destination, "/run/notify");
  EXPECT_THAT(print_text(plan),
              HasSubstr("mount-root path=/pods/x/rootfs fstype=overlay options=lowerdir=/a:/b,index"));
}

TEST(Plan, RootOfAFile) {
  auto with = options();
  with.root_override = MountRoot{"/pods/x/root", "overlay", {{"lowerdir", "/pods/x/image"}}, {}, MOUNT_ATTR_NOSUID, {}};
  with.root_override->image = RootImage{{.file = "/a b.sif", .fstype = "squashfs", .offset = 4096}, "/pods/x/image"};
  const std::string text = print_text(plan_of(oci::default_config(), with));
  EXPECT_THAT(text, HasSubstr("set=nosuid image='squashfs in /a b.sif' image_offset=4096 image_on=/pods/x/image"));
}

TEST(Plan, RootOfTheParent) {
  auto with = options();
  with.root_override = MountRoot{"/pods/x/root", "overlay", {{"lowerdir", "/tree"}}, {}};
  with.root_override->by_parent = true;
  with.root_override->id_mapped = IdMappedLayer{"/tree", {{0, 100000, 65536}}, {{0, 200000, 10}}};
  const std::string text = print_text(plan_of(oci::default_config(), with));
  EXPECT_THAT(text, HasSubstr("options=lowerdir=/tree by=parent idmap=/tree uid=0:100000:65536 gid=0:200000:10"));
}

TEST(Plan, GroupOfTerminalsWhereItIsMapped) {
  oci::Config config = oci::default_config();
  config.mounts.push_back({"/dev/pts", "devpts", "devpts", {"newinstance", "gid=5"}, {}, {}});
  const auto group = [&] {
    const Mount pts = steps<Mount>(plan_of(config, options())).back();
    return std::find(pts.data.begin(), pts.data.end(), "gid=5") != pts.data.end();
  };
  EXPECT_TRUE(group());
  config.linux->namespaces.push_back({"user", ""});
  config.linux->uid_mappings = config.linux->gid_mappings = {{0, 100000, 5}};
  EXPECT_FALSE(group());
  config.linux->gid_mappings = {{0, 100000, 6}};
  EXPECT_TRUE(group());
}

TEST(Plan, RootlessBindsDevicesAndKeepsGroups) {
  oci::Config config = oci::default_config({.rootless = true, .host_uid = 1000, .host_gid = 1000});
  config.process->user.additional_gids = {5};
  auto with = options();
  with.rootless = true;
  const Plan plan = plan_of(config, with);
  EXPECT_FALSE(only<SetCredentials>(plan).set_groups);
  EXPECT_THAT(plan.warnings, ElementsAre(HasSubstr("supplementary groups")));
}

TEST(Sysctl, Paths) {
  EXPECT_EQ(rules::sysctl_path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
  EXPECT_EQ(rules::sysctl_path("net/ipv4/conf/eth0.100/forwarding"), "net/ipv4/conf/eth0.100/forwarding");
  EXPECT_EQ(rules::sysctl_path("net.ipv4.conf.eth0/100.forwarding"), "net/ipv4/conf/eth0.100/forwarding");
  for (const char* bad : {"", "x", "a//b", "../x", "a/../b", "a..b", ".a.b", "a/b/"})
    EXPECT_EQ(rules::sysctl_path(bad), "") << bad;
}

TEST(CleanPath, StaysInside) {
  EXPECT_EQ(rules::clean_path(""), "/");
  EXPECT_EQ(rules::clean_path("a"), "/a");
  EXPECT_EQ(rules::clean_path("//a/./b//../c/"), "/a/c");
  EXPECT_EQ(rules::clean_path("/../../x"), "/x");
}

}  // namespace
}  // namespace cooper::container
