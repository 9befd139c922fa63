// The whole configuration of an app, against golden files. COOPER_ACCEPT=1 writes them anew.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "container/plan.h"
#include "io/file.h"
#include "spec/oci_runtime/parse.h"
#include "spec/oci_runtime/print.h"
#include "stage1/flavor.h"

namespace cooper::stage1 {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kUuid = "0f6b1b1e-2f0c-4a51-9d0e-3a1f2b4c5d6e";

App make_app(const std::string& name) {
  App app;
  app.name = name;
  app.args = {"sleep", "5"};
  app.env = {"PATH=/bin", "HOME=/root"};
  app.tree_rootfs = "/var/lib/cooper/images/trees/c0ffee/rootfs";
  app.upper_dir = app.mount_point = "/var/lib/cooper/pods/run/u/upper-" + name;
  app.work_dir = "/var/lib/cooper/pods/run/u/work-" + name;
  return app;
}

Pod make_pod(std::vector<App> apps) {
  Pod pod;
  pod.uuid = kUuid;
  pod.hostname = "0f6b1b1e2f0c";
  pod.single = apps.size() == 1;
  pod.pod_dir = "/var/lib/cooper/pods/run/u";
  pod.run_dir = "/run/cooper/pods/u";
  pod.volumes_dir = pod.pod_dir + "/sharedVolumes";
  pod.sandbox_rootfs = pod.run_dir + "/sandbox";
  pod.hosts_file = pod.run_dir + "/hosts";
  pod.hostname_file = pod.run_dir + "/hostname";
  pod.resolv_file = pod.run_dir + "/resolv.conf";
  pod.init_path = "/usr/libexec/cooper/cooper-init";
  pod.cgroup_parent = "/cooper";
  pod.apps = std::move(apps);
  return pod;
}

Host make_host() {
  Host host;
  host.capabilities = (sys::CapMask{1} << 41) - 1;
  host.nofile_hard = 1048576;
  host.nproc_hard = 100000;
  return host;
}

// The seccomp profile has its own room and tests.
std::string printed(oci::Config config) {
  if (config.linux) config.linux->seccomp.reset();
  return oci::print_config(config) + "\n";
}

void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(COOPER_SOURCE_DIR) + "/src/stage1/testdata/" + name + ".json";
  if (::getenv("COOPER_ACCEPT") != nullptr) {
    ASSERT_TRUE(io::write_file_atomic(path, text).ok());
  }
  const auto golden = io::read_file(path);
  ASSERT_TRUE(golden.ok()) << path;
  EXPECT_EQ(text, *golden) << "differs from " << path;
}

Result<Launch> build(const Pod& pod) {
  return native().build(pod, make_host());
}

TEST(Native, SingleDefault) {
  const auto launch = build(make_pod({make_app("busybox")}));
  ASSERT_TRUE(launch.ok()) << launch.error().message();
  EXPECT_FALSE(launch->sandbox.has_value());
  ASSERT_EQ(launch->apps.size(), 1U);
  const monitor::AppSpec& spec = launch->apps[0];
  EXPECT_EQ(spec.create.id, std::string(kUuid) + "_busybox");
  EXPECT_EQ(spec.log_file, "logs/busybox.log");
  EXPECT_EQ(launch->cgroup_path, std::string("/cooper/") + kUuid);
  EXPECT_EQ(spec.config.linux->cgroups_path, launch->cgroup_path);
  ASSERT_TRUE(spec.config.linux->seccomp.has_value());
  expect_golden("single_default", printed(spec.config));
}

TEST(Native, SingleWithEverything) {
  App app = make_app("web");
  app.uid = 33;
  app.gid = 33;
  app.additional_gids = {4};
  app.working_dir = "/srv";
  app.volumes = {{"/data", "/host/data", "", false, {"ro", "rslave"}},
                 {"/cache", "", "0", false, {}},
                 {"/t", "", "", true, {"size=1m"}}};
  app.cap_add = {"NET_RAW"};
  app.cap_drop = {"SETUID"};
  app.security_opts = {"no-new-privileges", "unmask=/proc/keys", "mask=/etc/shadow"};
  app.read_only = true;
  app.ulimits = {{"nofile", 10, 20}};
  app.memory_bytes = 64 << 20;
  app.cpus = 0.5;
  app.cpuset_cpus = "0-1";
  app.pids_limit = 10;
  app.terminal = true;
  app.init = true;
  app.annotations = {{"a", "app"}};
  Pod pod = make_pod({app});
  pod.host_network = true;
  pod.hostname = "thishost";
  pod.annotations = {{"a", "pod"}, {"b", "pod"}};
  const auto launch = build(pod);
  ASSERT_TRUE(launch.ok()) << launch.error().message();
  EXPECT_TRUE(launch->apps[0].terminal);
  expect_golden("single_everything", printed(launch->apps[0].config));
}

TEST(Native, Privileged) {
  App app = make_app("root");
  app.privileged = true;
  Host host = make_host();
  host.devices = {{"c", "/dev/kmsg", 1, 11, 0600, 0, 0}};
  const auto launch = native().build(make_pod({app}), host);
  ASSERT_TRUE(launch.ok());
  const oci::Config& config = launch->apps[0].config;
  EXPECT_FALSE(config.linux->seccomp.has_value());
  EXPECT_TRUE(config.linux->masked_paths.empty());
  EXPECT_TRUE(config.linux->resources->devices[0].allow);
  ASSERT_EQ(config.linux->devices.size(), 1U);
  EXPECT_EQ(config.process->capabilities->bounding.size(), 41U);
}

TEST(Native, PodSharesNamespaces) {
  const auto launch = build(make_pod({make_app("a"), make_app("b")}));
  ASSERT_TRUE(launch.ok()) << launch.error().message();
  ASSERT_TRUE(launch->sandbox.has_value());
  expect_golden("pod_sandbox", printed(launch->sandbox->config));
  const oci::Config& config = launch->apps[1].config;
  std::vector<std::string> words;
  for (const oci::Namespace& ns : config.linux->namespaces) words.push_back(ns.type + "=" + ns.path);
  EXPECT_THAT(words, ElementsAre("pid=pod:", "network=pod:", "ipc=pod:", "uts=pod:", "mount=", "cgroup="));
  EXPECT_EQ(config.hostname, "");
  EXPECT_EQ(config.linux->cgroups_path, std::string("/cooper/") + kUuid + "/b");
  EXPECT_EQ(launch->sandbox->config.linux->cgroups_path, std::string("/cooper/") + kUuid + "/_sandbox");
}

TEST(Native, HostNetworkHasNoNetworkNamespace) {
  Pod pod = make_pod({make_app("a"), make_app("b")});
  pod.host_network = true;
  const auto launch = build(pod);
  ASSERT_TRUE(launch.ok());
  for (const oci::Config* config : {&launch->sandbox->config, &launch->apps[0].config}) {
    for (const oci::Namespace& ns : config->linux->namespaces) EXPECT_NE(ns.type, "network");
    EXPECT_TRUE(config->linux->sysctl.empty());
  }
}

TEST(Native, OnlyPodsThatAreRemovedMayLoseData) {
  Pod pod = make_pod({make_app("a")});
  EXPECT_TRUE(build(pod)->apps[0].create.root_override->wishes.empty());
  pod.remove_on_exit = true;
  EXPECT_EQ(build(pod)->apps[0].create.root_override->wishes, std::vector<std::string>{"volatile"});
}

TEST(Native, PostStopIsTheAppOnceMoreAsRoot) {
  App app = make_app("web");
  app.uid = app.gid = 33;
  app.additional_gids = {4};
  app.init = true;
  app.pre_start = {"/prepare"};
  app.post_stop = {"tidy", "up"};
  Pod pod = make_pod({app});
  pod.remove_on_exit = true;
  const auto launch = build(pod);
  ASSERT_TRUE(launch.ok());
  const monitor::AppSpec& spec = launch->apps[0];
  ASSERT_TRUE(spec.post_stop.has_value());
  EXPECT_EQ(spec.post_stop->create.id, spec.create.id);
  // The kernel mounts an overlay that may lose data once only.
  EXPECT_TRUE(spec.create.root_override->wishes.empty());
  const oci::Config& after = spec.post_stop->config;
  EXPECT_EQ(after.process->args, (std::vector<std::string>{"tidy", "up"}));
  EXPECT_EQ(after.process->user.uid, 0U);
  EXPECT_TRUE(after.process->user.additional_gids.empty());
  EXPECT_TRUE(after.hooks.start_container.empty());
  EXPECT_EQ(after.process->env, spec.config.process->env);
  EXPECT_EQ(after.linux->cgroups_path, spec.config.linux->cgroups_path);
  EXPECT_EQ(spec.config.process->user.uid, 33U);
}

// What is built must be what the runtime takes.
TEST(Native, ConfigurationsAreValid) {
  App special = make_app("special");
  special.read_only = special.init = true;
  special.cap_add = {"ALL"};
  for (const auto& pod : {make_pod({make_app("a")}), make_pod({special}), make_pod({make_app("a"), special})}) {
    const auto launch = build(pod);
    ASSERT_TRUE(launch.ok());
    std::vector<monitor::AppSpec> specs;
    for (const monitor::AppSpec& spec : launch->apps) {
      oci::Config config = spec.config;
      for (oci::Namespace& ns : config.linux->namespaces) {
        if (ns.path == "pod:") ns.path = "/proc/1/ns/" + (ns.type == "network" ? std::string("net") : ns.type);
      }
      container::PlanOptions options;
      options.id = spec.create.id;
      options.bundle = spec.create.bundle;
      options.root_override = spec.create.root_override;
      const auto plan = container::make_plan(config, options);
      EXPECT_TRUE(plan.ok()) << plan.error().message();
      EXPECT_TRUE(oci::parse_config(oci::print_config(config)).ok());
    }
  }
}

TEST(Native, ErrorsNameTheApp) {
  App app = make_app("web");
  app.cap_add = {"FLY"};
  const auto launch = build(make_pod({app}));
  ASSERT_FALSE(launch.ok());
  EXPECT_THAT(launch.error().message(), HasSubstr("app 'web'"));
  EXPECT_FALSE(build(make_pod({})).ok());
}

}  // namespace
}  // namespace cooper::stage1
