#include "spec/oci_runtime/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "spec/oci_runtime/print.h"

namespace cooper::spec::oci_runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Every member this room knows, each with a value that differs from its default.
constexpr const char* kEverything = R"({
  "ociVersion": "1.2.0",
  "process": {
    "terminal": true, "consoleSize": {"height": 24, "width": 80},
    "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [5, 6]},
    "args": ["sh", "-c", "true"], "env": ["A=1"], "cwd": "/",
    "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_CHOWN"], "inheritable": ["CAP_FOWNER"], "permitted": ["CAP_SETUID"], "ambient": ["CAP_SETGID"]},
    "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 18446744073709551615, "soft": 1024}],
    "noNewPrivileges": true, "apparmorProfile": "p", "oomScoreAdj": -5, "selinuxLabel": "l",
    "scheduler": {"policy": "SCHED_DEADLINE", "nice": 1, "priority": 2, "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 3, "deadline": 4, "period": 5},
    "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
    "execCPUAffinity": {"initial": "0-1", "final": "2"}
  },
  "root": {"path": "rootfs", "readonly": true},
  "hostname": "h", "domainname": "d",
  "mounts": [{"destination": "/x", "type": "bind", "source": "/y", "options": ["rbind"],
              "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}], "gidMappings": [{"containerID": 1, "hostID": 1001, "size": 11}]}],
  "hooks": {
    "prestart": [{"path": "/a", "args": ["a"], "env": ["B=2"], "timeout": 3}], "createRuntime": [{"path": "/b"}],
    "createContainer": [{"path": "/c"}], "startContainer": [{"path": "/d"}], "poststart": [{"path": "/e"}], "poststop": [{"path": "/f"}]
  },
  "annotations": {"k": "v"},
  "linux": {
    "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}], "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 65536}],
    "sysctl": {"net.ipv4.ip_forward": "1"},
    "resources": {
      "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": -1, "access": "r"}],
      "memory": {"limit": 1, "reservation": 2, "swap": -1, "kernel": 4, "kernelTCP": 5, "swappiness": 6, "disableOOMKiller": true, "useHierarchy": false, "checkBeforeUpdate": true},
      "cpu": {"shares": 1, "quota": -1, "burst": 2, "period": 3, "realtimeRuntime": 4, "realtimePeriod": 5, "cpus": "0", "mems": "0-1", "idle": 1},
      "pids": {"limit": 0},
      "blockIO": {"weight": 10, "leafWeight": 20, "weightDevice": [{"major": 8, "minor": 0, "weight": 11, "leafWeight": 12}],
                  "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 100}], "throttleWriteBpsDevice": [{"major": 8, "minor": 2, "rate": 200}],
                  "throttleReadIOPSDevice": [{"major": 8, "minor": 3, "rate": 300}], "throttleWriteIOPSDevice": [{"major": 8, "minor": 4, "rate": 400}]},
      "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
      "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
      "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
      "unified": {"memory.high": "max"}
    },
    "cgroupsPath": "/a/b",
    "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}],
    "devices": [{"path": "/dev/x", "type": "c", "major": 10, "minor": 229, "fileMode": 432, "uid": 1, "gid": 2}, {"path": "/dev/p", "type": "p"}],
    "timeOffsets": {"monotonic": {"secs": -3, "nanosecs": 4}},
    "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "listenerPath": "/run/l", "listenerMetadata": "m",
                "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "errnoRet": 1, "args": [{"index": 1, "value": 18446744073709551615, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}]},
    "rootfsPropagation": "rslave", "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "mountLabel": "ml",
    "intelRdt": {"closID": "c", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20", "schemata": ["L2:0=f"], "enableMonitoring": true},
    "personality": {"domain": "LINUX32", "flags": ["F"]},
    "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
    "netDevices": {"eth0": {"name": "ctr0"}, "eth1": {}}
  }
})";

TEST(ParseConfig, ReadsEveryMember) {
  const auto parsed = parse_config(kEverything);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  const Config& c = *parsed;
  EXPECT_EQ(c.oci_version, "1.2.0");
  ASSERT_TRUE(c.process && c.root && c.linux);
  EXPECT_EQ(c.process->console_size->width, 80U);
  EXPECT_THAT(c.process->user.additional_gids, ElementsAre(5U, 6U));
  EXPECT_EQ(c.process->user.umask, 18U);
  EXPECT_EQ(c.process->rlimits[0].hard, ~std::uint64_t{0});
  EXPECT_EQ(c.process->oom_score_adj, -5);
  EXPECT_EQ(c.process->scheduler->deadline, 4U);
  EXPECT_EQ(c.process->exec_cpu_affinity->final_, "2");
  EXPECT_EQ(c.hooks.prestart[0].timeout_s, 3);
  EXPECT_EQ(c.hooks.poststop[0].path, "/f");
  EXPECT_EQ(c.mounts[0].gid_mappings[0].host_id, 1001U);
  const Resources& r = *c.linux->resources;
  EXPECT_EQ(r.devices[1].minor, -1);
  EXPECT_FALSE(r.devices[0].major);
  EXPECT_EQ(r.memory->swap, -1);
  EXPECT_EQ(r.memory->use_hierarchy, false);
  EXPECT_EQ(r.pids_limit, 0);
  EXPECT_EQ(r.block_io->write_iops[0].rate, 400U);
  EXPECT_EQ(r.network_class_id, 1048577U);
  EXPECT_EQ(r.rdma.at("mlx5_1").hca_objects, 10000U);
  EXPECT_EQ(c.linux->time_offsets.at("monotonic").secs, -3);
  EXPECT_EQ(c.linux->seccomp->syscalls[0].args[0].value, ~std::uint64_t{0});
  EXPECT_EQ(c.linux->personality->domain, "LINUX32");
  EXPECT_TRUE(c.linux->intel_rdt->enable_monitoring);
  EXPECT_THAT(c.linux->intel_rdt->schemata, ElementsAre("L2:0=f"));
  EXPECT_EQ(c.linux->memory_policy->nodes, "0");
  EXPECT_EQ(c.linux->net_devices.at("eth0").name, "ctr0");
  EXPECT_EQ(c.linux->net_devices.at("eth1").name, "");
}

TEST(ParseConfig, PrintingLosesNothing) {
  const auto parsed = parse_config(kEverything);
  ASSERT_TRUE(parsed.ok());
  const std::string once = print_config(*parsed);
  const auto again = parse_config(once);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(print_config(*again), once);
  // Everything that was written in the source text is in the printed one, as a JSON value.
  const auto source = codec::json::Document::parse(kEverything, "source");
  const auto printed = codec::json::Document::parse(once, "printed");
  ASSERT_TRUE(source.ok() && printed.ok());
  const std::function<void(const codec::json::Value&, const codec::json::Value&, const std::string&)> same =
      [&](const codec::json::Value& a, const codec::json::Value& b, const std::string& where) {
        ASSERT_EQ(a.type(), b.type()) << where;
        ASSERT_EQ(a.size(), b.size()) << where;
        if (a.type() == codec::json::Type::kObject) {
          for (std::size_t i = 0; i < a.size(); ++i) {
            const auto [name, value] = a.member(i);
            const auto other = b.find(name);
            ASSERT_TRUE(other) << where << "/" << name;
            same(value, *other, where + "/" + std::string(name));
          }
        } else if (a.type() == codec::json::Type::kArray) {
          for (std::size_t i = 0; i < a.size(); ++i) same(a.element(i), b.element(i), where + "/" + std::to_string(i));
        } else {
          EXPECT_EQ(a.as_string(), b.as_string()) << where;
          EXPECT_EQ(a.as_bool(), b.as_bool()) << where;
          EXPECT_EQ(a.as_int64(), b.as_int64()) << where;
          EXPECT_EQ(a.as_uint64(), b.as_uint64()) << where;
        }
      };
  same(source->root(), printed->root(), "");
}

// Replaces every value below the top by every other JSON type: each must be an error that names its pointer.
TEST(ParseConfig, EveryWrongTypeNamesItsPointer) {
  using codec::json::Type;
  using codec::json::Value;
  using codec::json::Writer;
  const auto document = codec::json::Document::parse(kEverything, "x");
  ASSERT_TRUE(document.ok());
  const std::vector<std::pair<Type, std::string>> wrong{{Type::kString, "\"text\""},
                                                        {Type::kNumber, "5"},
                                                        {Type::kBool, "true"},
                                                        {Type::kArray, "[]"},
                                                        {Type::kObject, "{}"}};
  int cases = 0;
  // Writes the document with the value at `target` replaced.
  const std::function<void(Writer&, const Value&, const std::string&, const std::string&, const Value&)> copy =
      [&](Writer& out, const Value& value, const std::string& where, const std::string& target,
          const Value& replacement) {
        if (where == target) {
          out.value(replacement);
        } else if (value.type() == Type::kObject) {
          out.begin_object();
          for (std::size_t i = 0; i < value.size(); ++i) {
            const auto [name, child] = value.member(i);
            out.key(name);
            copy(out, child, where + "/" + std::string(name), target, replacement);
          }
          out.end_object();
        } else if (value.type() == Type::kArray) {
          out.begin_array();
          for (std::size_t i = 0; i < value.size(); ++i)
            copy(out, value.element(i), where + "/" + std::to_string(i), target, replacement);
          out.end_array();
        } else {
          out.value(value);
        }
      };
  const std::function<void(const Value&, const std::string&)> visit = [&](const Value& value,
                                                                          const std::string& where) {
    if (!where.empty()) {
      for (const auto& [type, text] : wrong) {
        if (type == value.type()) continue;
        const auto replacement = codec::json::Document::parse(text, "y");
        Writer out;
        copy(out, document->root(), "", where, replacement->root());
        const auto parsed = parse_config(out.take());
        ++cases;
        ASSERT_FALSE(parsed.ok()) << where << " as " << text;
        EXPECT_EQ(parsed.error().code(), Errc::kInvalidArgument) << where;
        EXPECT_THAT(parsed.error().message(), HasSubstr("config.json: " + where + ": must be")) << text;
      }
    }
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (value.type() == Type::kObject) {
        const auto [name, child] = value.member(i);
        visit(child, where + "/" + std::string(name));
      } else {
        visit(value.element(i), where + "/" + std::to_string(i));
      }
    }
  };
  visit(document->root(), "");
  EXPECT_GT(cases, 500);
}

struct Bad {
  const char* text;
  const char* words;
  Errc code = Errc::kInvalidArgument;
};

TEST(ParseConfig, Refuses) {
  const Bad cases[] = {
      {"", "not valid JSON"},
      {"[]", "must be an object"},
      {"null", "must be an object"},
      {"{}", "required member 'ociVersion' is missing"},
      {R"({"ociVersion": null})", "required member 'ociVersion' is missing"},
      {R"({"ociVersion": ""})", "/ociVersion: must be a semantic version"},
      {R"({"ociVersion": "1.0"})", "must be a semantic version"},
      {R"({"ociVersion": "1.0.0.0"})", "must be a semantic version"},
      {R"({"ociVersion": "1.01.0"})", "must be a semantic version"},
      {R"({"ociVersion": "v1.0.0"})", "must be a semantic version"},
      {R"({"ociVersion": "1.0.0-"})", "must be a semantic version"},
      {R"({"ociVersion": "1.0.0-a..b"})", "must be a semantic version"},
      {R"({"ociVersion": "1.0.0+a b"})", "must be a semantic version"},
      {R"({"ociVersion": "2.0.0"})", "got '2.0.0'", Errc::kUnsupported},
      {R"({"ociVersion": "0.9.0"})", "only version 1", Errc::kUnsupported},
      {R"({"ociVersion": "1.0.0", "root": {}})", "/root: required member 'path' is missing"},
      {R"({"ociVersion": "1.0.0", "process": {}})", "/process: required member 'cwd' is missing"},
      {R"({"ociVersion": "1.0.0", "mounts": [{}]})", "/mounts/0: required member 'destination' is missing"},
      {R"({"ociVersion": "1.0.0", "linux": {"namespaces": [{}]}})",
       "/linux/namespaces/0: required member 'type' is missing"},
      {R"({"ociVersion": "1.0.0", "hooks": {"poststop": [{"args": []}]}})",
       "/hooks/poststop/0: required member 'path' is missing"},
      {R"({"ociVersion": "1.0.0", "process": {"cwd": "/", "user": {"uid": -1}}})",
       "/process/user/uid: must be an integer between 0 and 4294967295"},
      {R"({"ociVersion": "1.0.0", "process": {"cwd": "/", "user": {"uid": 4294967296}}})", "/process/user/uid"},
      {R"({"ociVersion": "1.0.0", "process": {"cwd": "/", "user": {"uid": 1.5}}})", "/process/user/uid"},
      {R"({"ociVersion": "1.0.0", "process": {"cwd": "/\u0000"}})", "/process/cwd: must not contain a NUL"},
      {R"({"ociVersion": "1.0.0", "annotations": {"a/b~c": 5}})", "/annotations/a~1b~0c: must be a string"},
      {R"({"ociVersion": "1.0.0", "linux": {"memoryPolicy": {}}})",
       "/linux/memoryPolicy: required member 'mode' is missing"},
  };
  for (const Bad& bad : cases) {
    const auto parsed = parse_config(bad.text);
    ASSERT_FALSE(parsed.ok()) << bad.text;
    EXPECT_THAT(parsed.error().message(), HasSubstr(bad.words)) << bad.text;
    EXPECT_EQ(parsed.error().code(), bad.code) << bad.text;
  }
}

TEST(ParseConfig, AcceptsVersionsOfMajorOneAndUnknownMembers) {
  for (const char* version : {"1.0.0", "1.0.2-dev", "1.2.1", "1.3.0+dev", "1.0.0-rc5.1+x.y"}) {
    EXPECT_TRUE(parse_config(std::string(R"({"ociVersion": ")") + version + "\"}").ok()) << version;
  }
  EXPECT_TRUE(
      parse_config(R"({"ociVersion": "1.0.0", "later": [1], "linux": {"more": null, "netDevices": {}}, "solaris": {}})")
          .ok());
}

TEST(ParseConfig, NullIsAbsentAndTheLastDuplicateCounts) {
  const auto parsed =
      parse_config(R"({"ociVersion": "1.0.0", "hostname": "a", "hostname": "b", "process": null, "mounts": null})");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->hostname, "b");
  EXPECT_FALSE(parsed->process);
}

TEST(ParseConfig, OlderWordsForMonitoringMeanTheNewOne) {
  const auto parsed = parse_config(R"({"ociVersion": "1.1.0", "linux": {"intelRdt": {"enableMBM": true}}})");
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->linux->intel_rdt->enable_monitoring);
}

TEST(ParseProcess, NamesItsOwnDocument) {
  const auto parsed = parse_process(R"({"args": ["true"], "cwd": "/"})");
  ASSERT_TRUE(parsed.ok());
  EXPECT_THAT(parsed->args, ElementsAre("true"));
  EXPECT_THAT(parse_process(R"({"args": 5, "cwd": "/"})").error().message(),
              HasSubstr("process.json: /args: must be an array"));
  EXPECT_FALSE(parse_process("[]").ok());
}

TEST(ParseResources, Reads) {
  const auto parsed = parse_resources(R"({"memory": {"limit": 100}, "pids": {"limit": -1}})");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->memory->limit, 100);
  EXPECT_EQ(parsed->pids_limit, -1);
  EXPECT_EQ(print_resources(*parsed), R"({"memory":{"limit":100},"pids":{"limit":-1}})");
}

TEST(State, RoundTrip) {
  const State state{"1.2.0", "box", "created", 42, "/b", {{"k", "v"}}};
  EXPECT_EQ(print_state(state),
            R"({"ociVersion":"1.2.0","id":"box","status":"created","pid":42,"bundle":"/b","annotations":{"k":"v"}})");
  const auto parsed = parse_state(print_state(state));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(print_state(*parsed), print_state(state));
  EXPECT_EQ(print_state({"1.2.0", "box", "stopped", 0, "/b", {}}),
            R"({"ociVersion":"1.2.0","id":"box","status":"stopped","bundle":"/b"})");
}

}  // namespace
}  // namespace cooper::spec::oci_runtime
