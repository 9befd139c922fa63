// Capabilities, security options, limits, mounts and seccomp files: what the user's words become.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stage1/capabilities.h"
#include "stage1/mounts.h"
#include "stage1/resources.h"
#include "stage1/seccomp_file.h"
#include "stage1/security.h"

namespace cooper::stage1 {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr sys::CapMask kAll = ~sys::CapMask{0};

// ---- capabilities

TEST(Capabilities, DefaultsArePodmans) {
  const auto sets = resolve_capabilities({}, kAll);
  ASSERT_TRUE(sets.ok());
  EXPECT_THAT(sets->bounding, ElementsAre("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
                                          "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
                                          "CAP_SETUID", "CAP_SYS_CHROOT"));
  EXPECT_EQ(sets->effective, sets->bounding);
  EXPECT_EQ(sets->permitted, sets->bounding);
  EXPECT_THAT(sets->inheritable, IsEmpty());
  EXPECT_THAT(sets->ambient, IsEmpty());
}

TEST(Capabilities, AddAndDropTakeAnySpelling) {
  const auto sets = resolve_capabilities({{"net_admin", "CAP_SYS_TIME"}, {"Kill"}, false, true}, kAll);
  ASSERT_TRUE(sets.ok());
  EXPECT_THAT(sets->bounding, Contains("CAP_NET_ADMIN"));
  EXPECT_THAT(sets->bounding, Contains("CAP_SYS_TIME"));
  EXPECT_THAT(sets->bounding, Not(Contains("CAP_KILL")));
}

TEST(Capabilities, DropAllLeavesWhatIsAdded) {
  const auto sets = resolve_capabilities({{"CHOWN"}, {"ALL"}, false, true}, kAll);
  ASSERT_TRUE(sets.ok());
  EXPECT_THAT(sets->bounding, ElementsAre("CAP_CHOWN"));
}

TEST(Capabilities, AllMeansWhatTheCallerMayGrant) {
  const auto sets = resolve_capabilities({{"all"}, {"KILL"}, false, true}, 0b111 | 1 << 5);
  ASSERT_TRUE(sets.ok());
  EXPECT_THAT(sets->bounding, ElementsAre("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"));
}

TEST(Capabilities, OtherUsersGetOnlyWhatWasNamed) {
  const auto sets = resolve_capabilities({{"NET_RAW"}, {}, false, false}, kAll);
  ASSERT_TRUE(sets.ok());
  EXPECT_THAT(sets->bounding, Contains("CAP_CHOWN"));
  EXPECT_THAT(sets->effective, ElementsAre("CAP_NET_RAW"));
  EXPECT_THAT(sets->ambient, ElementsAre("CAP_NET_RAW"));
}

TEST(Capabilities, RefusesContradictionsAndUnknownNames) {
  for (const CapabilityRequest& bad :
       {CapabilityRequest{{"KILL"}, {"CAP_KILL"}, false, true}, CapabilityRequest{{"ALL"}, {"ALL"}, false, true},
        CapabilityRequest{{"FLY"}, {}, false, true}, CapabilityRequest{{}, {""}, false, true}}) {
    const auto sets = resolve_capabilities(bad, kAll);
    ASSERT_FALSE(sets.ok());
    EXPECT_EQ(sets.error().code(), Errc::kInvalidArgument);
  }
}

// ---- security options

TEST(SecurityOptions, Parse) {
  const auto out = parse_security({"seccomp=/etc/p.json", "no-new-privileges", "mask=/a:/b", "unmask=/proc/*",
                                   "apparmor=web", "proc-opts=hidepid=2"});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->seccomp, Security::Seccomp::kFile);
  EXPECT_EQ(out->seccomp_file, "/etc/p.json");
  EXPECT_TRUE(out->no_new_privileges);
  EXPECT_THAT(out->mask, ElementsAre("/a", "/b"));
  EXPECT_THAT(out->unmask, ElementsAre("/proc/*"));
  EXPECT_EQ(out->apparmor_profile, "web");
  EXPECT_THAT(out->proc_options, ElementsAre("hidepid=2"));
}

TEST(SecurityOptions, ColonForms) {
  const auto out =
      parse_security({"seccomp:unconfined", "no-new-privileges:false", "label:disable", "apparmor:unconfined"});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->seccomp, Security::Seccomp::kUnconfined);
  EXPECT_FALSE(out->no_new_privileges);
  EXPECT_EQ(out->apparmor_profile, "");
}

TEST(SecurityOptions, Refused) {
  EXPECT_EQ(parse_security({"label=type:x_t"}).error().code(), Errc::kUnsupported);
  for (const char* bad : {"speed=on", "", "seccomp=", "no-new-privileges=maybe", "mask=relative", "mask="}) {
    EXPECT_FALSE(parse_security({bad}).ok()) << bad;
  }
}

// Facts: podman 4.3.1 on cgroup v1 with crun.
TEST(SecurityOptions, ProtectedPathsArePodmans) {
  const ProtectedPaths paths = protected_paths({}, false);
  EXPECT_THAT(paths.masked,
              ::testing::UnorderedElementsAre("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                                              "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
                                              "/proc/scsi", "/sys/firmware", "/sys/fs/selinux", "/sys/dev/block"));
  EXPECT_THAT(paths.readonly, ::testing::UnorderedElementsAre("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq",
                                                              "/proc/sys", "/proc/sysrq-trigger"));
}

TEST(SecurityOptions, MaskAndUnmask) {
  const auto security = parse_security({"unmask=/proc/a*:/proc/sys", "mask=/etc/secret"});
  ASSERT_TRUE(security.ok());
  const ProtectedPaths paths = protected_paths(*security, false);
  EXPECT_THAT(paths.masked, Not(Contains("/proc/acpi")));
  EXPECT_THAT(paths.masked, Contains("/proc/kcore"));
  EXPECT_THAT(paths.masked, Contains("/etc/secret"));
  EXPECT_THAT(paths.readonly, Not(Contains("/proc/sys")));
  EXPECT_THAT(protected_paths(*parse_security({"unmask=ALL"}), false).masked, IsEmpty());
  EXPECT_THAT(protected_paths(*security, true).masked, ElementsAre("/etc/secret"));
}

// ---- limits

TEST(Resources, Defaults) {
  const auto out = app_resources(App());
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->pids_limit, 2048);
  EXPECT_FALSE(out->memory.has_value());
  EXPECT_FALSE(out->cpu.has_value());
  ASSERT_EQ(out->devices.size(), 1U);
  EXPECT_FALSE(out->devices[0].allow);
}

TEST(Resources, MemoryCpuAndPids) {
  App app;
  app.memory_bytes = 64 << 20;
  app.cpus = 1.5;
  app.cpuset_cpus = "0";
  app.pids_limit = 0;
  const auto out = app_resources(app);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->memory->limit, 67108864);
  EXPECT_EQ(out->memory->swap, 134217728);
  EXPECT_EQ(out->cpu->quota, 150000);
  EXPECT_EQ(out->cpu->period, 100000U);
  EXPECT_EQ(out->cpu->cpus, "0");
  EXPECT_EQ(out->pids_limit, -1);
}

TEST(Resources, Refused) {
  App app;
  app.memory_swap_bytes = 1 << 30;
  EXPECT_FALSE(app_resources(app).ok());
  app.memory_bytes = std::int64_t{2} << 30;
  EXPECT_FALSE(app_resources(app).ok());
  app.memory_swap_bytes = -1;
  EXPECT_EQ(app_resources(app)->memory->swap, -1);
  app.memory_bytes = 1000;
  EXPECT_FALSE(app_resources(app).ok());
  for (const double cpus : {-1.0, 0.001, 1e300}) {
    App other;
    other.cpus = cpus;
    EXPECT_FALSE(app_resources(other).ok()) << cpus;
  }
}

TEST(Rlimits, DefaultsStayBelowTheCallersOwn) {
  Host host;
  host.nofile_hard = 20000;
  host.nproc_hard = 1000000;
  const auto out = app_rlimits(App(), host);
  ASSERT_TRUE(out.ok());
  ASSERT_EQ(out->size(), 2U);
  EXPECT_EQ((*out)[0].type, "RLIMIT_NOFILE");
  EXPECT_EQ((*out)[0].hard, 20000U);
  EXPECT_EQ((*out)[1].soft, 32768U);
}

TEST(Rlimits, UsersWin) {
  Host host;
  host.nofile_hard = host.nproc_hard = 100;
  App app;
  app.ulimits = {{"nofile", 10, 20}, {"core", 0, 0}};
  const auto out = app_rlimits(app, host);
  ASSERT_TRUE(out.ok());
  ASSERT_EQ(out->size(), 3U);
  EXPECT_EQ((*out)[0].soft, 10U);
  EXPECT_EQ((*out)[0].hard, 20U);
  for (const auto& bad : {std::vector<Limit>{{"files", 1, 1}}, std::vector<Limit>{{"core", 2, 1}},
                          std::vector<Limit>{{"core", 1, 1}, {"core", 2, 2}}}) {
    app.ulimits = bad;
    EXPECT_FALSE(app_rlimits(app, host).ok());
  }
}

// ---- mounts

Pod pod_with_files() {
  Pod pod;
  pod.volumes_dir = "/p/sharedVolumes";
  pod.hosts_file = "/r/hosts";
  pod.hostname_file = "/r/hostname";
  pod.resolv_file = "/r/resolv.conf";
  return pod;
}

const oci::Mount* find_mount(const std::vector<oci::Mount>& mounts, std::string_view destination) {
  for (const oci::Mount& mount : mounts) {
    if (mount.destination == destination) return &mount;
  }
  return nullptr;
}

TEST(Mounts, UserMountsReplaceDefaultOnes) {
  App app;
  app.volumes = {{"/dev/shm", "/dev/shm", "", false, {}}, {"/etc/hosts", "/my/hosts", "", false, {"ro"}}};
  const auto out = app_mounts(pod_with_files(), app, {});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(find_mount(*out, "/dev/shm")->source, "/dev/shm");
  EXPECT_THAT(find_mount(*out, "/dev/shm")->options, ElementsAre("rw", "rprivate", "rbind"));
  EXPECT_EQ(find_mount(*out, "/etc/hosts")->source, "/my/hosts");
  EXPECT_THAT(find_mount(*out, "/etc/hosts")->options, ElementsAre("ro", "rprivate", "rbind"));
  EXPECT_EQ(find_mount(*out, "/etc/hostname")->source, "/r/hostname");
}

TEST(Mounts, ParentsBeforeChildren) {
  App app;
  app.volumes = {{"/data/in/side", "/x", "", false, {}}, {"/data", "/y", "", false, {}}};
  const auto out = app_mounts(pod_with_files(), app, {});
  ASSERT_TRUE(out.ok());
  EXPECT_LT(find_mount(*out, "/data"), find_mount(*out, "/data/in/side"));
  EXPECT_LT(find_mount(*out, "/dev"), find_mount(*out, "/dev/pts"));
  EXPECT_LT(find_mount(*out, "/sys"), find_mount(*out, "/sys/fs/cgroup"));
}

TEST(Mounts, ReadOnlyAddsTmpfsAndProtectsFiles) {
  App app;
  app.read_only = true;
  app.volumes = {{"/tmp", "", "", true, {"size=1m"}}};
  const auto out = app_mounts(pod_with_files(), app, {});
  ASSERT_TRUE(out.ok());
  EXPECT_THAT(find_mount(*out, "/run")->options, ElementsAre("rw", "rprivate", "nosuid", "nodev", "tmpcopyup"));
  EXPECT_THAT(find_mount(*out, "/tmp")->options,
              ElementsAre("size=1m", "rw", "rprivate", "nosuid", "nodev", "tmpcopyup"));
  ASSERT_NE(find_mount(*out, "/var/tmp"), nullptr);
  EXPECT_THAT(find_mount(*out, "/etc/hosts")->options,
              ElementsAre("bind", "rprivate", "ro", "nosuid", "noexec", "nodev"));
}

TEST(Mounts, PodVolumesLieBelowThePod) {
  const auto out = volume_mount(pod_with_files(), {"/data", "", "0", false, {"nocopy", "U", "z", "noexec"}});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out->source, "/p/sharedVolumes/0");
  EXPECT_THAT(out->options, ElementsAre("noexec", "rw", "rprivate", "rbind"));
}

TEST(Mounts, Refused) {
  const Pod pod = pod_with_files();
  App app;
  app.volumes = {{"/a", "/x", "", false, {}}, {"/a", "/y", "", false, {}}};
  EXPECT_EQ(app_mounts(pod, app, {}).error().code(), Errc::kInvalidArgument);
  for (const Volume& bad :
       {Volume{"/", "/x", "", false, {}}, Volume{"a", "/x", "", false, {}}, Volume{"/a", "/x", "", false, {"ro", "rw"}},
        Volume{"/a", "/x", "", false, {"O"}}, Volume{"/a", "x", "", false, {}}}) {
    app.volumes = {bad};
    EXPECT_FALSE(app_mounts(pod, app, {}).ok()) << bad.destination << bad.source;
  }
}

TEST(Mounts, OverlayOptions) {
  Pod ephemeral;
  ephemeral.remove_on_exit = true;
  EXPECT_EQ(escape_overlay_path("/a:b,c\\d e"), "/a\\:b\\,c\\\\d e");
  App app;
  app.tree_rootfs = "/t:1";
  app.upper_dir = "/u";
  app.work_dir = "/w";
  app.mount_point = "/m";
  const container::MountRoot root = *root_mount(ephemeral, app);
  EXPECT_EQ(root.fstype, "overlay");
  EXPECT_EQ(root.path, "/m");
  ASSERT_EQ(root.options.size(), 3U);
  EXPECT_EQ(root.options[0].second, "/t\\:1");
  EXPECT_EQ(root.wishes, std::vector<std::string>{"volatile"});
  EXPECT_TRUE(root_mount({}, app)->wishes.empty());
  app.work_dir = "/" + std::string(255, 'w');
  EXPECT_EQ(root_mount({}, app).error().code(), Errc::kLimit);
}

TEST(Mounts, RootOfAFile) {
  App app;
  app.root_image = io::FilesystemImage{.file = "/a.sif", .fstype = "squashfs"};
  app.image_dir = "/i";
  app.upper_dir = app.mount_point = "/u";
  const container::MountRoot root = *root_mount({}, app);
  EXPECT_EQ(root.fstype, "overlay");
  EXPECT_EQ(root.options[0].second, "/i");
  EXPECT_EQ(root.image->path, "/i");
  EXPECT_EQ(root.image->image, *app.root_image);
  EXPECT_EQ(root.attributes, io::mount_attributes(*app.root_image));
  EXPECT_NE(root.attributes, 0U);
  app.root_image->untrusted = false;
  EXPECT_EQ(root_mount({}, app)->attributes, 0U);
}

TEST(Mounts, RootOfItsOwn) {
  Pod ephemeral;
  ephemeral.remove_on_exit = true;
  App app;
  app.own_copy = true;
  app.root_image = io::FilesystemImage{.file = "/a.sif", .fstype = "squashfs"};
  app.upper_dir = app.mount_point = "/" + std::string(300, 'u');
  const container::MountRoot root = *root_mount(ephemeral, app);
  EXPECT_EQ(root.path, app.upper_dir);
  EXPECT_TRUE(root.fstype.empty());
  EXPECT_TRUE(root.options.empty());
  EXPECT_FALSE(root.image.has_value());
  EXPECT_NE(root.attributes, 0U) << "still nobody has checked what is in it";
}

// ---- user namespaces

Pod mapped_pod() {
  Pod pod;
  pod.uuid = "u";
  pod.id_maps = {{{0, 100000, 65536}}, {{0, 200000, 65536}}};
  pod.sandbox_rootfs = "/run/sandbox";
  pod.init_path = "/init";
  pod.volumes_dir = "/vols";
  App& app = pod.apps.emplace_back();
  app.name = "app";
  app.args = {"true"};
  app.tree_rootfs = "/t:1";
  app.upper_dir = app.mount_point = "/u";
  app.work_dir = "/w";
  return pod;
}

TEST(UserNamespace, TheLayerBelowIsMapped) {
  Pod pod = mapped_pod();
  const container::MountRoot root = *root_mount(pod, pod.apps[0]);
  EXPECT_TRUE(root.by_parent);
  ASSERT_TRUE(root.id_mapped);
  EXPECT_EQ(root.id_mapped->path, "/t:1");
  EXPECT_EQ(root.id_mapped->gid.at(0).host_id, 200000U);
  pod.apps[0].own_copy = true;
  EXPECT_FALSE(root_mount(pod, pod.apps[0])->id_mapped) << "a copy has its owners";
  EXPECT_TRUE(root_mount(pod, pod.apps[0])->by_parent);
  pod.id_maps = {};
  EXPECT_FALSE(root_mount(pod, pod.apps[0])->by_parent);
}

TEST(UserNamespace, AppsJoinTheSandboxes) {
  const auto user_of = [](const oci::Config& config) -> std::string {
    for (const oci::Namespace& ns : config.linux->namespaces) {
      if (ns.type == "user") return "user " + ns.path;
    }
    return "none";
  };
  Pod pod = mapped_pod();
  const Launch launch = *native().build(pod, Host());
  EXPECT_EQ(user_of(launch.sandbox->config), "user ");
  EXPECT_EQ(user_of(launch.apps[0].config), "user pod:");
  EXPECT_EQ(launch.apps[0].config.linux->uid_mappings.at(0).host_id, 100000U);
  EXPECT_TRUE(launch.sandbox->create.root_override->by_parent);
  pod.single = true;
  EXPECT_EQ(user_of(native().build(pod, Host())->apps[0].config), "user ");
  pod.id_maps = {};
  EXPECT_EQ(user_of(native().build(pod, Host())->apps[0].config), "none");
}

TEST(UserNamespace, MappedVolumes) {
  Pod pod = mapped_pod();
  EXPECT_TRUE(volume_mount(pod, {"/a", "/x", "", false, {"idmap"}}).ok());
  EXPECT_FALSE(volume_mount(pod, {"/a", "", "0", false, {"idmap"}}).ok());
  EXPECT_TRUE(volume_mount({}, {"/a", "/x", "", false, {"idmap=uids=0-1-2;gids=0-1-2"}}).ok());
  EXPECT_TRUE(volume_mount(pod, {"/a", "/x", "", false, {"ridmap=uids=@0-1-2;gids=0-1-2"}}).ok());
  EXPECT_FALSE(volume_mount({}, {"/a", "/x", "", false, {"idmap=uids=@0-1-2;gids=0-1-2"}}).ok());
  EXPECT_FALSE(volume_mount(pod, {"/a", "", "0", false, {"idmap=uids=0-1-2;gids=0-1-2"}}).ok());
  EXPECT_EQ(volume_mount({}, {"/a", "/x", "", false, {"ridmap"}}).error().code(), Errc::kInvalidArgument);
}

// ---- seccomp files

constexpr const char* kProfile = R"({
  "defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS",
  "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
              {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
  "syscalls": [
    {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {}, "excludes": {}},
    {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "EPERM", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
    {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
    {"names": ["later"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "7.1"}},
    {"name": "clone", "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}
  ]})";

TEST(SeccompFile, ConditionsHold) {
  const auto out = parse_profile(kProfile, "profile", {{"CAP_SYS_ADMIN"}, "SCMP_ARCH_X86_64", "amd64", 6, 1});
  ASSERT_TRUE(out.ok()) << out.error().message();
  EXPECT_EQ(out->default_action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(out->default_errno_ret, 38U);
  EXPECT_THAT(out->architectures, ElementsAre("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"));
  std::vector<std::string> names;
  for (const auto& rule : out->syscalls) names.push_back(rule.names[0] + " " + rule.action.substr(9));
  EXPECT_THAT(names, ElementsAre("read ALLOW", "mount ALLOW", "arch_prctl ALLOW", "ptrace ALLOW", "clone ALLOW"));
  EXPECT_EQ(out->syscalls.back().args[0].value, 2114060288U);
}

TEST(SeccompFile, ConditionsDoNotHold) {
  const auto out = parse_profile(kProfile, "profile", {{}, "SCMP_ARCH_AARCH64", "arm64", 4, 7});
  ASSERT_TRUE(out.ok());
  std::vector<std::string> names;
  for (const auto& rule : out->syscalls) names.push_back(rule.names[0] + " " + rule.action.substr(9));
  EXPECT_THAT(names, ElementsAre("read ALLOW", "mount ERRNO", "clone ALLOW"));
  EXPECT_THAT(out->architectures, ElementsAre("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"));
}

TEST(SeccompFile, Refused) {
  const ProfileContext context{{}, "SCMP_ARCH_X86_64", "amd64", 6, 1};
  for (const char* bad : {"", "[]", "{}", R"({"defaultAction":1})", R"({"defaultAction":"A","syscalls":[{}]})",
                          R"({"defaultAction":"A","syscalls":[{"names":["a"],"action":"B","errno":"EWHAT"}]})",
                          R"({"defaultAction":"A","archMap":[],"architectures":["X"]})"}) {
    const auto out = parse_profile(bad, "profile", context);
    ASSERT_FALSE(out.ok()) << bad;
    EXPECT_EQ(out.error().code(), Errc::kInvalidArgument);
  }
}

}  // namespace
}  // namespace cooper::stage1
