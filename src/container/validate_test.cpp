#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "container/plan.h"
#include "spec/oci_runtime/defaults.h"

namespace cooper::container {
namespace {

using ::testing::HasSubstr;

PlanOptions options() {
  PlanOptions out;
  out.id = "box";
  out.bundle = "/b";
  return out;
}

struct Case {
  const char* words;  // in the message: pointer and reason
  std::function<void(oci::Config&)> change;
  Errc code = Errc::kInvalidArgument;
};

oci::Mount mount(const char* destination, const char* type, const char* source = "x",
                 std::vector<std::string> options = {}) {
  return {destination, type, source, std::move(options), {}, {}};
}

const std::vector<Case>& cases() {
  using C = oci::Config;
  static const std::vector<Case> all{
      {"/root: required", [](C& c) { c.root.reset(); }},
      {"/root/path: must not be empty", [](C& c) { c.root->path = ""; }},
      {"/process: required", [](C& c) { c.process.reset(); }},
      {"/process/args: must name", [](C& c) { c.process->args.clear(); }},
      {"/process/cwd: 'x' must be an absolute path", [](C& c) { c.process->cwd = "x"; }},
      {"/process/cwd: '/proc/self/fd/7' is not", [](C& c) { c.process->cwd = "/proc/self/fd/7"; }},
      {"/process/cwd: '/x/../proc//1/cwd' is not", [](C& c) { c.process->cwd = "/x/../proc//1/cwd"; }},
      {"/process/env/1: 'TERM' must have the form", [](C& c) { c.process->env[1] = "TERM"; }},
      {"/process/env/1: '=x' must have the form", [](C& c) { c.process->env[1] = "=x"; }},
      {"/process/user/uid", [](C& c) { c.process->user.uid = 0xffffffff; }},
      {"/process/user/additionalGids/0", [](C& c) { c.process->user.additional_gids = {0xffffffff}; }},
      {"/process/user/umask", [](C& c) { c.process->user.umask = 01000; }},
      {"/process/rlimits/0/type: unknown resource limit 'RLIMIT_X'",
       [](C& c) { c.process->rlimits[0].type = "RLIMIT_X"; }},
      {"/process/rlimits/1/type: resource limit 'RLIMIT_NOFILE' is given twice",
       [](C& c) { c.process->rlimits.push_back(c.process->rlimits[0]); }},
      {"/process/rlimits/0/soft", [](C& c) { c.process->rlimits[0].soft = 2000; }},
      {"/process/oomScoreAdj", [](C& c) { c.process->oom_score_adj = -1001; }},
      {"/process/scheduler/policy", [](C& c) { c.process->scheduler = {"SCHED_X", 0, 0, {}, 0, 0, 0}; }},
      {"/process/scheduler/nice", [](C& c) { c.process->scheduler = {"SCHED_OTHER", 20, 0, {}, 0, 0, 0}; }},
      {"/process/scheduler/priority", [](C& c) { c.process->scheduler = {"SCHED_OTHER", 0, 1, {}, 0, 0, 0}; }},
      {"/process/scheduler/priority", [](C& c) { c.process->scheduler = {"SCHED_RR", 0, 0, {}, 0, 0, 0}; }},
      {"/process/scheduler/flags/0", [](C& c) { c.process->scheduler = {"SCHED_OTHER", 0, 0, {"X"}, 0, 0, 0}; }},
      {"/process/scheduler/runtime", [](C& c) { c.process->scheduler = {"SCHED_DEADLINE", 0, 0, {}, 0, 1, 1}; }},
      {"/process/scheduler: runtime, deadline",
       [](C& c) { c.process->scheduler = {"SCHED_OTHER", 0, 0, {}, 1, 0, 0}; }},
      {"/process/ioPriority/class",
       [](C& c) {
         c.process->io_priority = {"X", 0};
       }},
      {"/process/ioPriority/priority",
       [](C& c) {
         c.process->io_priority = {"IOPRIO_CLASS_RT", 8};
       }},
      {"/process/consoleSize",
       [](C& c) {
         c.process->console_size = {70000, 1};
       }},
      {"/process/apparmorProfile: profile 'p'", [](C& c) { c.process->apparmor_profile = "p"; }, Errc::kUnsupported},
      {"/linux/namespaces/0/type: unknown namespace type 'x'", [](C& c) { c.linux->namespaces[0].type = "x"; }},
      {"/linux/namespaces/5/type: namespace 'pid' is named twice",
       [](C& c) {
         c.linux->namespaces.push_back({"pid", ""});
       }},
      {"/linux/namespaces/0/path: namespace path 'x' must be absolute",
       [](C& c) { c.linux->namespaces[0].path = "x"; }},
      {"/linux/namespaces: a container with a user namespace needs a new mount namespace",
       [](C& c) {
         c.linux->namespaces.pop_back();
         c.linux->namespaces.push_back({"user", ""});
       }},
      {"/linux/uidMappings/1: the mapping overlaps that of index 0",
       [](C& c) {
         c.linux->namespaces.push_back({"user", ""});
         c.linux->uid_mappings = {{0, 0, 10}, {9, 100, 10}};
       }},
      {"/linux/gidMappings/2: the mapping overlaps that of index 1",
       [](C& c) {
         c.linux->namespaces.push_back({"user", ""});
         c.linux->gid_mappings = {{0, 0, 10}, {10, 100, 10}, {20, 109, 4294967187}};
       }},
      {"/linux/uidMappings: a new user namespace needs",
       [](C& c) {
         c.linux->namespaces.push_back({"user", ""});
       }},
      {"/linux/gidMappings: a new user namespace needs",
       [](C& c) {
         c.linux->namespaces.push_back({"user", ""});
         c.linux->uid_mappings = {{5, 0, 1}};
       }},
      {"/linux/uidMappings/0/size",
       [](C& c) {
         c.linux->namespaces.push_back({"user", ""});
         c.linux->uid_mappings = {{0, 0, 0}};
       }},
      {"/linux/uidMappings/0: the mapping goes beyond",
       [](C& c) {
         c.linux->namespaces.push_back({"user", ""});
         c.linux->uid_mappings = {{0, 0xffffffff, 2}};
       }},
      {"/linux/timeOffsets: time offsets need",
       [](C& c) {
         c.linux->time_offsets = {{"monotonic", {1, 0}}};
       }},
      {"unknown clock 'x'",
       [](C& c) {
         c.linux->namespaces.push_back({"time", ""});
         c.linux->time_offsets = {{"x", {1, 0}}};
       }},
      {"/linux/timeOffsets/monotonic/nanosecs",
       [](C& c) {
         c.linux->namespaces.push_back({"time", ""});
         c.linux->time_offsets = {{"monotonic", {1, 1000000000}}};
       }},
      {"/hostname: setting the host name needs",
       [](C& c) { std::erase_if(c.linux->namespaces, [](const auto& n) { return n.type == "uts"; }); }},
      {"/hostname: must not be longer", [](C& c) { c.hostname = std::string(65, 'x'); }},
      {"/domainname: must not be longer", [](C& c) { c.domainname = std::string(65, 'x'); }},
      {"/annotations: an annotation",
       [](C& c) {
         c.annotations = {{"", "x"}};
       }},
      {"/mounts/0/destination: must not be empty", [](C& c) { c.mounts[0].destination = ""; }},
      {"/mounts/7/destination: the root of the container", [](C& c) { c.mounts.push_back(mount("/a/..", "tmpfs")); }},
      {"/mounts/7/source: a bind mount needs a source", [](C& c) { c.mounts.push_back(mount("/a", "bind", "")); }},
      {"/mounts/7/type", [](C& c) { c.mounts.push_back(mount("/a", "none")); }},
      {"/mounts/7/type", [](C& c) { c.mounts.push_back(mount("/a", "")); }},
      {"/mounts/7/destination: only a proc file system", [](C& c) { c.mounts.push_back(mount("/proc", "tmpfs")); }},
      {"'/proc/sysrq-trigger' cannot be mounted because it is inside /proc",
       [](C& c) { c.mounts.push_back(mount("/proc/sysrq-trigger", "bind", "/x")); }},
      {"inside /proc", [](C& c) { c.mounts.push_back(mount("/x/../proc/self/attr", "bind", "/x")); }},
      {"/mounts/7/options: tmpcopyup", [](C& c) { c.mounts.push_back(mount("/a", "ext4", "x", {"tmpcopyup"})); }},
      {"/mounts/7/options: mappings 'uids=0-1-2': both uids and gids are needed",
       [](C& c) { c.mounts.push_back(mount("/a", "bind", "/x", {"idmap=uids=0-1-2"})); }},
      {"/mounts/7/options: id 0 of an id-mapped mount is not in the container's user namespace",
       [](C& c) { c.mounts.push_back(mount("/a", "bind", "/x", {"idmap=uids=0-1-2;gids=@0-0-1"})); }},
      {"/mounts/7/options/1: the mapping overlaps that of index 0",
       [](C& c) { c.mounts.push_back(mount("/a", "bind", "/x", {"idmap=uids=0-1-2#1-9-1;gids=0-0-1"})); }},
      {"/mounts/7/gidMappings/0/size: must not be 0",
       [](C& c) {
         c.mounts.push_back(mount("/a", "bind", "/x", {"idmap"}));
         c.mounts.back().uid_mappings = {{0, 0, 1}};
         c.mounts.back().gid_mappings = {{0, 0, 0}};
       }},
      {"/mounts/7/options: an id-mapped mount needs",
       [](C& c) { c.mounts.push_back(mount("/a", "bind", "/x", {"idmap"})); }},
      {"a mount of this kind cannot be id-mapped",
       [](C& c) {
         c.mounts.push_back(mount("/a", "cgroup", "/x", {"idmap"}));
         c.mounts.back().uid_mappings = c.mounts.back().gid_mappings = {{0, 1000, 1}};
       }},
      {"/mounts/7: uidMappings and gidMappings",
       [](C& c) {
         c.mounts.push_back(mount("/a", "bind", "/x"));
         c.mounts.back().uid_mappings = {{0, 1, 1}};
       }},
      {"/linux/devices/0/type",
       [](C& c) {
         c.linux->devices = {{"x", "/dev/x", 1, 1, {}, {}, {}}};
       }},
      {"/linux/devices/0/path",
       [](C& c) {
         c.linux->devices = {{"c", "dev/x", 1, 1, {}, {}, {}}};
       }},
      {"/linux/devices/0/major",
       [](C& c) {
         c.linux->devices = {{"c", "/dev/x", -1, 1, {}, {}, {}}};
       }},
      {"/linux/devices/0/minor",
       [](C& c) {
         c.linux->devices = {{"c", "/dev/x", 1, 1 << 20, {}, {}, {}}};
       }},
      {"/linux/sysctl/kernel.panic",
       [](C& c) {
         c.linux->sysctl = {{"kernel.panic", "1"}};
       }},
      {"sysctl 'vm/swappiness' is not in a namespace",
       [](C& c) {
         c.linux->sysctl = {{"vm/swappiness", "1"}};
       }},
      {"is not a sysctl name",
       [](C& c) {
         c.linux->sysctl = {{"net/../kernel/panic", "1"}};
       }},
      {"needs a network namespace",
       [](C& c) {
         std::erase_if(c.linux->namespaces, [](const auto& n) { return n.type == "network"; });
         c.linux->sysctl = {{"net.ipv4.ip_forward", "1"}};
       }},
      {"needs an ipc namespace",
       [](C& c) {
         std::erase_if(c.linux->namespaces, [](const auto& n) { return n.type == "ipc"; });
         c.linux->sysctl = {{"fs.mqueue.msg_max", "1"}};
       }},
      {"conflicts with /hostname",
       [](C& c) {
         c.linux->sysctl = {{"kernel.hostname", "x"}};
       }},
      {"/hooks/prestart/0/path",
       [](C& c) {
         c.hooks.prestart = {{"x", {}, {}, {}}};
       }},
      {"/hooks/poststop/0/timeout",
       [](C& c) {
         c.hooks.poststop = {{"/x", {}, {}, 0}};
       }},
      {"/linux/maskedPaths/0: 'x' must be", [](C& c) { c.linux->masked_paths = {"x"}; }},
      {"/linux/readonlyPaths/0: '' must be", [](C& c) { c.linux->readonly_paths = {""}; }},
      {"/linux/rootfsPropagation", [](C& c) { c.linux->rootfs_propagation = "ro"; }},
      {"/linux/cgroupsPath", [](C& c) { c.linux->cgroups_path = "/a/../../b"; }},
      {"/linux/cgroupsPath", [](C& c) { c.linux->cgroups_path = "./"; }},
      {"/linux/personality/domain",
       [](C& c) {
         c.linux->personality = oci::Personality{"X", {}};
       }},
      {"/linux/intelRdt/closID", [](C& c) { c.linux->intel_rdt.emplace().clos_id = "a/b"; }},
      {"/linux/memoryPolicy/mode: unknown memory policy 'x'",
       [](C& c) {
         c.linux->memory_policy = {"x", "", {}};
       }},
      {"/linux/memoryPolicy/nodes: MPOL_BIND needs nodes",
       [](C& c) {
         c.linux->memory_policy = {"MPOL_BIND", "", {}};
       }},
      {"/linux/memoryPolicy/nodes: MPOL_LOCAL takes no nodes",
       [](C& c) {
         c.linux->memory_policy = {"MPOL_LOCAL", "0", {}};
       }},
      {"/linux/memoryPolicy/flags: MPOL_F_NUMA_BALANCING is for",
       [](C& c) {
         c.linux->memory_policy = {"MPOL_INTERLEAVE", "0", {"MPOL_F_NUMA_BALANCING"}};
       }},
      {"/linux/memoryPolicy/flags: flags need nodes",
       [](C& c) {
         c.linux->memory_policy = {"MPOL_PREFERRED", "", {"MPOL_F_STATIC_NODES"}};
       }},
      {"/linux/netDevices: the loopback", [](C& c) { c.linux->net_devices["lo"]; }},
      {"/linux/netDevices/a/name: 'x%s' may contain", [](C& c) { c.linux->net_devices["a"].name = "x%s"; }},
      {"/linux/netDevices/b/name: two network devices",
       [](C& c) {
         c.linux->net_devices["a"].name = "e";
         c.linux->net_devices["b"].name = "e";
       }},
      {"/process/execCPUAffinity/final",
       [](C& c) {
         c.process->exec_cpu_affinity = {"0", "x"};
       }},
      {"/linux/resources/devices/0/type", [](C& c) { c.linux->resources->devices[0].type = "x"; }},
      {"/linux/resources/devices/0/access", [](C& c) { c.linux->resources->devices[0].access = "rx"; }},
      {"/linux/resources/devices/0/major", [](C& c) { c.linux->resources->devices[0].major = -2; }},
      {"/linux/resources/memory/limit", [](C& c) { c.linux->resources->memory.emplace().limit = -2; }},
      {"/linux/resources/memory/swap",
       [](C& c) {
         c.linux->resources->memory.emplace().limit = 100;
         c.linux->resources->memory->swap = 50;
       }},
      {"/linux/resources/memory/swappiness", [](C& c) { c.linux->resources->memory.emplace().swappiness = 201; }},
      {"/linux/resources/cpu/cpus", [](C& c) { c.linux->resources->cpu.emplace().cpus = "3-1"; }},
      {"/linux/resources/cpu/mems", [](C& c) { c.linux->resources->cpu.emplace().mems = "a"; }},
      {"/linux/resources/cpu/idle", [](C& c) { c.linux->resources->cpu.emplace().idle = 2; }},
      {"/linux/resources/pids/limit", [](C& c) { c.linux->resources->pids_limit = -2; }},
      {"/linux/resources/blockIO/weight", [](C& c) { c.linux->resources->block_io.emplace().weight = 5; }},
      {"/linux/resources/blockIO/weightDevice/0/weight",
       [](C& c) {
         c.linux->resources->block_io.emplace().weight_devices = {{1, 1, 1001, {}}};
       }},
      {"/linux/resources/hugepageLimits/0/pageSize",
       [](C& c) {
         c.linux->resources->hugepage_limits = {{"2MiB", 1}};
       }},
      {"/linux/resources/unified",
       [](C& c) {
         c.linux->resources->unified = {{"../x", "1"}};
       }},
  };
  return all;
}

TEST(Validate, RefusesWithPointerAndReason) {
  for (const Case& wrong : cases()) {
    oci::Config config = oci::default_config();
    wrong.change(config);
    const Status status = validate(config, options());
    ASSERT_FALSE(status.ok()) << wrong.words;
    EXPECT_THAT(status.error().message(), HasSubstr(wrong.words));
    EXPECT_THAT(status.error().message(), ::testing::StartsWith("config.json: ")) << wrong.words;
    EXPECT_EQ(status.error().code(), wrong.code) << wrong.words;
  }
}

TEST(Validate, Accepts) {
  using C = oci::Config;
  const std::vector<std::function<void(C&)>> good{
      [](C&) {},
      [](C& c) { c.mounts.push_back(mount("/proc/cpuinfo", "bind", "/x")); },
      [](C& c) { c.mounts.push_back(mount("relative", "tmpfs")); },
      [](C& c) { c.mounts.push_back(mount("/a", "none", "/x", {"bind"})); },
      [](C& c) { c.mounts.push_back(mount("/proc", "none", "/proc", {"rbind"})); },
      [](C& c) {
        c.mounts.push_back(mount("/", "none", "", {"remount", "ro"}));
      },
      [](C& c) {
        c.linux->sysctl = {{"kernel.shmmax", "1"}, {"net/core/somaxconn", "1"}, {"kernel.domainname", "x"}};
      },
      [](C& c) {
        c.linux->namespaces.push_back({"user", "/proc/1/ns/user"});
      },
      [](C& c) { c.process->user.umask = 0; },
      [](C& c) { c.process->apparmor_profile = "unconfined"; },
      [](C& c) { c.linux->resources->pids_limit = 0; },
      [](C& c) { c.linux->resources->devices[0].major = -1; },
      [](C& c) { c.linux->resources->cpu.emplace().cpus = "0-3,5"; },
      [](C& c) { c.process->scheduler = {"SCHED_DEADLINE", 0, 0, {}, 1, 2, 3}; },
  };
  for (std::size_t i = 0; i < good.size(); ++i) {
    oci::Config config = oci::default_config();
    good[i](config);
    const Status status = validate(config, options());
    EXPECT_TRUE(status.ok()) << i << ": " << status.error().message();
  }
}

}  // namespace
}  // namespace cooper::container
